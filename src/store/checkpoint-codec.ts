import { EngineError } from '../core/errors.ts';
import type { Epoch, Sequence, ShardId } from '../core/ids.ts';
import type { Checkpoint } from '../ports/snapshots.ts';

/** A checkpoint as JSON: `{ shard, epoch, sequence }`. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { shard, epoch, sequence } = checkpoint;
  return Buffer.from(JSON.stringify({ shard, epoch, sequence }));
}

/** The checkpoint in a stored value. @throws EngineError `RECORD_CORRUPT` */
export function decodeCheckpoint(shard: ShardId, bytes: Uint8Array): Checkpoint {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `checkpoint of shard ${shard} is not JSON`, { cause: error });
  }
  const { shard: stored, epoch, sequence } = (value ?? {}) as Partial<Checkpoint>;
  if (stored !== shard || !isCount(epoch) || !isCount(sequence)) {
    throw new EngineError('RECORD_CORRUPT', `checkpoint of shard ${shard} cannot be read`, { got: value });
  }
  return { shard, epoch: epoch as Epoch, sequence: sequence as Sequence };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** What a writer may do about the checkpoint that is stored. Pure. */
export function decideCheckpoint(stored: Checkpoint | null, wanted: Checkpoint): 'write' | 'done' | 'superseded' {
  if (stored === null || stored.epoch < wanted.epoch) return 'write';
  if (stored.epoch > wanted.epoch) return 'superseded';
  return stored.sequence >= wanted.sequence ? 'done' : 'write';
}

/** Why a writer of an older epoch stops. */
export function supersededError(stored: Checkpoint, epoch: Epoch): EngineError {
  return new EngineError(
    'OWNERSHIP_LOST',
    `checkpoint of shard ${stored.shard}: epoch ${epoch} is over, epoch ${stored.epoch} has written one`,
  );
}
