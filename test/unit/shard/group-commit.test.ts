import { describe, expect, it } from 'vitest';

import { commitsOf } from '../../support/shard-kit.ts';
import { anyRecord, CommitWorld } from '../../support/commit-kit.ts';

async function tasksByCommit(world: CommitWorld): Promise<string[]> {
  const commits = await world.run(commitsOf(world.journal));
  return commits.map(({ commit }) => commit.records.map(({ task }) => task).join(' '));
}

describe('group commit', () => {
  it('puts what became ready in one turn into one commit', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    for (const label of ['a', 'b', 'c']) world.add(commit, label);
    await world.run(commit.drained());
    expect(await tasksByCommit(world)).toEqual(['', 'a b c']);
    expect(world.ran).toEqual(['a@2', 'b@2', 'c@2']);
  });

  it('has one append in flight: batches grow while it flies, and nothing runs before its acknowledgement', async () => {
    const world = new CommitWorld({ latencyMs: 10 });
    const commit = await world.claimed();
    world.add(commit, 'a');
    await world.clock.advance(1);
    for (const label of ['b', 'c']) world.add(commit, label);
    await world.clock.advance(6);
    world.add(commit, 'd');
    // The append has arrived at the journal; its acknowledgement is on the way.
    expect(world.ran).toEqual([]);
    expect(commit.uncommittedRecords).toBe(4);
    await world.clock.advance(5);
    expect(world.ran).toEqual(['a@2']);
    expect(commit.uncommittedRecords).toBe(3);
    await world.run(commit.drained());
    expect(await tasksByCommit(world)).toEqual(['', 'a', 'b c d']);
  });

  it('splits a commit at the size limit, only between records and in their order', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(1, { maxCommitBytes: 4_096 });
    for (const label of ['a', 'b', 'c', 'd', 'e']) world.add(commit, label, 'x'.repeat(1_500));
    await world.run(commit.drained());
    expect(await tasksByCommit(world)).toEqual(['', 'a b', 'c d', 'e']);
    expect(world.ran).toEqual(['a@2', 'b@2', 'c@3', 'd@3', 'e@4']);
    for await (const entry of world.journal.read({ shard: 0 as never, after: 0 as never, through: 4 as never })) {
      expect(entry.body.length).toBeLessThanOrEqual(4_096);
    }
  });

  it('PAYLOAD_TOO_LARGE: a record over the limit alone is refused, and those around it are committed', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed(1, { maxCommitBytes: 4_096 });
    world.add(commit, 'a');
    expect(() => world.add(commit, 'b', 'x'.repeat(4_096))).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }),
    );
    world.add(commit, 'c');
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2', 'c@2']);
  });

  it('numbers its commits without a gap and expects the sequence of the one before', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    for (const label of ['a', 'b', 'c']) {
      world.add(commit, label);
      await world.run(commit.drained());
    }
    const commits = await world.run(commitsOf(world.journal));
    expect(commits.map(({ commit: { epoch, batch } }) => [epoch, batch])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
      [1, 4],
    ]);
    expect(commits[0]?.commit.owner).toEqual({ epoch: 1, node: 'n-1', incarnation: 'i-1' });
    expect(commit.lastSequence).toBe(4);
  });
});

describe('what waits for all that is pending', () => {
  it('runs at once when nothing is', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    commit.afterPending((sequence) => world.note('after', sequence));
    expect(world.ran).toEqual(['after@1']);
  });

  it('runs after what flies when nothing is queued behind it, and after the queue otherwise', async () => {
    const world = new CommitWorld({ latencyMs: 10 });
    const commit = await world.claimed();
    world.add(commit, 'a');
    await world.clock.advance(1);
    commit.afterPending((sequence) => world.note('after a', sequence));
    world.add(commit, 'b');
    commit.afterPending((sequence) => world.note('after b', sequence));
    world.add(commit, 'c');
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2', 'after a@2', 'b@3', 'after b@3', 'c@3']);
  });

  it('runs after every record of a commit when one of them asks for it', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    commit.add(anyRecord('a'), (sequence) => {
      world.note('a', sequence);
      commit.afterPending((last) => world.note('asked by a', last));
    });
    world.add(commit, 'b');
    await world.run(commit.drained());
    expect(world.ran).toEqual(['a@2', 'b@2', 'asked by a@2']);
  });

  it('runs after what a record of the same commit has added meanwhile', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    commit.add(anyRecord('a'), () => {
      world.add(commit, 'next of a');
      commit.afterPending((last) => world.note('after', last));
    });
    await world.run(commit.drained());
    await world.run(commit.drained());
    expect(world.ran).toEqual(['next of a@3', 'after@3']);
  });
});

describe('drained', () => {
  it('resolves at once when nothing is uncommitted', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    await expect(commit.drained()).resolves.toBeUndefined();
  });

  it('waits also for what the commits before have brought', async () => {
    const world = new CommitWorld();
    const commit = await world.claimed();
    commit.add(anyRecord('a'), () => world.add(commit, 'b'));
    await world.run(commit.drained());
    expect(world.ran).toEqual(['b@3']);
    expect(commit.uncommittedRecords).toBe(0);
  });

  it('resolves when the shard is closed, and what was pending never runs', async () => {
    const world = new CommitWorld({ latencyMs: 10 });
    const commit = await world.claimed();
    world.add(commit, 'a');
    await world.clock.advance(1);
    world.add(commit, 'b');
    const drained = commit.drained();
    commit.close();
    await world.run(drained);
    await world.clock.advance(60_000);
    expect(world.ran).toEqual([]);
    expect(world.losses).toEqual([]);
  });
});
