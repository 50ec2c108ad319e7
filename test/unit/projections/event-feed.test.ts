import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sequence, ShardId, StageName, TaskId } from '../../../src/core/ids.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { eventsOfEntry, type PipelineEvent } from '../../../src/projections/cloud-event.ts';
import { followEvents, type EventFeedRequest } from '../../../src/projections/event-feed.ts';
import { parsePosition, startPosition, type Position } from '../../../src/projections/position.ts';
import { ArrayJournal, anOwner, aRecord, deadLettered, redriven, submitted } from '../../support/array-journal.ts';

/** The next `count` events of a feed; ends the feed. */
async function take(
  journal: ArrayJournal,
  count: number,
  request: Partial<EventFeedRequest> = {},
): Promise<PipelineEvent[]> {
  const stop = new AbortController();
  const events: PipelineEvent[] = [];
  if (count === 0) return events;
  for await (const event of followEvents({ journal, namespace: 'cabinet', signal: stop.signal, ...request })) {
    events.push(event);
    if (events.length === count) break;
  }
  stop.abort();
  return events;
}

function ids(events: readonly PipelineEvent[]): string[] {
  return events.map(({ id }) => id);
}

function everyEvent(journal: ArrayJournal): PipelineEvent[] {
  return journal.entries.flatMap((entry) => eventsOfEntry(entry, 'cabinet'));
}

function started(task: string, seq: number): TaskRecord {
  return aRecord(task, seq, { type: 'stage.started', stage: 'parse' as StageName, attempt: 1 }, 'parse.running');
}

/** Two shards, four commits; the third has several records of several events. */
function aJournal(): ArrayJournal {
  const journal = new ArrayJournal();
  journal.commit(0, [submitted('a')], { owner: anOwner(1) });
  journal.commit(1, [], { owner: anOwner(1) });
  journal.commit(0, [deadLettered('a', 2), redriven('a', 3), submitted('b')]);
  journal.commit(1, [submitted('c'), submitted('d')]);
  return journal;
}

describe('the event feed', () => {
  it('R-EVT-1: gives the events of all shards in the order of the journal, then waits for more', async () => {
    const journal = aJournal();
    const before = everyEvent(journal);
    const reading = take(journal, before.length + 2);
    journal.commit(0, [submitted('e')]);
    const events = await reading;
    expect(events).toEqual(everyEvent(journal));
    expect(events).toHaveLength(before.length + 2);
  });

  it('R-EVT-1: goes on exactly after a position within a commit', async () => {
    const journal = aJournal();
    const all = ids(everyEvent(journal));
    const at = all.indexOf('3-1-1');
    expect(all.slice(at, at + 2)).toEqual(['3-1-1', '3-1-2']);
    expect(ids(await take(journal, 3, { after: parsePosition('3-1-1') }))).toEqual(all.slice(at + 1, at + 4));
  });

  it('R-EVT-1, R-EVT-2: split at any events, the feed gives each event once and misses none', async () => {
    const record = fc.constantFrom('s', 'd', 'r', 'x').map((kind) => (task: string) => {
      if (kind === 's') return submitted(task);
      if (kind === 'd') return deadLettered(task, 2);
      return kind === 'r' ? redriven(task, 3) : started(task, 4);
    });
    const commit = fc.record({
      shard: fc.nat({ max: 3 }),
      records: fc.array(record, { maxLength: 4 }),
      hasOwner: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(commit, { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 5 })),
        async (commits, steps) => {
          const journal = new ArrayJournal();
          for (const { shard, records, hasOwner } of commits) {
            const built = records.map((build, index) => build(`t-${index}`));
            journal.commit(shard, built, hasOwner ? { owner: anOwner(1) } : {});
          }
          const all = ids(everyEvent(journal));
          const read: string[] = [];
          let after: Position = startPosition;
          while (read.length < all.length) {
            const count = Math.min(Number(steps.next().value), all.length - read.length);
            read.push(...ids(await take(journal, count, { after })));
            after = parsePosition(read.at(-1));
          }
          expect(read).toEqual(all);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('filters by shard, task and type without a change of positions', async () => {
    const journal = aJournal();
    const of = async (count: number, request: Partial<EventFeedRequest>) => ids(await take(journal, count, request));
    expect(await of(2, { shard: 1 as ShardId })).toEqual(['2-0-1', '4-1-1']);
    expect(await of(2, { taskId: 'b' as TaskId })).toEqual(['3-3-1', '3-3-2']);
    expect(await of(1, { types: ['io.cabinet.task.dead-lettered'] })).toEqual(['3-1-2']);
  });

  it('R-EVT-2: reading appends nothing, and ends when the signal aborts', async () => {
    const journal = aJournal(); // Its `append` throws.
    const stop = new AbortController();
    const read: PipelineEvent[] = [];
    const feed = followEvents({ journal, namespace: 'cabinet', signal: stop.signal });
    for await (const event of feed) {
      read.push(event);
      if (read.length === everyEvent(journal).length) stop.abort();
    }
    expect(read).toEqual(everyEvent(journal));
  });

  it('a position that is trimmed is INVALID_ARGUMENT that names the oldest one', async () => {
    const journal = aJournal();
    await journal.trim(0 as ShardId, 2 as Sequence);
    await expect(take(journal, 1, { after: parsePosition('1-0-1') })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'after',
      message: expect.stringContaining('position 1-0-1 is trimmed; oldest is 2-0-0'),
    });
    expect(ids(await take(journal, 1, { after: parsePosition('2-0-0') }))).toEqual(['2-0-1']);
  });

  it('a position behind which another shard was trimmed is INVALID_ARGUMENT, though the journal begins before it', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('idle')]); // Never trimmed: it is the last of its shard.
    journal.commit(1, [submitted('a')]);
    journal.commit(1, [submitted('b')]);
    journal.commit(1, [submitted('c')]);
    await journal.trim(1 as ShardId, 3 as Sequence);
    expect((await journal.bounds()).first).toBe(1);
    await expect(take(journal, 2, { after: parsePosition('1-1-1') })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('entry 3 of shard 1 is gone'),
    });
  });

  it('a reader that trimming overtakes gets INVALID_ARGUMENT, not a gap', async () => {
    const journal = aJournal();
    const feed = followEvents({ journal, namespace: 'cabinet', signal: new AbortController().signal });
    expect((await feed.next()).value).toMatchObject({ id: '1-0-1' });
    await journal.trim(1 as ShardId, 2 as Sequence);
    journal.commit(0, [started('b', 2)]);
    journal.commit(0, [started('b', 3)]);
    await journal.trim(0 as ShardId, 5 as Sequence);
    const rest = (async () => {
      for await (const event of feed) if (event.id.startsWith('6-')) return event;
      return null;
    })();
    await expect(rest).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('a new reader of a trimmed journal begins with what is left', async () => {
    const journal = aJournal();
    await journal.trim(0 as ShardId, 1 as Sequence);
    expect(ids(await take(journal, 2))).toEqual(['2-0-1', '3-1-1']);
  });

  it('a position in the future is INVALID_ARGUMENT, also in an empty journal', async () => {
    for (const journal of [aJournal(), new ArrayJournal()]) {
      await expect(take(journal, 1, { after: parsePosition('5-1-1') })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('is in the future'),
      });
    }
  });

  it('a text that is no position, or a type that is no event type, is INVALID_ARGUMENT', async () => {
    const journal = aJournal();
    await expect(take(journal, 1, { after: 'latest' as Position })).rejects.toMatchObject({ field: 'after' });
    await expect(take(journal, 1, { types: ['task.completed' as never] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'types',
      got: 'task.completed',
    });
  });

  it('RECORD_CORRUPT names the sequence, after all events before it', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('a')]);
    journal.put(0, Buffer.from([0xc1]));
    const feed = followEvents({ journal, namespace: 'cabinet', signal: new AbortController().signal });
    expect((await feed.next()).value).toMatchObject({ id: '1-1-1' });
    expect((await feed.next()).value).toMatchObject({ id: '1-1-2' });
    await expect(feed.next()).rejects.toMatchObject({
      code: 'RECORD_CORRUPT',
      message: expect.stringContaining('journal entry 2 of shard 0'),
    });
  });
});
