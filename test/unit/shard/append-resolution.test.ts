import { describe, expect, it } from 'vitest';

import { assembleCommit } from '../../../src/core/commit-codec.ts';
import type { OwnerChange } from '../../../src/core/records.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import { resolveConflict } from '../../../src/shard/append-resolution.ts';
import { epochOf, nodeOf, sequenceOf, shard } from '../../support/shard-kit.ts';

function lastMessage(sequence: number, epoch: number, batch: number): JournalEntry {
  const body = assembleCommit({ format: 1, epoch: epochOf(epoch), batch, at: 1 }, []);
  return { shard, sequence: sequenceOf(sequence), storedAt: 1, body };
}

function claimOf(node: string): OwnerChange {
  return { epoch: epochOf(3), node: nodeOf(node), incarnation: `${node}-1` };
}

function lastClaim(node: string): JournalEntry {
  const body = assembleCommit({ format: 1, epoch: epochOf(3), batch: 1, at: 1, owner: claimOf(node) }, []);
  return { shard, sequence: sequenceOf(21), storedAt: 1, body };
}

const mine = { epoch: epochOf(3), batch: 7, expectedLast: sequenceOf(20) };

describe('the fate of an append that met a conflict', () => {
  it('R-IDEM-1: is committed when the last message is this very append', () => {
    expect(resolveConflict(mine, lastMessage(21, 3, 7))).toEqual({ kind: 'committed', sequence: 21 });
  });

  it('is committed also when other shards have written between, so that its sequence is not the next one', () => {
    expect(resolveConflict(mine, lastMessage(90, 3, 7))).toEqual({ kind: 'committed', sequence: 90 });
  });

  it('R-LOCK-1: is fenced when a higher epoch has written', () => {
    expect(resolveConflict(mine, lastMessage(21, 4, 1))).toEqual({ kind: 'fenced', epoch: 4 });
  });

  it('R-LOCK-1: is fenced by a higher epoch whose batch has the same number', () => {
    expect(resolveConflict(mine, lastMessage(21, 4, 7))).toEqual({ kind: 'fenced', epoch: 4 });
  });

  it('R-LOCK-1: a claim is committed when the last message is this very owner’s claim', () => {
    expect(resolveConflict({ ...mine, batch: 1, owner: claimOf('a') }, lastClaim('a'))).toEqual({
      kind: 'committed',
      sequence: 21,
    });
  });

  it('R-LOCK-1: a claim is fenced by another owner’s claim of the same epoch: its lock was lost, and taken once more', () => {
    expect(resolveConflict({ ...mine, batch: 1, owner: claimOf('b') }, lastClaim('a'))).toEqual({
      kind: 'fenced',
      epoch: 3,
    });
  });

  it('R-LOCK-1: a claim is fenced by what an owner of the same epoch has committed since', () => {
    expect(resolveConflict({ ...mine, batch: 1, owner: claimOf('b') }, lastMessage(21, 3, 7))).toEqual({
      kind: 'fenced',
      epoch: 3,
    });
  });

  it('is outrun when an earlier epoch has written since it was read', () => {
    expect(resolveConflict(mine, lastMessage(21, 2, 99))).toEqual({ kind: 'outrun', sequence: 21 });
  });

  it('is to be tried again when the last message is the expected one', () => {
    expect(resolveConflict(mine, lastMessage(20, 3, 6))).toEqual({ kind: 'again' });
  });

  it('is to be tried again when the expected last message is of an earlier owner', () => {
    expect(resolveConflict(mine, lastMessage(20, 2, 1))).toEqual({ kind: 'again' });
  });

  it('is to be tried again when the journal is empty and nothing was expected', () => {
    expect(resolveConflict({ ...mine, expectedLast: sequenceOf(0) }, null)).toEqual({ kind: 'again' });
  });

  it('is broken when the journal is empty, but something was acknowledged', () => {
    expect(resolveConflict(mine, null)).toMatchObject({ kind: 'broken', detail: expect.stringContaining('empty') });
  });

  it('is broken when the journal ends before what was acknowledged, whoever wrote last', () => {
    for (const epoch of [2, 3, 4]) {
      expect(resolveConflict(mine, lastMessage(19, epoch, 5))).toMatchObject({
        kind: 'broken',
        detail: 'the journal ends at 19, but 20 was acknowledged',
      });
    }
  });

  it('is broken when another batch of its own epoch stands where it was due', () => {
    for (const batch of [6, 8]) {
      expect(resolveConflict(mine, lastMessage(21, 3, batch))).toMatchObject({
        kind: 'broken',
        detail: `epoch 3 batch ${batch} stands at 21, where batch 7 was due`,
      });
    }
  });

  it('RECORD_CORRUPT: is not guessed when the last message cannot be read', () => {
    const unreadable = { ...lastMessage(21, 3, 7), body: new Uint8Array([0xc1]) };
    expect(() => resolveConflict(mine, unreadable)).toThrow(expect.objectContaining({ code: 'RECORD_CORRUPT' }));
  });
});
