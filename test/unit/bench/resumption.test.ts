import { describe, expect, it } from 'vitest';
import { resumptionsOf, type SeenCommit } from '../../../bench/resumption.ts';

const loss = { killedAt: 1_000, shards: new Set([1, 2]) };

function commit(
  shard: number,
  epoch: number,
  at: number,
  ...moves: readonly (readonly [string, string])[]
): SeenCommit {
  return { shard, epoch, at, records: moves.map(([task, to]) => ({ task, to })) };
}

describe('resumptionsOf', () => {
  it('tells when each task of a lost shard ran again under a later owner', () => {
    const commits = [
      commit(1, 1, 900, ['a', 'parse.running'], ['b', 'parse.backingOff']),
      commit(2, 1, 950, ['c', 'parse.running']),
      commit(1, 2, 1_300, ['a', 'parse.queued']),
      commit(1, 2, 1_400, ['a', 'parse.running'], ['b', 'parse.running']),
      commit(1, 2, 1_900, ['a', 'photos.running']),
      commit(2, 2, 1_700, ['c', 'completed']),
    ];
    expect(resumptionsOf(commits, loss)).toEqual([400, 400, 700]);
  });

  it('counts a task that never ran again as infinity', () => {
    expect(resumptionsOf([commit(1, 1, 900, ['a', 'parse.running'])], loss)).toEqual([Number.POSITIVE_INFINITY]);
  });

  it('takes a last commit of the killed node that was decided before the kill for no resumption', () => {
    const commits = [commit(1, 1, 900, ['a', 'parse.running']), commit(1, 1, 1_001, ['a', 'photos.running'])];
    expect(resumptionsOf(commits, loss)).toEqual([Number.POSITIVE_INFINITY]);
  });

  it('leaves out tasks of other shards, those that were done, and those that came later', () => {
    const commits = [
      commit(3, 1, 900, ['other', 'parse.running']),
      commit(1, 1, 900, ['done', 'completed'], ['dead', 'deadLettered.parse']),
      commit(1, 2, 1_200, ['new', 'parse.running']),
    ];
    expect(resumptionsOf(commits, loss)).toEqual([]);
  });
});
