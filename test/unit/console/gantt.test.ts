import { describe, expect, it } from 'vitest';
import { ganttOf, ticksOf } from '../../../console/src/model/gantt.ts';
import { machinePath } from '../../../console/src/model/machine-path.ts';
import type { HistoryRecord, TaskEvent } from '../../../console/src/api/types.ts';

/** Records as the API gives them: `[at, to, event]`, of epoch 1 when nothing else is said. */
function history(
  ...steps: readonly (readonly [at: number, to: string, event: unknown, epoch?: number])[]
): readonly HistoryRecord[] {
  return steps.map(
    ([at, to, event, epoch = 1], index) =>
      ({
        sequence: index + 1,
        index: 0,
        epoch,
        storedAt: at,
        record: { task: 't-1', seq: index + 1, at, to, event: event as TaskEvent, pipeline: 'card', version: 1 },
      }) as unknown as HistoryRecord,
  );
}

const submitted = { type: 'task.submitted', next: 'parse', skipped: [], start: true };
const failed = {
  type: 'stage.failed',
  stage: 'parse',
  attempt: 1,
  failure: {},
  decision: { kind: 'retry', dueAt: 300 },
};
const due = { type: 'retry.due', stage: 'parse', attempt: 2, start: true };
const skipped = [{ stage: 'photos', reason: 'none' }];
const completed = { type: 'stage.completed', stage: 'parse', attempt: 2, next: 'publish', skipped, start: false };
const started = { type: 'stage.started', stage: 'publish', attempt: 1 };
const ended = { type: 'stage.completed', stage: 'publish', attempt: 1, next: null, skipped: [], start: false };
const life = history(
  [100, 'parse.running', submitted],
  [200, 'parse.backingOff', failed],
  [300, 'parse.running', due],
  [400, 'publish.queued', completed],
  [450, 'publish.running', started],
  [600, 'completed', ended],
);
const stages = ['parse', 'photos', 'publish'];

describe("a task's time", () => {
  it('has attempts, waits and skips of each stage that was reached, in the order of the pipeline', () => {
    const gantt = ganttOf(life, stages, 9_999);
    expect(gantt).toMatchObject({ from: 100, to: 600, moves: [], skipped });
    expect(gantt?.lanes.map(({ stage }) => stage)).toEqual(['parse', 'publish']);
    expect(gantt?.lanes[0]?.spans).toMatchObject([
      { kind: 'running', from: 100, to: 200, attempt: 1, hasFailed: true },
      { kind: 'backingOff', from: 200, to: 300, attempt: 0, hasFailed: false },
      { kind: 'running', from: 300, to: 400, attempt: 2, hasFailed: false },
    ]);
    expect(gantt?.lanes[1]?.spans).toMatchObject([
      { kind: 'queued', from: 400, to: 450 },
      { kind: 'running', from: 450, to: 600, attempt: 1, isOpen: false },
    ]);
  });

  it('goes on until now while the task has not ended', () => {
    const gantt = ganttOf(life.slice(0, 2), stages, 750);
    expect(gantt?.to).toBe(750);
    expect(gantt?.lanes[0]?.spans.at(-1)).toMatchObject({ kind: 'backingOff', to: 750, isOpen: true });
  });

  it('keeps an attempt whole over its checkpoints', () => {
    const checkpoint = { type: 'stage.checkpointed', stage: 'parse', attempt: 1, name: 'one' };
    const gantt = ganttOf(history([0, 'parse.running', submitted], [5, 'parse.running', checkpoint]), stages, 9);
    expect(gantt?.lanes[0]?.spans).toMatchObject([{ from: 0, to: 9, attempt: 1 }]);
  });

  it('marks where another owner took over, and whether an attempt was cut off', () => {
    const cut = { type: 'owner.changed', stage: 'parse', attempt: 1, epoch: 2, decision: { kind: 'rerun' } };
    const again = { type: 'stage.started', stage: 'parse', attempt: 2 };
    const done = { ...completed, attempt: 2 };
    const gantt = ganttOf(
      history(
        [0, 'parse.running', submitted],
        [10, 'parse.queued', cut, 2],
        [11, 'parse.running', again, 2],
        [20, 'publish.queued', done, 4],
      ),
      stages,
      30,
    );
    expect(gantt?.moves).toEqual([
      { at: 10, epoch: 2, previousEpoch: 1, isInterruption: true },
      { at: 20, epoch: 4, previousEpoch: 2, isInterruption: false },
    ]);
  });

  it('never lets time run back where the clocks of two owners differ', () => {
    const gantt = ganttOf(history([100, 'parse.running', submitted], [90, 'parse.backingOff', failed]), stages, 80);
    expect(gantt?.lanes[0]?.spans.every(({ from, to }) => to >= from)).toBe(true);
    expect((gantt?.to ?? 0) > (gantt?.from ?? 0)).toBe(true);
  });

  it('is nothing without records, and a lane of its own for a stage that the pipeline does not have', () => {
    expect(ganttOf([], stages, 1)).toBeNull();
    expect(ganttOf(life, ['publish'], 1)?.lanes.map(({ stage }) => stage)).toEqual(['publish', 'parse']);
  });

  it.each([
    [7, 10],
    [1_000, 6],
    [86_400_000, 8],
    [40 * 86_400_000, 5],
  ])('an axis of %s ms has at most %s steps and begins at 0', (durationMs, most) => {
    const ticks = ticksOf(durationMs, most);
    expect(ticks[0]).toBe(0);
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length - 1).toBeLessThanOrEqual(most);
    expect(ticks.every((tick) => tick <= durationMs)).toBe(true);
  });
});

describe("a task's way through its machine", () => {
  it('counts entries of states, and the stages that it went between, up to the record that is looked at', () => {
    expect(machinePath(life, 2)).toMatchObject({ active: 'parse.running', lastEdge: null });
    expect(machinePath(life, 2).visits).toEqual(
      new Map([
        ['parse.running', 2],
        ['parse.backingOff', 1],
      ]),
    );
    const whole = machinePath(life, life.length - 1);
    expect(whole).toMatchObject({ active: 'completed', lastEdge: 'publish>completed' });
    expect([...whole.edges]).toEqual(['new>parse', 'parse>publish', 'publish>completed']);
  });

  it('is at the start before the first record', () => {
    expect(machinePath(life, -1)).toMatchObject({ active: 'new', lastEdge: null });
  });
});
