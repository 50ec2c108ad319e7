import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../../src/actors/view-of.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import { taskEventTypes, type TaskRecord } from '../../../src/core/records.ts';
import { finishedStatuses } from '../../../src/core/task-view.ts';
import type { IndexedTask } from '../../../src/ports/task-index.ts';
import { fingerprintFailure } from '../../../src/projections/failure-fingerprint.ts';
import { taskAfter } from '../../../src/projections/task-rows.ts';
import { a, aFailure, aTask, listingPipeline, type TaskInTest } from '../../support/a-task.ts';
import { histories, wander } from '../../support/random-history.ts';

const shard = 3 as ShardId;

function indexed(records: readonly TaskRecord[], from: IndexedTask | null = null): IndexedTask {
  const task = records.reduce<IndexedTask | null>((before, record) => taskAfter(before, record, shard), from);
  if (task === null) throw new Error('a task without a record');
  return task;
}

/** What a task's owner says of it, as far as the index says it too. */
function owned(task: TaskInTest) {
  const view = viewOf(task.known, { definition: listingPipeline, shard, owner: null, payloads: 'none' });
  const { taskId, pipeline, version, state, status, stage, attempt } = view;
  const { submittedAt, updatedAt, endedAt, dueAt, seq, stages, failure } = view;
  return {
    same: {
      taskId,
      pipeline,
      version,
      shard,
      state,
      status,
      stage,
      attempt,
      submittedAt,
      updatedAt,
      endedAt,
      dueAt,
      seq,
    },
    interruptionCount: stages.reduce((sum, { interruptions }) => sum + interruptions, 0),
    failure,
  };
}

describe('a task in the index', { timeout: 60_000 }, () => {
  it("R-EVT-2: after any history it is what the task's owner says: place, attempt, times, losses and failure", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(histories, (given) => {
        const task = wander(given);
        fc.pre(task.records.length > 0);
        for (const { event } of task.records) seen.add(event.type);
        const row = indexed(task.records);
        const { same, interruptionCount, failure } = owned(task);
        expect(row).toMatchObject({ ...same, interruptionCount });
        // The owner forgets a failure with its stage, the index does not.
        if (failure === null) return;
        const { class: failureClass, code, message } = failure;
        expect(row.failure).toEqual({ class: failureClass, code, message });
        // A canceled task has no stage any more, its failure was of one.
        if (row.stage !== null) expect(row.failureFingerprint).toBe(fingerprintFailure(row.stage, failure, row.taskId));
      }),
      { numRuns: 300 },
    );
    expect(taskEventTypes.filter((type) => !seen.has(type))).toEqual([]);
  });

  it('each prefix of a history gives the task as it was then', () => {
    const task = aTask();
    const views: unknown[] = [];
    const note = (): number => views.push(owned(task).same);
    task.send(a.submit());
    note();
    task.send(a.failing('parse'));
    note();
    task.send(a.pause());
    note();
    task.send(a.resume());
    note();
    task.send(a.timer(task.dueAt), { now: task.dueAt });
    note();
    task.send(a.completion('parse', 2));
    note();
    task.records.forEach((_, index) => {
      expect(indexed(task.records.slice(0, index + 1))).toMatchObject(views[index] as object);
    });
  });

  it('keeps its last failure when it goes on, and counts each failed attempt of its life', () => {
    const task = aTask().running('photos', { attempt: 2 });
    task.send(a.completion('photos', 2));
    const row = indexed(task.records);
    expect(row.stage).toBe('publish');
    expect(row.failureCount).toBe(1);
    expect(row.failure).toEqual({ class: 'retryable', code: 'HTTP_503', message: 'busy' });
    expect(row.failureFingerprint).toBe(fingerprintFailure('photos' as never, aFailure(), row.taskId));
  });

  it('a failure without a code has none', () => {
    const task = aTask().running('parse');
    task.send(a.failing('parse', 1, aFailure({ class: 'fatal', code: '' })));
    expect(indexed(task.records).failure?.code).toBeNull();
  });

  it('a submit under the id of a forgotten task begins anew', () => {
    const before = indexed(aTask().running('photos', { attempt: 2 }).records);
    const again = aTask().running('parse');
    expect(indexed(again.records, before)).toEqual(indexed(again.records));
  });

  it('the record of a task whose first ones are trimmed gives its place, and begins what only they told', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (given, cut) => {
        const task = wander(given);
        fc.pre(task.records.length > 1);
        const left = task.records.slice(1 + (cut % (task.records.length - 1)));
        const row = indexed(left);
        const { status, state, stage, seq, updatedAt, endedAt } = owned(task).same;
        expect(row).toMatchObject({ status, state, stage, seq, updatedAt, endedAt });
        expect(row.submittedAt).toBe(left[0]?.at);
        if (finishedStatuses.includes(status)) expect(row.endedAt).toBe(row.updatedAt);
      }),
      { numRuns: 200 },
    );
  });
});
