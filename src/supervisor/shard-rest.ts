import { EngineError } from '../core/errors.ts';
import { restartBackoffDefaults, restartDelayMs } from './restart-backoff.ts';

/** What kept a shard from being served: the store or the ownership, which time mends, or the shard itself, which it seldom does. */
export type ShardTrouble = 'outage' | 'fault';

/** Troubles of one shard in a row, of the kind of the last one. */
export interface ShardTroubles {
  readonly kind: ShardTrouble;
  /** How many, from 1. */
  readonly count: number;
  /** When the last one came, by a monotonic clock. */
  readonly atMs: number;
}

/** A shard that has had no trouble for so long begins its waits anew. */
const forgottenMs = 60_000;
/** Longest wait after an outage: it comes on top of the try itself, and nobody serves the shard meanwhile. */
const outageBackoff = { ...restartBackoffDefaults, maxDelayMs: 2_000, jitter: 0.5 };

/** Whether a repeat may mend it: an outage of the store, or an owner that was faster. */
export function troubleOf(error: Error): ShardTrouble {
  return error instanceof EngineError && error.retryable ? 'outage' : 'fault';
}

/** One more trouble of a shard. Pure. An outage does not make the wait after a fault longer, and the other way round. */
export function noteTrouble(before: ShardTroubles | undefined, kind: ShardTrouble, atMs: number): ShardTroubles {
  const goesOn = before !== undefined && before.kind === kind && atMs - before.atMs <= forgottenMs;
  return { kind, count: goesOn ? before.count + 1 : 1, atMs };
}

/**
 * How long the shard rests before it is tried again: 200 ms, doubling up to 2 s after outages and up to 10 s after faults.
 *
 * @param random - in [0, 1)
 */
export function shardRestMs({ kind, count }: ShardTroubles, random: number): number {
  return restartDelayMs(kind === 'outage' ? outageBackoff : restartBackoffDefaults, count, random);
}
