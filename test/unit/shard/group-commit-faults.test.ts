import { describe, expect, it } from 'vitest';

import type { JournalFault } from '../../../src/store/memory-journal.ts';
import { aClaim, CommitWorld } from '../../support/commit-kit.ts';
import { commitsOf } from '../../support/shard-kit.ts';

/** The fault of the first tries of one batch; every other append goes well. */
function faultOn(batch: number, ...faults: readonly JournalFault[]) {
  return ({ messageId, attempt }: { readonly messageId: string; readonly attempt: number }): JournalFault =>
    messageId === `0.1.${batch}` ? (faults[attempt - 1] ?? 'none') : 'none';
}

/** Commits a, then b, and gives what ran and what the journal holds. */
async function commitTwo(world: CommitWorld) {
  const commit = await world.claimed();
  world.add(commit, 'a');
  await world.run(commit.drained());
  world.add(commit, 'b');
  await world.run(commit.drained());
  const commits = await world.run(commitsOf(world.journal));
  return { commit, batches: commits.map(({ commit: { batch } }) => batch) };
}

describe.each([1, 3] as const)('an append under the rules of %i replicas', (replicas) => {
  it.each([
    { what: 'a lost acknowledgement', faults: ['lostAck'] as const },
    { what: 'three lost acknowledgements', faults: ['lostAck', 'lostAck', 'lostAck'] as const },
    { what: 'a lost request', faults: ['lostRequest'] as const },
    { what: 'a lost request, then a lost acknowledgement', faults: ['lostRequest', 'lostAck'] as const },
    { what: 'an append that lands late', faults: ['late'] as const },
    { what: 'an append that arrives twice', faults: ['duplicateAck'] as const },
    { what: 'a journal that is busy', faults: ['busy', 'busy', 'busy'] as const },
    { what: 'a busy journal, then a lost acknowledgement', faults: ['busy', 'lostAck'] as const },
  ])('R-IDEM-1 R-FAIL-1: $what: one commit, and its effects run exactly once', async ({ faults }) => {
    const world = new CommitWorld({ replicas, latencyMs: 4, faults: faultOn(2, ...faults) });
    const { batches } = await commitTwo(world);
    // Whatever is still on its way lands now.
    await world.clock.advance(60_000);
    expect(batches).toEqual([1, 2, 3]);
    expect((await world.run(commitsOf(world.journal))).length).toBe(3);
    expect(world.ran).toEqual(['a@2', 'b@3']);
    expect(world.losses).toEqual([]);
    expect(world.metrics.value('appends_fenced_total')).toBe(0);
  });

  it.each(['lostAck', 'lostRequest', 'late'] as const)(
    'R-IDEM-3: %s: nothing goes out while the outcome is unknown, and the shard says that it stalls',
    async (fault) => {
      const world = new CommitWorld({ replicas, ackTimeoutMs: 1_000, faults: faultOn(2, fault, fault) });
      const commit = await world.claimed();
      world.add(commit, 'a');
      await world.clock.advance(1_900);
      expect(world.ran).toEqual([]);
      expect(commit.stall).toMatchObject({ code: 'UNAVAILABLE' });
      expect(commit.stall?.forMs).toBeGreaterThan(800);
      await world.run(commit.drained());
      expect(world.ran).toEqual(['a@2']);
      expect(commit.stall).toBeNull();
      expect(world.metrics.value('appends_unknown_total')).toBe(1);
      expect(world.metrics.value('appends_unknown_resolved_total', { as: 'committed' })).toBe(1);
    },
  );

  it('a late landing of a repeated append cannot be stored a second time', async () => {
    const world = new CommitWorld({ replicas, ackTimeoutMs: 100, lateByMs: 5_000, faults: faultOn(2, 'late') });
    const { batches } = await commitTwo(world);
    expect(batches).toEqual([1, 2, 3]);
    await world.clock.advance(10_000);
    expect((await world.run(commitsOf(world.journal))).map(({ commit }) => commit.batch)).toEqual([1, 2, 3]);
  });

  it('a late landing after the duplicate window is refused by its expectation', async () => {
    const world = new CommitWorld({
      replicas,
      ackTimeoutMs: 100,
      lateByMs: 5_000,
      duplicateWindowMs: 1_000,
      faults: faultOn(2, 'late'),
    });
    await commitTwo(world);
    await world.clock.advance(10_000);
    expect((await world.run(commitsOf(world.journal))).map(({ commit }) => commit.batch)).toEqual([1, 2, 3]);
  });

  it('the claim itself survives a lost acknowledgement', async () => {
    const world = new CommitWorld({ replicas, faults: faultOn(1, 'lostAck') });
    const commit = await world.claimed();
    expect(commit.lastSequence).toBe(1);
    expect(await world.run(commitsOf(world.journal))).toHaveLength(1);
  });

  it('R-LOCK-1: a new owner’s claim overtakes an append of the old one that lands late', async () => {
    const world = new CommitWorld({ replicas, ackTimeoutMs: 100, lateByMs: 5_000, faults: faultOn(2, 'late', 'late') });
    const old = await world.claimed(1);
    world.add(old, 'a');
    await world.clock.advance(50);
    const next = world.owner(2, { lastSequence: 1 });
    await world.run(next.claim(aClaim(2)));
    await world.clock.advance(60_000);
    const commits = await world.run(commitsOf(world.journal));
    expect(commits.map(({ commit: { epoch } }) => epoch)).toEqual([1, 2]);
    expect(world.ran).toEqual([]);
    expect(world.losses).toEqual([{ kind: 'fenced', epoch: 2 }]);
    expect(world.metrics.value('appends_unknown_resolved_total', { as: 'absent' })).toBe(1);
  });
});

describe('what is not a fence', () => {
  it('a busy journal never costs the shard its owner, however long it is busy', async () => {
    let isBusy = true;
    const world = new CommitWorld({
      replicas: 3,
      faults: ({ messageId }) => (messageId === '0.1.2' && isBusy ? 'busy' : 'none'),
    });
    const commit = await world.claimed();
    world.clock.setTimer(30_000, () => {
      isBusy = false;
    });
    world.add(commit, 'a');
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2']);
    expect(world.losses).toEqual([]);
    expect(world.metrics.value('appends_busy_total')).toBeGreaterThan(1_000);
    expect(world.metrics.value('appends_fenced_total')).toBe(0);
  });
});
