import { describe, expect, it } from 'vitest';
import { LoadCounts } from '../../../chaos/kit/load-figures.ts';
import { longestAcceptGapMs, reportOutages } from '../../../chaos/kit/outages.ts';
import { movesOfChanges } from '../../../chaos/kit/shard-moves.ts';
import { assembleCommit } from '../../../src/core/commit-codec.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import { aClaim } from '../../support/commit-kit.ts';
import { epochOf, sequenceOf } from '../../support/shard-kit.ts';

function claim(storedAt: number, ofShard: number): JournalEntry {
  const body = assembleCommit({ format: 1, epoch: epochOf(1), batch: 1, at: storedAt, owner: aClaim(1) }, []);
  return { shard: ofShard as ShardId, sequence: sequenceOf(storedAt), storedAt, body };
}

function acceptedAt(...times: readonly number[]) {
  const counts = new LoadCounts();
  for (const [index, atMs] of times.entries()) counts.accepted(`t-${index}`, atMs, atMs);
  return counts.figures();
}

const outage = { fromMs: 100, toMs: 200, from: 1_100, to: 1_200, healedMs: 230 };

describe('an outage of the servers', () => {
  it('I44: tells what was accepted and what was committed within it', () => {
    const report = reportOutages([outage], acceptedAt(90, 150, 250), [claim(1_050, 0), claim(1_150, 0)]);
    expect(report).toEqual({ acceptedInOutage: 1, committedInOutage: 1, resumeMs: [20] });
  });

  it('I44: is quiet when nothing was, and counts the time until something is accepted again from the servers’ readiness', () => {
    const report = reportOutages([outage], acceptedAt(90, 215, 600), [claim(1_300, 0)]);
    expect(report).toEqual({ acceptedInOutage: 0, committedInOutage: 0, resumeMs: [0] });
    expect(longestAcceptGapMs(acceptedAt(90, 600, 215))).toBe(385);
  });
});

describe('a change of membership', () => {
  it('I22: moved the shards that were taken after it and before the next one, each as often as it was taken', () => {
    const entries = [claim(10, 0), claim(110, 0), claim(120, 0), claim(130, 1), claim(250, 2)];
    expect(movesOfChanges(entries, [{ at: 100 }, { at: 200 }])).toEqual([
      { moved: 2, most: 2 },
      { moved: 1, most: 1 },
    ]);
  });
});
