import { describe, expect, it } from 'vitest';

import type { Sequence, ShardId } from '../../../src/core/ids.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { AppendOutcome } from '../../../src/ports/journal.ts';
import { MemoryJournal, type JournalFault, type JournalOperation } from '../../../src/store/memory-journal.ts';

const shard = 1 as ShardId;
const none = 0 as Sequence;
const request = { shard, body: Buffer.from('a'), expectedLast: none, messageId: 'm1' };

/** A journal whose appends meet the given faults, one after the other, and then none. */
function faulty(
  faults: readonly JournalFault[],
  replicas: 1 | 3 = 1,
): { clock: VirtualClock; journal: MemoryJournal; seen: JournalOperation[] } {
  const clock = new VirtualClock();
  const seen: JournalOperation[] = [];
  const journal = new MemoryJournal({
    clock,
    replicas,
    latencyMs: 4,
    faults: (operation) => {
      seen.push(operation);
      return faults[seen.length - 1] ?? 'none';
    },
  });
  return { clock, journal, seen };
}

/** The outcome once it is there, and the virtual time that it took. */
async function outcomeOf(
  clock: VirtualClock,
  pending: Promise<AppendOutcome>,
): Promise<{ outcome: AppendOutcome; tookMs: number }> {
  const startMs = clock.monotonicMs();
  let outcome: AppendOutcome | undefined;
  void pending.then((value) => (outcome = value));
  await clock.runUntil(() => outcome !== undefined);
  if (outcome === undefined) throw new Error('no outcome');
  return { outcome, tookMs: clock.monotonicMs() - startMs };
}

async function bodiesOf(clock: VirtualClock, journal: MemoryJournal): Promise<readonly string[]> {
  const reading = (async () => {
    const texts: string[] = [];
    const { last } = await journal.bounds();
    for await (const entry of journal.read({ shard, after: none, through: last })) {
      texts.push(Buffer.from(entry.body).toString());
    }
    return texts;
  })();
  let texts: readonly string[] | undefined;
  void reading.then((value) => (texts = value));
  await clock.runUntil(() => texts !== undefined);
  return texts ?? [];
}

describe('the memory journal under faults', () => {
  it('answers an undisturbed append after its latency', async () => {
    const { clock, journal } = faulty([]);
    const { outcome, tookMs } = await outcomeOf(clock, journal.append(request));
    expect(outcome).toEqual({ kind: 'committed', sequence: 1, duplicate: false });
    expect(tookMs).toBe(4);
  });

  it('R-IDEM-2: lostAck stores and answers unknown; the repeat is conflict on one server, duplicate on three', async () => {
    for (const replicas of [1, 3] as const) {
      const { clock, journal } = faulty(['lostAck'], replicas);
      const first = await outcomeOf(clock, journal.append(request));
      expect(first.outcome).toMatchObject({ kind: 'unknown', code: 'UNAVAILABLE' });
      expect(first.tookMs).toBe(5_000);
      const repeat = await outcomeOf(clock, journal.append(request));
      expect(repeat.outcome).toEqual(
        replicas === 3 ? { kind: 'committed', sequence: 1, duplicate: true } : { kind: 'conflict' },
      );
      expect(await bodiesOf(clock, journal)).toEqual(['a']);
    }
  });

  it('lostRequest stores nothing, answers unknown, and its repeat is a first', async () => {
    const { clock, journal } = faulty(['lostRequest']);
    expect((await outcomeOf(clock, journal.append(request))).outcome.kind).toBe('unknown');
    expect((await outcomeOf(clock, journal.append(request))).outcome).toMatchObject({ sequence: 1, duplicate: false });
  });

  it('R-LOCK-1: late lands after its unknown, unless the fence has moved on', async () => {
    const landing = faulty(['late']);
    expect((await outcomeOf(landing.clock, landing.journal.append(request))).outcome.kind).toBe('unknown');
    expect(await bodiesOf(landing.clock, landing.journal)).toEqual([]);
    await landing.clock.advance(1_000);
    expect(await bodiesOf(landing.clock, landing.journal)).toEqual(['a']);

    const fenced = faulty(['late']);
    expect((await outcomeOf(fenced.clock, fenced.journal.append(request))).outcome.kind).toBe('unknown');
    const owner = { ...request, body: Buffer.from('owner.changed'), messageId: 'm2' };
    expect((await outcomeOf(fenced.clock, fenced.journal.append(owner))).outcome.kind).toBe('committed');
    await fenced.clock.advance(10_000);
    expect(await bodiesOf(fenced.clock, fenced.journal)).toEqual(['owner.changed']);
  });

  it('duplicateAck arrives twice and is stored once', async () => {
    for (const replicas of [1, 3] as const) {
      const { clock, journal } = faulty(['duplicateAck'], replicas);
      const { outcome } = await outcomeOf(clock, journal.append(request));
      expect(outcome).toEqual(
        replicas === 3 ? { kind: 'committed', sequence: 1, duplicate: true } : { kind: 'conflict' },
      );
      expect(await bodiesOf(clock, journal)).toEqual(['a']);
    }
  });

  it('busy and refused store nothing', async () => {
    const { clock, journal } = faulty(['busy', 'refused']);
    expect((await outcomeOf(clock, journal.append(request))).outcome).toEqual({ kind: 'busy' });
    expect((await outcomeOf(clock, journal.append(request))).outcome.kind).toBe('refused');
    expect(await bodiesOf(clock, journal)).toEqual([]);
  });

  it('tells the fault hook the shard, the message id and which attempt it is', async () => {
    const { clock, journal, seen } = faulty(['busy']);
    await outcomeOf(clock, journal.append(request));
    await outcomeOf(clock, journal.append(request));
    expect(seen).toEqual([
      { kind: 'append', shard, messageId: 'm1', attempt: 1 },
      { kind: 'append', shard, messageId: 'm1', attempt: 2 },
    ]);
  });

  it('forgets a message id after the duplicate window', async () => {
    const clock = new VirtualClock();
    const journal = new MemoryJournal({ clock, replicas: 3, duplicateWindowMs: 1_000 });
    await outcomeOf(clock, journal.append(request));
    await clock.advance(900);
    expect((await outcomeOf(clock, journal.append(request))).outcome).toMatchObject({ duplicate: true });
    await clock.advance(200);
    expect((await outcomeOf(clock, journal.append(request))).outcome).toEqual({ kind: 'conflict' });
  });

  it('on three replicas answers busy to a second append in flight on a shard; on one lets a pipeline pass', async () => {
    const inFlight = async (replicas: 1 | 3): Promise<readonly string[]> => {
      const clock = new VirtualClock();
      const journal = new MemoryJournal({ clock, replicas, latencyMs: 8 });
      const pending = Promise.all([
        journal.append(request),
        journal.append({ ...request, expectedLast: 1 as Sequence, messageId: 'm2' }),
        journal.append({ ...request, shard: 2 as ShardId, messageId: 'm3' }),
      ]);
      let outcomes: readonly AppendOutcome[] | undefined;
      void pending.then((value) => (outcomes = value));
      await clock.runUntil(() => outcomes !== undefined);
      return (outcomes ?? []).map(({ kind }) => kind);
    };
    expect(await inFlight(3)).toEqual(['committed', 'busy', 'committed']);
    expect(await inFlight(1)).toEqual(['committed', 'committed', 'committed']);
  });

  it('stores the bytes as they were when they were sent', async () => {
    const { clock, journal } = faulty([]);
    const body = Buffer.from('before');
    const pending = journal.append({ ...request, body });
    body.write('after!');
    await outcomeOf(clock, pending);
    expect(await bodiesOf(clock, journal)).toEqual(['before']);
  });
});
