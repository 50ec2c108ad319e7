import { createHash } from 'node:crypto';
import type { ShardId, TaskId } from './ids.ts';
import { canonicalJson, type JsonValue } from './json.ts';

// A change of these functions moves every task to another shard. They may never change for a running cluster.

/**
 * A well-mixed 32-bit hash of the text's UTF-16 code units.
 *
 * @see FNV-1a, by Fowler, Noll and Vo; the final mix is MurmurHash3's `fmix32`, by Austin Appleby
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The shard of a task, the same for ever on every node. */
export function shardOf(taskId: TaskId, shardCount: number): ShardId {
  return (hash32(taskId) % shardCount) as ShardId;
}

/** A number in [0, 1) that depends on nothing but the text: jitter that replays to the same delay. */
export function unitHash(text: string): number {
  return hash32(text) / 0x1_0000_0000;
}

/** The SHA-256 of the canonical JSON, as 64 hexadecimal digits; equal values have equal hashes. */
export function contentHash(value: JsonValue): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}
