import { describe, expect, it } from 'vitest';

import { assembleCommit } from '../../../src/core/commit-codec.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../../../src/ports/journal.ts';
import { lossError } from '../../../src/shard/group-commit.ts';
import { aClaim, anyRecord, CommitWorld } from '../../support/commit-kit.ts';
import { commitsOf, epochOf, nodeOf, sequenceOf, shard } from '../../support/shard-kit.ts';

/** The world's journal, with some answers of its own. */
function scripted(
  world: CommitWorld,
  script: { readonly appends?: AppendOutcome[]; readonly readLast?: () => Promise<JournalEntry | null> },
): Journal {
  const { journal } = world;
  return {
    maximumBodyBytes: journal.maximumBodyBytes,
    append: (request) => {
      const outcome = script.appends?.shift();
      return outcome === undefined ? journal.append(request) : Promise.resolve(outcome);
    },
    readLast: (ofShard) => (script.readLast === undefined ? journal.readLast(ofShard) : script.readLast()),
    read: (range) => journal.read(range),
    follow: (from) => journal.follow(from),
    bounds: () => journal.bounds(),
    trim: (ofShard, through) => journal.trim(ofShard, through),
  };
}

describe.each([1, 3] as const)('a zombie under the rules of %i replicas', (replicas) => {
  it('R-LOCK-1 OWNERSHIP_LOST: is refused by a higher epoch, runs nothing and tells so once', async () => {
    const world = new CommitWorld({ replicas });
    const zombie = await world.claimed(1);
    const owner = await world.claimed(2, { lastSequence: 1 });
    world.add(zombie, 'zombie');
    zombie.afterPending((sequence) => world.note('after', sequence));
    world.add(owner, 'owner');
    await world.run(Promise.all([zombie.drained(), owner.drained()]));
    expect(world.ran).toEqual(['owner@3']);
    expect(world.losses).toEqual([{ kind: 'fenced', epoch: 2 }]);
    expect(world.metrics.value('appends_fenced_total')).toBe(1);
    expect(lossError(shard, { kind: 'fenced', epoch: epochOf(2) }).code).toBe('OWNERSHIP_LOST');
    const commits = await world.run(commitsOf(world.journal));
    expect(commits.flatMap(({ commit }) => commit.records.map(({ task }) => task))).toEqual(['owner']);
  });

  it('R-LOCK-1 OWNERSHIP_LOST: an epoch that was given out twice, for the bucket with the lock was lost between, has one owner', async () => {
    const world = new CommitWorld({ replicas });
    const first = world.owner(1);
    const second = world.owner(1);
    const claims = [aClaim(1), { ...aClaim(1), node: nodeOf('another'), incarnation: 'another-1' }] as const;
    expect(await world.run(first.claim(claims[0]))).toBe(1);
    await expect(world.run(second.claim(claims[1]))).rejects.toMatchObject({ code: 'OWNERSHIP_LOST' });
    world.add(first, 'owner');
    await world.run(first.drained());
    expect(world.ran).toEqual(['owner@2']);
  });

  it('R-LOCK-1: counts a refusal that comes when it has dropped the shard already, and tells nothing of it', async () => {
    const world = new CommitWorld({ replicas });
    const journal: Journal = {
      ...scripted(world, {}),
      append: async (request) => {
        const outcome = await world.journal.append(request);
        // Its lease is seen to have run out while the answer is on its way.
        if (outcome.kind === 'conflict') zombie.close();
        return outcome;
      },
    };
    const zombie = await world.claimed(1, { journal });
    await world.claimed(2, { lastSequence: 1 });
    world.add(zombie, 'zombie');
    await world.run(zombie.drained());
    await world.clock.runUntil(() => world.metrics.value('appends_fenced_total') > 0);
    expect(world.metrics.value('append_conflicts_total')).toBe(1);
    expect(world.metrics.value('appends_fenced_total')).toBe(1);
    expect(world.ran).toEqual([]);
    expect(world.losses).toEqual([]);
  });

  it('R-LOCK-1 OWNERSHIP_LOST: of two that claim at one time, the lower epoch loses, whoever is first', async () => {
    for (const order of [
      [1, 2],
      [2, 1],
    ] as const) {
      const world = new CommitWorld({ replicas });
      const results = await world.run(
        Promise.allSettled(order.map((epoch) => world.owner(epoch).claim(aClaim(epoch)))),
      );
      const byEpoch = new Map(order.map((epoch, index) => [epoch, results[index]]));
      expect(byEpoch.get(2)?.status).toBe('fulfilled');
      const commits = await world.run(commitsOf(world.journal));
      expect(commits.at(-1)?.commit.epoch).toBe(2);
      // Either it stood first and was followed, or it met the higher epoch.
      if (byEpoch.get(1)?.status === 'rejected') {
        expect(byEpoch.get(1)).toMatchObject({ reason: { code: 'OWNERSHIP_LOST' } });
        expect(commits).toHaveLength(1);
      } else expect(commits.map(({ commit }) => commit.epoch)).toEqual([1, 2]);
    }
  });

  it('a claim that the old owner has outrun is appended behind what that one committed', async () => {
    const world = new CommitWorld({ replicas });
    const old = await world.claimed(1);
    world.add(old, 'a');
    await world.run(old.drained());
    // Read before a was committed.
    const next = await world.claimed(2, { lastSequence: 1 });
    expect(next.lastSequence).toBe(3);
  });
});

describe('a conflict', () => {
  it('with the expected last message is appended again', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(1, {
      journal: scripted(world, { appends: [{ kind: 'conflict' }, { kind: 'conflict' }] }),
    });
    expect(commit.lastSequence).toBe(1);
    expect(world.metrics.value('append_conflicts_total')).toBe(2);
    expect(world.losses).toEqual([]);
  });

  it('is asked of the leader until it answers', async () => {
    const world = new CommitWorld();
    let asked = 0;
    const commit = await world.claimed();
    const journal = scripted(world, {
      readLast: () => {
        asked += 1;
        if (asked < 4) return Promise.reject(new EngineError('UNAVAILABLE', 'no leader'));
        return world.journal.readLast(shard);
      },
    });
    const successor = world.owner(2, { journal });
    world.add(commit, 'a');
    await world.run(commit.drained());
    await world.run(successor.claim(aClaim(2)));
    expect(asked).toBe(4);
    expect(successor.lastSequence).toBe(3);
  });

  it('LOG_REGRESSED: with a journal that is shorter than what was acknowledged loses the shard', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(1, { lastSequence: 0 });
    const broken = world.owner(2, { lastSequence: 5 });
    await expect(world.run(broken.claim(aClaim(2)))).rejects.toMatchObject({ code: 'LOG_REGRESSED' });
    expect(commit.lastSequence).toBe(1);
  });

  it('LOG_REGRESSED: with an earlier epoch behind the claim loses the shard, and nothing runs', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(2);
    const intruder = assembleCommit({ format: 1, epoch: epochOf(1), batch: 9, at: 1 }, []);
    await world.run(
      world.journal.append({ shard, body: intruder, expectedLast: sequenceOf(1), messageId: 'intruder' }),
    );
    world.add(commit, 'a');
    await world.run(commit.drained());
    expect(world.ran).toEqual([]);
    expect(world.losses).toMatchObject([{ kind: 'broken', error: { code: 'LOG_REGRESSED' } }]);
  });

  it('LOG_REGRESSED: with a last message that cannot be read loses the shard', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(1);
    await world.run(
      world.journal.append({ shard, body: new Uint8Array([0xc1]), expectedLast: sequenceOf(1), messageId: 'x' }),
    );
    world.add(commit, 'a');
    await world.run(commit.drained());
    expect(world.ran).toEqual([]);
    expect(world.losses).toMatchObject([{ kind: 'broken', error: { code: 'LOG_REGRESSED' } }]);
  });
});

describe('an append that the server will never take', () => {
  it('INTERNAL: loses the shard, and nothing of it runs', async () => {
    const world = new CommitWorld({ faults: ({ messageId }) => (messageId === '0.1.2' ? 'refused' : 'none') });
    const commit = await world.claimed();
    world.add(commit, 'a');
    await world.run(commit.drained());
    expect(world.ran).toEqual([]);
    expect(world.losses).toMatchObject([{ kind: 'broken', error: { code: 'INTERNAL' } }]);
  });
});

describe('what follows a commit', () => {
  it('INTERNAL: loses the shard when it throws, for the rest of the commit is told to nobody then', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    world.add(commit, 'a');
    commit.add(anyRecord('b'), () => {
      throw new TypeError('a bug');
    });
    world.add(commit, 'c');
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2']);
    expect(world.losses).toMatchObject([{ kind: 'broken', error: { code: 'INTERNAL', message: 'shard 0: a bug' } }]);
    expect(await world.run(commitsOf(world.journal))).toHaveLength(2);
  });
});

describe('the stall', () => {
  it('STORAGE_FULL: is told by its own code, and ends when the journal takes appends again', async () => {
    const world = new CommitWorld();
    const full: AppendOutcome = { kind: 'unknown', code: 'STORAGE_FULL', detail: 'no space' };
    const appends: AppendOutcome[] = [];
    const commit = await world.claimed(1, { journal: scripted(world, { appends }) });
    appends.push(full, full, full, full);
    world.add(commit, 'a');
    await world.clock.advance(50);
    expect(commit.stall?.code).toBe('STORAGE_FULL');
    expect(world.ran).toEqual([]);
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2']);
    expect(commit.stall).toBeNull();
    expect(world.logger.messages('info')).toContain('the journal takes appends again');
  });
});
