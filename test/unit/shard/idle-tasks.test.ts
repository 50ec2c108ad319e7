import { describe, expect, it } from 'vitest';

import { IdleTasks } from '../../../src/shard/idle-tasks.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { aTask, submitted } from '../../support/task-kit.ts';

const card = aPipeline();
const task = (id: string) => aTask(card, id, [submitted(card)]).state;

function idle(...entries: readonly (readonly [id: string, sinceMs: number])[]): IdleTasks {
  const tasks = new IdleTasks();
  for (const [id, sinceMs] of entries) tasks.add(task(id), sinceMs);
  return tasks;
}

const idsOf = (tasks: IdleTasks, wanted: Parameters<IdleTasks['take']>[0]): readonly string[] =>
  tasks.take(wanted).map(({ taskId }) => taskId);

describe('tasks that wait in memory', () => {
  it('are taken out when they have waited for long enough, the longest first', () => {
    const tasks = idle(['a', 10], ['b', 20], ['c', 30]);
    expect(idsOf(tasks, { sinceMs: 20, over: 0, most: 10 })).toEqual(['a', 'b']);
    expect([tasks.size, tasks.oldestSinceMs]).toEqual([1, 30]);
  });

  it('are taken out before that when there are too many, so many as are too many', () => {
    const tasks = idle(['a', 10], ['b', 20], ['c', 30]);
    expect(idsOf(tasks, { sinceMs: 0, over: 2, most: 10 })).toEqual(['a', 'b']);
    expect(idsOf(tasks, { sinceMs: 0, over: -5, most: 10 })).toEqual([]);
  });

  it('are taken out no more than so many at a time', () => {
    const tasks = idle(['a', 10], ['b', 20], ['c', 30]);
    expect(idsOf(tasks, { sinceMs: 30, over: 3, most: 2 })).toEqual(['a', 'b']);
  });

  it('go to the end when they begin to wait anew, with their newest state', () => {
    const tasks = idle(['a', 10], ['b', 20]);
    const newer = task('a');
    tasks.add(newer, 30);
    expect(tasks.oldestSinceMs).toBe(20);
    const [, last] = tasks.take({ sinceMs: 30, over: 0, most: 10 });
    expect(last).toBe(newer);
    expect([tasks.size, tasks.oldestSinceMs]).toEqual([0, null]);
  });
});
