import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Sequence, ShardId } from '../../src/core/ids.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../../src/ports/journal.ts';

/** An adapter under test: a place where journals live. */
export interface JournalWorld {
  /** A client of a log that nothing was written to. */
  freshJournal(): Promise<Journal>;
  /** Another client of the log of a journal that `freshJournal` gave. */
  anotherClientOf(journal: Journal): Promise<Journal>;
  stop(): Promise<void>;
}

/** What differs between adapters by design. */
export interface JournalTraits {
  /** Whose rules hold for repeated and concurrent appends: see `MemoryJournalOptions.replicas`. */
  readonly replicas: 1 | 3;
}

const none = 0 as Sequence;

/** A body that tells where it stands. */
export function bodyOf(text: string): Uint8Array {
  return Buffer.from(text);
}

/** The text of an entry's body. */
export function textOf(entry: JournalEntry): string {
  return Buffer.from(entry.body).toString();
}

/** The sequence of an append that must have been committed. */
export function committedAt(outcome: AppendOutcome): Sequence {
  expect(outcome).toMatchObject({ kind: 'committed' });
  return outcome.kind === 'committed' ? outcome.sequence : none;
}

/** Appends texts one after the other and gives their sequences. Another write in process is waited for. */
export async function appendAll(
  journal: Journal,
  shard: ShardId,
  texts: readonly string[],
  after: Sequence = none,
): Promise<readonly Sequence[]> {
  const sequences: Sequence[] = [];
  for (const text of texts) {
    const expectedLast = sequences.at(-1) ?? after;
    sequences.push(
      committedAt(await journal.append({ shard, body: bodyOf(text), expectedLast, messageId: `${shard}.${text}` })),
    );
  }
  return sequences;
}

/** Takes entries until there are `count`. */
export async function take(entries: AsyncIterable<JournalEntry>, count: number): Promise<JournalEntry[]> {
  const taken: JournalEntry[] = [];
  if (count === 0) return taken;
  for await (const entry of entries) {
    taken.push(entry);
    if (taken.length === count) break;
  }
  return taken;
}

/** Takes all entries of something that ends. */
export async function takeAll(entries: AsyncIterable<JournalEntry>): Promise<JournalEntry[]> {
  return take(entries, Number.POSITIVE_INFINITY);
}

/** The numbers 1 to `count` as texts with a name before them. */
export function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}${index + 1}`);
}

/** The promise of the `Journal` port, asked of one adapter. */
export function testJournal(name: string, traits: JournalTraits, start: () => Promise<JournalWorld>): void {
  describe(`the journal contract: ${name}`, () => {
    let world: JournalWorld;
    let journal: Journal;
    let lastShard = 0;
    const nextShard = (): ShardId => (lastShard += 1) as ShardId;

    beforeAll(async () => {
      world = await start();
      journal = await world.freshJournal();
    });
    afterAll(async () => {
      await world.stop();
    });

    describe('append', () => {
      it('commits a first append that expects 0 and the next that expects the first', async () => {
        const shard = nextShard();
        const first = await journal.append({ shard, body: bodyOf('a'), expectedLast: none, messageId: `${shard}.a` });
        expect(first).toEqual({ kind: 'committed', sequence: expect.any(Number), duplicate: false });
        const expectedLast = committedAt(first);
        const second = await journal.append({ shard, body: bodyOf('b'), expectedLast, messageId: `${shard}.b` });
        expect(committedAt(second)).toBeGreaterThan(expectedLast);
      });

      it('R-LOCK-1: answers conflict to a stale expectation and stores nothing', async () => {
        const shard = nextShard();
        const [first, second] = await appendAll(journal, shard, ['a', 'b']);
        for (const expectedLast of [none, first as Sequence, ((second as number) + 1_000) as Sequence]) {
          const messageId = `${shard}.stale.${expectedLast}`;
          expect(await journal.append({ shard, body: bodyOf('zombie'), expectedLast, messageId })).toEqual({
            kind: 'conflict',
          });
        }
        const all = await takeAll(journal.read({ shard, after: none, through: second as Sequence }));
        expect(all.map(textOf)).toEqual(['a', 'b']);
        expect((await journal.readLast(shard))?.sequence).toBe(second);
      });

      it('R-LOCK-1: refuses every append of an old owner once a new one has appended', async () => {
        const shard = nextShard();
        const newOwner = await world.anotherClientOf(journal);
        const [last] = await appendAll(journal, shard, ['old.1']);
        await appendAll(newOwner, shard, ['owner.changed'], last);
        const zombie = await journal.append({
          shard,
          body: bodyOf('old.2'),
          expectedLast: last as Sequence,
          messageId: `${shard}.old.2`,
        });
        expect(zombie).toEqual({ kind: 'conflict' });
      });

      it('R-IDEM-2: stores a repeated append once and tells the repeat by the rules of its server', async () => {
        const shard = nextShard();
        const request = { shard, body: bodyOf('a'), expectedLast: none, messageId: `${shard}.1.1` };
        const sequence = committedAt(await journal.append(request));
        const repeated = await journal.append(request);
        expect(repeated).toEqual(
          traits.replicas === 3 ? { kind: 'committed', sequence, duplicate: true } : { kind: 'conflict' },
        );
        const last = await journal.readLast(shard);
        expect(last).toMatchObject({ sequence, previous: none });
        expect(await takeAll(journal.read({ shard, after: none, through: sequence }))).toHaveLength(1);
      });

      it('does not use up the message id of an append that was refused', async () => {
        const shard = nextShard();
        const [first] = await appendAll(journal, shard, ['a']);
        const messageId = `${shard}.again`;
        expect(await journal.append({ shard, body: bodyOf('b'), expectedLast: none, messageId })).toEqual({
          kind: 'conflict',
        });
        const expectedLast = first as Sequence;
        expect(await journal.append({ shard, body: bodyOf('b'), expectedLast, messageId })).toMatchObject({
          kind: 'committed',
          duplicate: false,
        });
      });

      it('R-LOCK-1: lets one of many concurrent appends with one expectation win', async () => {
        const clients = [journal, await world.anotherClientOf(journal), await world.anotherClientOf(journal)];
        for (let round = 1; round <= 10; round += 1) {
          const shard = nextShard();
          const outcomes = await Promise.all(
            numbered('writer', 9).map((writer, index) =>
              (clients[index % clients.length] as Journal).append({
                shard,
                body: bodyOf(writer),
                expectedLast: none,
                messageId: `${shard}.${writer}`,
              }),
            ),
          );
          const winners = outcomes.filter((outcome) => outcome.kind === 'committed');
          expect(winners).toHaveLength(1);
          const losers = new Set(outcomes.filter((outcome) => outcome.kind !== 'committed').map(({ kind }) => kind));
          for (const kind of losers) {
            expect(traits.replicas === 3 ? ['conflict', 'busy'] : ['conflict']).toContain(kind);
          }
        }
      });

      it('commits concurrent appends of different shards', async () => {
        const shards = Array.from({ length: 16 }, nextShard);
        const outcomes = await Promise.all(
          shards.map((shard) =>
            journal.append({ shard, body: bodyOf('a'), expectedLast: none, messageId: `${shard}.a` }),
          ),
        );
        expect(new Set(outcomes.map(committedAt)).size).toBe(shards.length);
      });

      it('takes a body of the maximum size and answers refused to one byte more', async () => {
        const shard = nextShard();
        const largest = new Uint8Array(journal.maximumBodyBytes).fill(7);
        const tooLarge = new Uint8Array(journal.maximumBodyBytes + 1);
        const request = { shard, expectedLast: none, messageId: `${shard}.${'x'.repeat(60)}` };
        expect(await journal.append({ ...request, body: tooLarge })).toMatchObject({ kind: 'refused' });
        expect(await journal.readLast(shard)).toBeNull();
        committedAt(await journal.append({ ...request, body: largest }));
        expect((await journal.readLast(shard))?.body.length).toBe(largest.length);
      });
    });

    describe('readLast', () => {
      it('gives null for a shard that was never written', async () => {
        expect(await journal.readLast(nextShard())).toBeNull();
      });

      it('gives every append as soon as it is acknowledged, also to another client', async () => {
        const shard = nextShard();
        const reader = await world.anotherClientOf(journal);
        let last = none;
        for (const text of numbered('record', 60)) {
          [last = none] = await appendAll(journal, shard, [text], last);
          const entry = await reader.readLast(shard);
          expect(entry).toMatchObject({ shard, sequence: last });
          expect(entry === null ? null : textOf(entry)).toBe(text);
        }
      });

      it('gives the body byte for byte, the time of storing and the sequence before it', async () => {
        const shard = nextShard();
        const [first] = await appendAll(journal, shard, ['a']);
        const body = Uint8Array.from({ length: 256 }, (_, index) => index);
        const before = Date.now();
        const outcome = await journal.append({
          shard,
          body,
          expectedLast: first as Sequence,
          messageId: `${shard}.bytes`,
        });
        const entry = await journal.readLast(shard);
        expect([...(entry?.body ?? [])]).toEqual([...body]);
        expect(entry).toMatchObject({ shard, sequence: committedAt(outcome), previous: first });
        expect(Math.abs((entry?.storedAt ?? 0) - before)).toBeLessThan(60_000);
      });
    });

    describe('read', () => {
      it('R-CORE-3: gives what stands after one sequence up to another, in order, and ends there', async () => {
        const shard = nextShard();
        const sequences = await appendAll(journal, shard, numbered('r', 10));
        const [, , third, , , , , eighth] = sequences;
        const range = { shard, after: third as Sequence, through: eighth as Sequence };
        const entries = await takeAll(journal.read(range));
        expect(entries.map(textOf)).toEqual(['r4', 'r5', 'r6', 'r7', 'r8']);
        expect(entries.map((entry) => entry.sequence)).toEqual(sequences.slice(3, 8));
        expect(entries.map((entry) => entry.previous)).toEqual(sequences.slice(2, 7));
      });

      it('gives hundreds of messages of one shard without those that other shards wrote between them', async () => {
        const shard = nextShard();
        const other = nextShard();
        const texts = numbered('r', 200);
        const [sequences] = await Promise.all([
          appendAll(journal, shard, texts),
          appendAll(journal, other, numbered('o', 200)),
        ]);
        const through = sequences.at(-1) ?? none;
        const entries = await takeAll(journal.read({ shard, after: none, through }));
        expect(entries.map(textOf)).toEqual(texts);
        expect(entries.every((entry) => entry.shard === shard)).toBe(true);
      });

      it('reaches what another client committed just before', async () => {
        const reader = await world.anotherClientOf(journal);
        for (let round = 1; round <= 10; round += 1) {
          const shard = nextShard();
          const [through = none] = (await appendAll(journal, shard, ['a', 'b', 'c'])).slice(-1);
          expect(await takeAll(reader.read({ shard, after: none, through }))).toHaveLength(3);
        }
      });

      it('gives nothing for an empty range', async () => {
        const shard = nextShard();
        const [first] = await appendAll(journal, shard, ['a']);
        const range = { shard, after: first as Sequence, through: first as Sequence };
        expect(await takeAll(journal.read(range))).toEqual([]);
      });

      it('can be left early', async () => {
        const shard = nextShard();
        const sequences = await appendAll(journal, shard, numbered('r', 5));
        const entries = journal.read({ shard, after: none, through: sequences.at(-1) ?? none });
        expect((await take(entries, 2)).map(textOf)).toEqual(['r1', 'r2']);
      });

      it('fails with LOG_REGRESSED when the shard ends before the sequence that was acknowledged', async () => {
        const shard = nextShard();
        const [last] = await appendAll(journal, shard, ['a']);
        const through = ((last as number) + 1) as Sequence;
        // Another shard's message has that sequence; it does not count.
        await appendAll(journal, nextShard(), ['other']);
        await expect(takeAll(journal.read({ shard, after: none, through }))).rejects.toMatchObject({
          code: 'LOG_REGRESSED',
          limit: `at least ${through}`,
          got: String(last),
        });
      });

      it('fails with LOG_REGRESSED for a shard that has lost everything', async () => {
        const range = { shard: nextShard(), after: none, through: 1 as Sequence };
        await expect(takeAll(journal.read(range))).rejects.toMatchObject({ code: 'LOG_REGRESSED', got: '0' });
      });
    });

    describe('follow', () => {
      it('gives all shards in one order without gaps and waits for more', async () => {
        const own = await world.freshJournal();
        await appendAll(own, 1 as ShardId, ['a1', 'a2']);
        const abort = new AbortController();
        const followed = take(own.follow({ after: none, signal: abort.signal }), 6);
        await appendAll(own, 2 as ShardId, ['b1', 'b2', 'b3', 'b4']);
        const entries = await followed;
        expect(entries.map(textOf)).toEqual(['a1', 'a2', 'b1', 'b2', 'b3', 'b4']);
        expect(entries.map((entry) => entry.sequence)).toEqual([1, 2, 3, 4, 5, 6]);
        expect(entries.map((entry) => entry.shard)).toEqual([1, 1, 2, 2, 2, 2]);
        abort.abort();
      });

      it('gives one shard alone when it is asked to', async () => {
        const shard = nextShard();
        const abort = new AbortController();
        const followed = take(journal.follow({ after: none, shard, signal: abort.signal }), 3);
        await appendAll(journal, nextShard(), ['other']);
        await appendAll(journal, shard, ['a', 'b', 'c']);
        expect((await followed).map(textOf)).toEqual(['a', 'b', 'c']);
        abort.abort();
      });

      it('R-EVT-2: resumes after any sequence without a gap and without a duplicate', async () => {
        const own = await world.freshJournal();
        const texts = numbered('r', 150);
        const writing = appendAll(own, 5 as ShardId, texts);
        const seen: JournalEntry[] = [];
        while (seen.length < texts.length) {
          const signal = new AbortController().signal;
          const count = Math.min(37, texts.length - seen.length);
          seen.push(...(await take(own.follow({ after: seen.at(-1)?.sequence ?? none, signal }), count)));
        }
        await writing;
        expect(seen.map(textOf)).toEqual(texts);
      });

      it('ends when its signal aborts while it waits', async () => {
        const shard = nextShard();
        const [last] = await appendAll(journal, shard, ['a']);
        const abort = new AbortController();
        const ended = takeAll(journal.follow({ after: last as Sequence, shard, signal: abort.signal }));
        abort.abort();
        expect(await ended).toEqual([]);
      });

      it('gives nothing when its signal has aborted before', async () => {
        const shard = nextShard();
        await appendAll(journal, shard, ['a']);
        expect(await takeAll(journal.follow({ after: none, shard, signal: AbortSignal.abort() }))).toEqual([]);
      });

      it('fails with LOG_REGRESSED instead of waiting for sequences that are lost', async () => {
        const { last } = await journal.bounds();
        const after = (last + 1_000) as Sequence;
        const signal = new AbortController().signal;
        await expect(take(journal.follow({ after, signal }), 1)).rejects.toMatchObject({ code: 'LOG_REGRESSED' });
      });
    });

    describe('bounds', () => {
      it('are both 0 for an empty log', async () => {
        const empty = await world.freshJournal();
        expect(await empty.bounds()).toEqual({ first: 0, last: 0 });
      });

      it('are the first and last sequence of the whole log', async () => {
        const own = await world.freshJournal();
        await appendAll(own, 1 as ShardId, ['a', 'b']);
        await appendAll(own, 2 as ShardId, ['c']);
        expect(await own.bounds()).toEqual({ first: 1, last: 3 });
        await own.trim(1 as ShardId, 1 as Sequence);
        expect(await own.bounds()).toEqual({ first: 2, last: 3 });
      });
    });

    describe('trim', () => {
      it('removes what it is told to and leaves the rest', async () => {
        const shard = nextShard();
        const other = nextShard();
        const sequences = await appendAll(journal, shard, numbered('r', 5));
        const [kept] = await appendAll(journal, other, ['kept']);
        await journal.trim(shard, sequences[2] as Sequence);
        const entries = await takeAll(journal.read({ shard, after: none, through: sequences[4] as Sequence }));
        expect(entries.map(textOf)).toEqual(['r4', 'r5']);
        expect((await journal.readLast(other))?.sequence).toBe(kept);
      });

      it('R-LOCK-1: never removes the last message, so that the fence holds', async () => {
        const shard = nextShard();
        const sequences = await appendAll(journal, shard, numbered('r', 4));
        const last = sequences.at(-1) as Sequence;
        await journal.trim(shard, (last + 1_000) as Sequence);
        expect(await journal.readLast(shard)).toMatchObject({ sequence: last });
        expect(await takeAll(journal.read({ shard, after: none, through: last }))).toHaveLength(1);
        const stale = { shard, body: bodyOf('x'), expectedLast: none, messageId: `${shard}.stale` };
        expect(await journal.append(stale)).toEqual({ kind: 'conflict' });
        await appendAll(journal, shard, ['next'], last);
      });

      it('does nothing on an empty shard, before the first message, and when repeated', async () => {
        const shard = nextShard();
        await journal.trim(shard, 1_000_000 as Sequence);
        expect(await journal.readLast(shard)).toBeNull();
        const sequences = await appendAll(journal, shard, numbered('r', 3));
        const last = sequences.at(-1) as Sequence;
        await journal.trim(shard, none);
        expect(await takeAll(journal.read({ shard, after: none, through: last }))).toHaveLength(3);
        await journal.trim(shard, sequences[0] as Sequence);
        await journal.trim(shard, sequences[0] as Sequence);
        expect(await takeAll(journal.read({ shard, after: none, through: last }))).toHaveLength(2);
      });
    });
  });
}
