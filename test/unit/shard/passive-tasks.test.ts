import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { TaskState } from '../../../src/actors/task-state.ts';
import { PassiveTasks } from '../../../src/shard/passive-tasks.ts';
import { aPipeline, taskOf } from '../../support/shard-kit.ts';
import { aFinishedTask, aTask, submitted } from '../../support/task-kit.ts';

const card = aPipeline();
const { state: template } = aTask(card, 'a', [submitted(card)]);

/** A task that waits, as far as the index looks at it. */
function waiting(
  id: string,
  over: { seq?: number; value?: string; dueAt?: number | null; pipeline?: string } = {},
): TaskState {
  const { seq = 3, value = 'parse.backingOff', dueAt = 5_000, pipeline = 'card' } = over;
  const { machine } = template;
  return {
    ...template,
    taskId: taskOf(id),
    pipeline: pipeline as TaskState['pipeline'],
    seq,
    machine: { ...machine, value, control: { ...machine.control, dueAt } },
  };
}

describe('the index of passive tasks', () => {
  it('keeps of a task its last record, its due time and where it stands', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a', { seq: 7, dueAt: 1_893_456_000_123 }), true);
    tasks.add(waiting('b', { value: 'publish.held', dueAt: 9, pipeline: 'other' }), false);
    expect(tasks.get(taskOf('a'))).toEqual({
      taskId: 'a',
      seq: 7,
      dueAt: 1_893_456_000_123,
      kind: { pipeline: 'card', version: 1, state: 'parse.backingOff', status: 'backingOff' },
      isCarried: true,
    });
    // Only a backoff ends by itself.
    expect(tasks.get(taskOf('b'))).toMatchObject({ dueAt: null, isCarried: false, kind: { status: 'held' } });
    expect([tasks.size, tasks.uncarried, tasks.has(taskOf('c')), tasks.get(taskOf('c'))]).toEqual([2, 1, false, null]);
  });

  it('INTERNAL: refuses a task that has ended', () => {
    const tasks = new PassiveTasks();
    expect(() => tasks.add(aFinishedTask(card, 'a'), true)).toThrow(/has ended/);
  });

  it('replaces what it kept of a task, and an old timer names it no more', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a'), false);
    const before = tasks.newTimer(taskOf('a'));
    tasks.add(waiting('a', { seq: 4, dueAt: 6_000 }), true);
    const after = tasks.newTimer(taskOf('a'));
    expect([tasks.size, tasks.uncarried, before?.dueAt, after?.dueAt]).toEqual([1, 0, 5_000, 6_000]);
    expect(tasks.taskOf(before?.timer ?? 0)).toBeNull();
    expect(tasks.taskOf(after?.timer ?? 0)).toMatchObject({ taskId: 'a', seq: 4 });
  });

  it('gives a place to another task, which no timer of the one before wakes', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a'), true);
    const timer = tasks.newTimer(taskOf('a'))?.timer ?? -1;
    tasks.remove(taskOf('a'));
    expect(tasks.taskOf(timer)).toBeNull();
    tasks.add(waiting('b', { dueAt: 60_000 }), true);
    expect(tasks.taskOf(timer)).toBeNull();
    expect(tasks.taskOf(tasks.newTimer(taskOf('b'))?.timer ?? -1)?.taskId).toBe('b');
  });

  it('has no timer for a task that wants no waking, nor for one that it does not have', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a', { value: 'deadLettered.parse' }), true);
    expect([tasks.newTimer(taskOf('a')), tasks.newTimer(taskOf('b'))]).toEqual([null, null]);
  });

  it('calls a task carried over only at the record that was', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a', { seq: 4 }), false);
    tasks.carried(taskOf('a'), 3);
    tasks.carried(taskOf('unknown'), 4);
    expect(tasks.uncarried).toBe(1);
    tasks.carried(taskOf('a'), 4);
    tasks.carried(taskOf('a'), 4);
    expect([tasks.uncarried, tasks.get(taskOf('a'))?.isCarried]).toEqual([0, true]);
  });

  it('gives those that are not carried over in pages, each once', () => {
    const tasks = new PassiveTasks();
    for (let index = 0; index < 250; index += 1) tasks.add(waiting(`t-${index}`), index % 2 === 0);
    const seen: string[] = [];
    for (let place: number | null = 0; place !== null;) {
      const { taskIds, next } = tasks.uncarriedFrom(place, 20);
      seen.push(...taskIds);
      place = next;
    }
    expect(seen).toEqual(Array.from({ length: 125 }, (_, index) => `t-${2 * index + 1}`));
  });

  it('tells counts and ids by where tasks stand', () => {
    const tasks = new PassiveTasks();
    tasks.add(waiting('a'), true);
    tasks.add(waiting('b', { value: 'parse.held' }), true);
    tasks.add(waiting('c', { value: 'publish.held', pipeline: 'other' }), true);
    expect([...tasks.countByStatus()]).toEqual([
      ['backingOff', 1],
      ['held', 2],
    ]);
    expect([...tasks.idsOf(({ status }) => status === 'held')]).toEqual(['b', 'c']);
    expect([...tasks.idsOf(({ pipeline }) => pipeline === 'other')]).toEqual(['c']);
  });

  it('is what a plain map would be, whatever is added and removed', () => {
    const step = fc.record({
      kind: fc.constantFrom('add', 'remove', 'carry'),
      id: fc.integer({ min: 0, max: 40 }).map((index) => `task-${index}`),
      seq: fc.integer({ min: 1, max: 5 }),
      isCarried: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const tasks = new PassiveTasks();
        const model = new Map<string, { seq: number; isCarried: boolean }>();
        for (const { kind, id, seq, isCarried } of steps) {
          const known = model.get(id);
          if (kind === 'add') {
            tasks.add(waiting(id, { seq }), isCarried);
            model.set(id, { seq, isCarried });
          } else if (kind === 'remove') {
            tasks.remove(taskOf(id));
            model.delete(id);
          } else {
            tasks.carried(taskOf(id), seq);
            if (known?.seq === seq) known.isCarried = true;
          }
        }
        const found = [...tasks.taskIds()].map((id) => {
          const { seq, isCarried } = tasks.get(id) ?? {};
          return [id, { seq, isCarried }];
        });
        expect(Object.fromEntries(found)).toEqual(Object.fromEntries(model));
        expect(tasks.uncarried).toBe([...model.values()].filter((task) => !task.isCarried).length);
      }),
    );
  });
});
