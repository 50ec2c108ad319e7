import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replay } from '../../../src/actors/evolve.ts';
import type { ActorMessage } from '../../../src/actors/messages.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import type { TaskState } from '../../../src/actors/task-state.ts';
import { assembleCommit, decodeCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { Epoch, TaskId } from '../../../src/core/ids.ts';
import { taskEventTypes, type TaskRecord } from '../../../src/core/records.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { a, aFailure, aTask, listingPipeline, wayAfter, type TaskInTest } from '../../support/a-task.ts';

const registry = new PipelineRegistry([listingPipeline]);
const dedupWindowSize = 32;

function replayed(records: readonly TaskRecord[], from: TaskState | null = null): TaskState | null {
  return records.reduce<TaskState | null>(
    (state, record) => replay({ definition: listingPipeline, state, record, dedupWindowSize }),
    from,
  );
}

/** The records as the journal gives them back. */
function stored(records: readonly TaskRecord[]): readonly TaskRecord[] {
  const head = { format: 1, epoch: 1 as Epoch, batch: 1, at: 1 } as const;
  return decodeCommit(assembleCommit(head, records.map(encodeRecord))).records;
}

/** Messages that may move a task from where it stands, and some that may not. */
function messagesFor(task: TaskInTest, serial: number): ActorMessage[] {
  const stage = task.state?.stages.at(-1)?.stage ?? 'parse';
  const attempt = task.state?.machine.control.attempt ?? 1;
  const id = (name: string) => `c-${name}-${serial}`;
  return [
    task.state === null ? a.submit() : a.grant(stage),
    a.completion(stage, attempt),
    a.completion(stage, attempt),
    a.failing(stage, attempt),
    a.failing(stage, attempt, aFailure({ class: 'rateLimited', retryAfterMs: 5 })),
    a.failing(stage, attempt, aFailure({ class: 'fatal', causes: ['Error: x'] })),
    a.checkpoint(stage, attempt, `photo-${serial}`, { at: serial }),
    a.timer(task.state?.machine.control.dueAt ?? 0),
    a.pause(id('pause')),
    a.resume(id('resume')),
    a.redrive(id('redrive')),
    a.resolve({ kind: 'notDone' }, id('resolve')),
    a.resolve({ kind: 'completed', ...wayAfter(stage) }, id('resolve')),
    a.resolve({ kind: 'failed', failure: aFailure({ class: 'fatal' }) }, id('resolve')),
    a.lookup(stage, 'done', attempt),
    a.lookup(stage, 'notDone', attempt),
    a.lookup(stage, 'unknown', attempt),
    a.ownerChange(),
    a.release(stage, attempt),
    a.probation(stage, attempt),
    ...(serial % 5 === 4 ? [a.cancel(id('cancel')), a.quarantine()] : []),
  ];
}

interface Step {
  readonly choice: number;
  readonly hasSlot: boolean;
  readonly passMs: number;
}

/** Where a random history begins: chance alone seldom comes as far as the last stages. */
const beginnings: readonly (() => TaskInTest)[] = [
  () => aTask(),
  () => aTask().running('photos'),
  () => aTask().running('publish'),
  () => aTask().unknown('announce'),
];

/** A task after random commands and outcomes, of which those that are not legal were refused. */
function wander({ beginning, steps }: { readonly beginning: number; readonly steps: readonly Step[] }): TaskInTest {
  const task = beginnings[beginning]?.() ?? aTask();
  for (const [serial, { choice, hasSlot, passMs }] of steps.entries()) {
    task.now += passMs;
    const messages = messagesFor(task, serial);
    const from = choice % messages.length;
    const inTurn = [...messages.slice(from), ...messages.slice(0, from)];
    const message = inTurn.find((candidate) => task.decide(candidate).kind === 'moved');
    if (message !== undefined) task.send(message, { mayStart: () => hasSlot });
  }
  return task;
}

const histories = fc.record({
  beginning: fc.nat({ max: beginnings.length - 1 }),
  steps: fc.array(
    fc.record({ choice: fc.noBias(fc.nat({ max: 1_000 })), hasSlot: fc.boolean(), passMs: fc.nat({ max: 3_000 }) }),
    { minLength: 1, maxLength: 60, size: 'max' },
  ),
});

describe('replay', { timeout: 60_000 }, () => {
  it('R-CORE-1: any decided history, read back from its bytes, gives the state that was decided', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(histories, (given) => {
        const task = wander(given);
        for (const { event } of task.records) seen.add(event.type);
        expect(replayed(stored(task.records))).toEqual(task.state);
      }),
      { numRuns: 200 },
    );
    expect(taskEventTypes.filter((type) => !seen.has(type))).toEqual([]);
  });

  it('R-CORE-3: any history goes on from a snapshot of any of its points to the same state', () => {
    fc.assert(
      fc.property(histories, fc.nat({ max: 60 }), (given, point) => {
        const task = wander(given);
        const before = replayed(task.records.slice(0, Math.max(1, point % task.records.length)));
        if (before === null) throw new Error('a history has no state');
        const restored = decodeSnapshot('t-1' as TaskId, encodeSnapshot(before), registry);
        expect(restored).toEqual(before);
        expect(replayed(stored(task.records).slice(before.seq), restored)).toEqual(task.state);
      }),
      { numRuns: 200 },
    );
  });

  it('R-JOB-1, R-LOCK-1: in any history each attempt starts once, in order, and stages never go back', () => {
    fc.assert(
      fc.property(histories, (given) => {
        const task = wander(given);
        const order = listingPipeline.stages.map(({ name }) => name as string);
        const starts: { readonly stage: string; readonly attempt: number }[] = [];
        let state: TaskState | null = null;
        for (const record of task.records) {
          state = replay({ definition: listingPipeline, state, record, dedupWindowSize });
          const [stage = '', word] = record.to.split('.');
          const { attempt } = state.machine.control;
          const last = starts.at(-1);
          if (word === 'running' && (last?.stage !== stage || last.attempt !== attempt))
            starts.push({ stage, attempt });
          if (word === 'running') expect(state.stages.at(-1)).toMatchObject({ stage, attempts: attempt });
        }
        for (const [index, { stage, attempt }] of starts.entries()) {
          const earlier = starts[index - 1];
          if (stage === earlier?.stage) expect(attempt).toBe(earlier.attempt + 1);
          else expect([attempt, order.indexOf(stage)]).toEqual([1, order.indexOf(earlier?.stage ?? '') + 1]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('REPLAY_DIVERGED when the machine refuses the record', () => {
    const { records } = aTask().running('photos');
    const [submitted, completed] = records as [TaskRecord, TaskRecord];
    expect(() => replayed([submitted, completed, { ...completed, seq: 3 }])).toThrow(
      expect.objectContaining({
        code: 'REPLAY_DIVERGED',
        message:
          'task t-1: record 3 (stage.completed to photos.running) is refused in state photos.running: stage parse is not the current one (photos)',
      }),
    );
    expect(() => replayed([{ ...completed, seq: 1 }])).toThrow(
      expect.objectContaining({ code: 'REPLAY_DIVERGED', message: expect.stringContaining('is refused in state new') }),
    );
  });

  it('REPLAY_DIVERGED when the record leads elsewhere than it says', () => {
    const [submitted] = aTask().running('parse').records as [TaskRecord];
    expect(() => replayed([{ ...submitted, to: 'photos.running' }])).toThrow(
      expect.objectContaining({
        code: 'REPLAY_DIVERGED',
        message: 'task t-1: record 1 (task.submitted to photos.running) reached parse.running',
        hint: 'the pipeline definition differs from the one that wrote the journal',
      }),
    );
  });

  it('REPLAY_DIVERGED when a record is missing', () => {
    const task = aTask().running('parse');
    task.send(a.checkpoint('parse', 1, 'one'));
    task.send(a.checkpoint('parse', 1, 'two'));
    const [submitted, , third] = task.records as [TaskRecord, TaskRecord, TaskRecord];
    expect(() => replayed([submitted, third])).toThrow(
      expect.objectContaining({ code: 'REPLAY_DIVERGED', message: expect.stringContaining('became record 2') }),
    );
  });
});
