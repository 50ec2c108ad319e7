import { describe, expect, it } from 'vitest';
import { takeoverTimes } from '../../../chaos/kit/takeovers.ts';
import { assembleCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import { aClaim, anyRecord } from '../../support/commit-kit.ts';
import { epochOf, sequenceOf, shard } from '../../support/shard-kit.ts';

/** A message that was stored at that time: a claim of `n-<epoch>`, or the state that a task came to. */
function entry(storedAt: number, epoch: number, reached?: string): JournalEntry {
  const head = { format: 1, epoch: epochOf(epoch), batch: 1, at: storedAt } as const;
  const records = reached === undefined ? [] : [encodeRecord({ ...anyRecord('a'), to: reached })];
  const body = assembleCommit(reached === undefined ? { ...head, owner: aClaim(epoch) } : head, records);
  return { shard, sequence: sequenceOf(storedAt), storedAt, body };
}

const killed = { what: 'kill', whom: 'n-1', node: 'n-1', at: 100, atMs: 100 } as const;

describe('the time of a takeover', () => {
  it('runs from the fault to the first start under a later epoch, not to the note that the owner changed', () => {
    const entries = [
      entry(10, 1),
      entry(20, 1, 'parse.running'),
      entry(400, 2),
      entry(410, 2, 'parse.queued'),
      entry(450, 2, 'parse.running'),
    ];
    expect(takeoverTimes(entries, [killed])).toEqual([350]);
  });

  it('counts the last append of the dead node as its own: the task still waits', () => {
    const entries = [
      entry(10, 1),
      entry(20, 1, 'parse.running'),
      entry(105, 1, 'photos.running'),
      entry(400, 2),
      entry(420, 2, 'photos.unknown'),
    ];
    expect(takeoverTimes(entries, [killed])).toEqual([320]);
  });

  it('is none for a task that its node itself went on with, nor for one that did not run, nor for another node’s', () => {
    const slow = [
      entry(10, 1),
      entry(20, 1, 'parse.running'),
      entry(2_000, 1, 'photos.running'),
      entry(9_000, 2),
      entry(9_100, 2, 'photos.running'),
    ];
    expect(takeoverTimes(slow, [killed])).toEqual([]);
    const idle = [entry(10, 1), entry(20, 1, 'parse.backingOff'), entry(400, 2), entry(420, 2, 'parse.running')];
    expect(takeoverTimes(idle, [killed])).toEqual([]);
    const running = [entry(10, 1), entry(20, 1, 'parse.running'), entry(400, 2), entry(420, 2, 'parse.running')];
    expect(takeoverTimes(running, [{ ...killed, node: 'n-9' }])).toEqual([]);
  });
});
