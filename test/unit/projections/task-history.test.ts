import { describe, expect, it } from 'vitest';
import type { Sequence, ShardId, TaskId } from '../../../src/core/ids.ts';
import type { PipelineEvent } from '../../../src/projections/cloud-event.ts';
import { parsePosition } from '../../../src/projections/position.ts';
import { followTask, type TaskFeedRequest } from '../../../src/projections/task-feed.ts';
import { readTaskHistory } from '../../../src/projections/task-history.ts';
import { ArrayJournal, anOrigin, aRecord, deadLettered, redriven, submitted } from '../../support/array-journal.ts';

const shard = 0 as ShardId;
const taskId = 'a' as TaskId;

function canceled(task: string, seq: number) {
  return aRecord(task, seq, { type: 'task.canceled', origin: anOrigin }, 'canceled');
}

/** Task `a` among others: submitted, dead-lettered and redriven in one commit, canceled. */
function aJournal(): ArrayJournal {
  const journal = new ArrayJournal();
  journal.commit(0, [submitted('other'), submitted('a')], { epoch: 1 });
  journal.commit(1, [submitted('elsewhere')]);
  journal.commit(0, [deadLettered('a', 2), redriven('a', 3)], { epoch: 2 });
  journal.commit(0, [canceled('a', 4)], { epoch: 2 });
  journal.commit(0, [canceled('other', 2)], { epoch: 2 });
  return journal;
}

async function all(journal: ArrayJournal, request: Partial<TaskFeedRequest> = {}): Promise<string[]> {
  const events: PipelineEvent[] = [];
  const { signal } = new AbortController();
  for await (const event of followTask({ journal, namespace: 'cabinet', shard, taskId, signal, ...request })) {
    events.push(event);
  }
  return events.map(({ id, type }) => `${id} ${type.replace('io.cabinet.', '')}`);
}

describe('the history of a task', () => {
  it('R-EVT-1: is all its records in order, with the sequence and epoch of each', async () => {
    const history = await readTaskHistory({ journal: aJournal(), shard, taskId });
    expect(history.records.map(({ sequence, epoch, index, record }) => [sequence, epoch, index, record.seq])).toEqual([
      [1, 1, 1, 1],
      [3, 2, 0, 2],
      [3, 2, 1, 3],
      [4, 2, 0, 4],
    ]);
    expect(history).toMatchObject({ isComplete: true, missingCount: 0, through: 5 });
  });

  it('says so when its beginning is trimmed', async () => {
    const journal = aJournal();
    await journal.trim(shard, 3 as Sequence);
    const history = await readTaskHistory({ journal, shard, taskId });
    expect(history).toMatchObject({ isComplete: false, missingCount: 3 });
    expect(history.records.map(({ record }) => record.seq)).toEqual([4]);
  });

  it('after a sequence it gives what came since', async () => {
    const history = await readTaskHistory({ journal: aJournal(), shard, taskId, afterSequence: 3 as Sequence });
    expect(history).toMatchObject({ isComplete: false, missingCount: 3 });
  });

  it('of an id that was used again it is that of the newest task', async () => {
    const journal = aJournal();
    journal.commit(0, [submitted('a')]);
    const history = await readTaskHistory({ journal, shard, taskId });
    expect(history.records.map(({ sequence }) => sequence)).toEqual([6]);
    expect(history.isComplete).toBe(true);
  });

  it('of a task that the journal does not know is empty and not complete', async () => {
    for (const journal of [aJournal(), new ArrayJournal()]) {
      const history = await readTaskHistory({ journal, shard, taskId: 'nobody' as TaskId });
      expect(history).toMatchObject({ records: [], isComplete: false, missingCount: 0 });
    }
  });

  it('RECORD_CORRUPT names the sequence at which a record is missing in between', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('a')]);
    journal.commit(0, [canceled('a', 3)]);
    await expect(readTaskHistory({ journal, shard, taskId })).rejects.toMatchObject({
      code: 'RECORD_CORRUPT',
      message: 'journal entry 2: task a has record 3 after record 1',
    });
  });

  it('INVALID_ARGUMENT for a sequence that is none', async () => {
    const reading = readTaskHistory({ journal: aJournal(), shard, taskId, afterSequence: -1 as Sequence });
    await expect(reading).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field: 'afterSequence' });
  });
});

describe('the feed of a task', () => {
  const events = [
    '1-2-1 task.submitted',
    '1-2-2 stage.started',
    '3-1-1 stage.failed',
    '3-1-2 task.dead-lettered',
    '3-2-1 task.redriven',
    '3-2-2 stage.queued',
    '4-1-1 task.canceled',
  ];

  it('R-EVT-1: gives the events of one task and ends by itself after its end', async () => {
    expect(await all(aJournal(), { endOnDeadLetter: false })).toEqual(events);
  });

  it('ends at a dead letter when nothing else is said', async () => {
    expect(await all(aJournal())).toEqual(events.slice(0, 4));
  });

  it('R-EVT-1: follows what is committed while it is read, each event once', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('a')]);
    journal.commit(0, [submitted('other')]);
    const reading = all(journal);
    await Promise.resolve();
    journal.commit(0, [deadLettered('a', 2)]);
    expect(await reading).toEqual([
      '1-1-1 task.submitted',
      '1-1-2 stage.started',
      '3-1-1 stage.failed',
      '3-1-2 task.dead-lettered',
    ]);
  });

  it('goes on after any of its events, and ends at once after its last', async () => {
    for (const [index, event] of events.entries()) {
      const after = parsePosition(event.split(' ')[0]);
      expect(await all(aJournal(), { after, endOnDeadLetter: false })).toEqual(events.slice(index + 1));
    }
  });

  it('a feed that ended at a dead letter ends at once when it is resumed there, and goes on after the redrive', async () => {
    const journal = aJournal();
    expect(await all(journal, { after: parsePosition('3-1-2') })).toEqual([]);
    expect(await all(journal, { after: parsePosition('3-2-1') })).toEqual(events.slice(5));
  });

  it('goes on from where the history ends, though the entries of its last event are trimmed meanwhile', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('a')]);
    journal.commit(0, [submitted('other')]);
    const { signal } = new AbortController();
    const feed = followTask({ journal, namespace: 'cabinet', shard, taskId, signal });
    expect((await feed.next()).value).toMatchObject({ id: '1-1-1' });
    expect((await feed.next()).value).toMatchObject({ id: '1-1-2' });
    await journal.trim(shard, 1 as Sequence);
    journal.commit(0, [canceled('a', 2)]);
    expect((await feed.next()).value).toMatchObject({ id: '3-1-1' });
    expect((await feed.next()).done).toBe(true);
  });

  it('ends when the signal aborts, also while a task that nobody submitted is awaited', async () => {
    const stop = new AbortController();
    const reading = all(new ArrayJournal(), { signal: stop.signal });
    stop.abort();
    expect(await reading).toEqual([]);
  });

  it.each(['1-1-1', '2-1-1', '5-1-1', '1-0-0'])(
    'INVALID_ARGUMENT for position %s, which is of another task or none',
    async (position) => {
      await expect(all(aJournal(), { after: parsePosition(position) })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'after',
        message: expect.stringContaining('not of an event of task a'),
      });
    },
  );

  it('INVALID_ARGUMENT for a position beyond the last entry of the shard, instead of a wait for ever', async () => {
    await expect(all(aJournal(), { after: parsePosition('77-1-1') })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'after',
    });
  });
});
