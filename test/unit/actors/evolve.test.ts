import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replay } from '../../../src/actors/evolve.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import type { TaskState } from '../../../src/actors/task-state.ts';
import { assembleCommit, decodeCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { Epoch, TaskId } from '../../../src/core/ids.ts';
import { taskEventTypes, type TaskRecord } from '../../../src/core/records.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { a, aTask, listingPipeline } from '../../support/a-task.ts';
import { histories, wander } from '../../support/random-history.ts';

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
