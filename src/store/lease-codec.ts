import { EngineError } from '../core/errors.ts';
import type { Epoch, NodeId, ShardId } from '../core/ids.ts';
import type { NodeLease, ShardLock } from '../ports/leases.ts';

/** A node's lease as JSON: `{ nodeId, incarnation, startedAt, draining, capacity?, cordoned?, declines? }`, always in that order. */
export function encodeNodeLease(lease: NodeLease): Uint8Array {
  const { nodeId, incarnation, startedAt, draining, capacity, cordoned, declines } = lease;
  return Buffer.from(JSON.stringify({ nodeId, incarnation, startedAt, draining, capacity, cordoned, declines }));
}

/** The lease in a stored value. @throws EngineError `RECORD_CORRUPT` */
export function decodeNodeLease(bytes: Uint8Array): NodeLease {
  const value = parseObject('node lease', bytes) as Partial<NodeLease>;
  const { nodeId, incarnation, startedAt, draining, capacity, cordoned, declines } = value;
  const isComplete =
    typeof nodeId === 'string' &&
    typeof incarnation === 'string' &&
    typeof startedAt === 'number' &&
    typeof draining === 'boolean' &&
    (capacity === undefined || (Number.isSafeInteger(capacity) && capacity >= 1)) &&
    (cordoned === undefined || typeof cordoned === 'boolean') &&
    (declines === undefined || (Array.isArray(declines) && declines.every((shard) => Number.isSafeInteger(shard))));
  if (!isComplete) throw new EngineError('RECORD_CORRUPT', 'node lease cannot be read', { got: value });
  return {
    nodeId,
    incarnation,
    startedAt,
    draining,
    ...(capacity === undefined ? {} : { capacity }),
    ...(cordoned === undefined ? {} : { cordoned }),
    ...(declines === undefined ? {} : { declines }),
  };
}

/** A shard's lock as JSON: `{ owner: { nodeId, incarnation } | null, epoch }`; shard and revision are the key's. */
export function encodeShardLock(lock: Omit<ShardLock, 'revision'>): Uint8Array {
  const owner = lock.owner === null ? null : { nodeId: lock.owner.nodeId, incarnation: lock.owner.incarnation };
  return Buffer.from(JSON.stringify({ owner, epoch: lock.epoch }));
}

/** The lock in a stored value. @throws EngineError `RECORD_CORRUPT` */
export function decodeShardLock(shard: ShardId, revision: number, bytes: Uint8Array): ShardLock {
  const value = parseObject(`lock of shard ${shard}`, bytes) as {
    readonly owner?: { readonly nodeId?: unknown; readonly incarnation?: unknown } | null;
    readonly epoch?: unknown;
  };
  const { owner, epoch } = value;
  const isOwner = owner === null || (typeof owner?.nodeId === 'string' && typeof owner.incarnation === 'string');
  if (!isOwner || !Number.isSafeInteger(epoch) || (epoch as number) < 0) {
    throw new EngineError('RECORD_CORRUPT', `lock of shard ${shard} cannot be read`, { got: value });
  }
  return {
    shard,
    owner: owner === null ? null : { nodeId: owner?.nodeId as NodeId, incarnation: owner?.incarnation as string },
    epoch: epoch as Epoch,
    revision,
  };
}

function parseObject(what: string, bytes: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `${what} is not JSON`, { cause: error });
  }
  if (typeof value === 'object' && value !== null) return value;
  throw new EngineError('RECORD_CORRUPT', `${what} is not an object`, { got: value });
}
