import { positionOf } from '../../../src/actors/task-state.ts';
import type { TaskEventType, TaskRecord } from '../../../src/core/records.ts';
import type { TaskStatus } from '../../../src/core/task-view.ts';

type Place = TaskStatus | 'new';

const live: readonly Place[] = ['queued', 'running', 'backingOff', 'held', 'unknown'];

/** From where each event may come, and where it may lead. Written from the docstrings of the events, apart from the machine. */
const ways: Readonly<Partial<Record<TaskEventType, readonly (readonly [readonly Place[], readonly Place[]])[]>>> = {
  'task.submitted': [[['new'], ['running', 'queued']]],
  'stage.started': [[['queued'], ['running']]],
  'stage.completed': [[['running'], ['running', 'queued', 'held', 'completed']]],
  'stage.failed': [[['running'], ['backingOff', 'held', 'deadLettered']]],
  'retry.due': [[['backingOff'], ['running', 'queued']]],
  'task.paused': [
    [['queued', 'backingOff'], ['held']],
    [['running'], ['running']],
  ],
  'task.resumed': [
    [['held'], ['queued', 'backingOff']],
    [['running'], ['running']],
  ],
  'task.canceled': [[live, ['canceled']]],
  'task.redriven': [[['deadLettered', 'unknown'], ['queued']]],
  'stage.released': [[['running'], ['queued', 'held', 'unknown']]],
  'owner.changed': [[['running'], ['queued', 'held', 'unknown']]],
};

/** What of a journal's records no task may do; empty when all is well. */
export function brokenRules(records: readonly TaskRecord[]): string[] {
  const places = new Map<string, Place>();
  const counts = new Map<string, number>();
  const commands = new Map<string, number>();
  const broken: string[] = [];
  for (const { task, seq, event, to } of records) {
    const from = places.get(task) ?? 'new';
    const { status } = positionOf(to);
    places.set(task, status);
    const isAllowed = ways[event.type]?.some(([froms, tos]) => froms.includes(from) && tos.includes(status)) ?? false;
    if (!isAllowed) broken.push(`${task}: ${event.type} leads from ${from} to ${status}`);
    const count = (counts.get(task) ?? 0) + 1;
    counts.set(task, count);
    if (seq !== count) broken.push(`${task}: record ${seq} is its ${count}th`);
    if (!('origin' in event) || event.origin === undefined) continue;
    const command = `${task}/${event.origin.commandId}`;
    if (commands.has(command)) broken.push(`${command} took effect at record ${commands.get(command)} and at ${seq}`);
    commands.set(command, seq);
  }
  return broken;
}
