import { invalidArgument } from '../core/errors.ts';
import { parseNodeId, parseTaskId, type Epoch, type NodeId, type ShardId, type TaskId } from '../core/ids.ts';

// Ids become tokens of a subject here and nowhere else. Each is checked again, for a `*`, `>` or `.` that slipped through
// would make one key's write or removal hit many.

/** The stream behind a KV bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** The stream behind an Object Store bucket. */
export function objectStream(bucket: string): string {
  return `OBJ_${bucket}`;
}

/** The subject of a bucket's key. */
export function keySubject(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** The key of a bucket's subject. */
export function keyOfSubject(bucket: string, subject: string): string {
  return subject.slice(`$KV.${bucket}.`.length);
}

/** The last token of a key. */
export function lastTokenOf(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

/** A live task's snapshot, under the epoch that wrote it. */
export function liveKey(shard: ShardId, epoch: Epoch, taskId: TaskId): string {
  return `${shard}.live.${epoch}.${parseTaskId(taskId)}`;
}

/** All live keys of one epoch of a shard, as a filter. */
export function liveFilter(shard: ShardId, epoch: Epoch): string {
  return `${shard}.live.${epoch}.*`;
}

/** All live keys of a shard of all epochs, as a filter. */
export function anyLiveFilter(shard: ShardId): string {
  return `${shard}.live.>`;
}

/** The epoch of a live key. */
export function epochOfLiveKey(key: string): Epoch {
  return Number(key.split('.')[2]) as Epoch;
}

/** A finished task's snapshot. */
export function finishedKey(shard: ShardId, taskId: TaskId): string {
  return `${shard}.finished.${parseTaskId(taskId)}`;
}

/** All finished keys of a shard, as a filter. */
export function finishedFilter(shard: ShardId): string {
  return `${shard}.finished.*`;
}

/** A shard's checkpoint. */
export function checkpointKey(shard: ShardId): string {
  return `${shard}.checkpoint`;
}

/** A node's lease. */
export function nodeKey(nodeId: NodeId): string {
  return parseNodeId(nodeId);
}

/** A shard's lock. */
export function lockKey(shard: ShardId): string {
  return `lock.${shard}`;
}

/** The shard of a lock's key, or null for another key. */
export function shardOfLockKey(key: string): ShardId | null {
  const match = /^lock\.(\d+)$/.exec(key);
  return match === null ? null : (Number(match[1]) as ShardId);
}

/** The cluster's orders: beside the locks, under a name that no lock has. */
export const ordersKey = 'orders';

/** Longest name of a value that is set once, in characters. */
export const maximumOnceKeyLength = 256;
const oncePattern = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** A value that is set once. @throws EngineError `INVALID_ARGUMENT` for a name that is no dotted row of safe tokens */
export function onceKey(name: string): string {
  if (name.length <= maximumOnceKeyLength && oncePattern.test(name)) return `once.${name}`;
  throw invalidArgument({
    field: 'key',
    message: 'key must be tokens of A–Z a–z 0–9 _ - with single dots between them',
    limit: `1 to ${maximumOnceKeyLength} characters`,
    got: name,
  });
}
