import { EngineError } from '../core/errors.ts';
import type { LeaseOutcome } from '../ports/leases.ts';
import type { KeyEntry, NatsBucket, SetOutcome } from './nats-bucket.ts';

/** How often a write whose outcome is not known is tried again. */
const maximumTries = 4;

/**
 * Writes a key that others want too, and answers for certain: `held`, or `lost` when what is there is really another's.
 *
 * A conflict may be one's own earlier try that landed without its acknowledgement, so each "no" and each doubt is settled by
 * what the leader has. A late landing of such a try is harmless: it carries the old expectation.
 *
 * @param isOwn - whether a value found there is the caller's own, older or newer, and may be written over
 * @throws EngineError `UNAVAILABLE` and others when the leader cannot be asked, or the doubt stays
 */
export async function writeContended(
  bucket: NatsBucket,
  write: {
    readonly key: string;
    readonly body: Uint8Array;
    readonly expected: number;
    readonly ttlMs?: number;
    readonly isOwn?: (entry: KeyEntry) => boolean;
  },
): Promise<LeaseOutcome> {
  const { key, body, ttlMs, isOwn = () => false } = write;
  return settle(bucket, {
    key,
    expected: write.expected,
    attempt: (expected) => bucket.set(key, body, { expected, ttlMs }),
    isDone: (entry) => entry.value !== null && Buffer.compare(entry.value, body) === 0,
    isOwn,
  });
}

/** Removes a key if it still has that revision, with the same certainty. @throws as {@link writeContended} */
export async function removeContended(
  bucket: NatsBucket,
  removal: { readonly key: string; readonly expected: number; readonly markerTtlMs: number },
): Promise<LeaseOutcome> {
  const { key, expected, markerTtlMs } = removal;
  return settle(bucket, {
    key,
    expected,
    attempt: (revision) => bucket.remove(key, { expected: revision, markerTtlMs }),
    isDone: (entry) => entry.value === null,
    isOwn: () => false,
  });
}

async function settle(
  bucket: NatsBucket,
  change: {
    readonly key: string;
    readonly expected: number;
    readonly attempt: (expected: number) => Promise<SetOutcome>;
    readonly isDone: (entry: KeyEntry) => boolean;
    readonly isOwn: (entry: KeyEntry) => boolean;
  },
): Promise<LeaseOutcome> {
  let { expected } = change;
  let lastError: EngineError | undefined;
  for (let tryCount = 1; tryCount <= maximumTries; tryCount += 1) {
    const outcome = await change.attempt(expected);
    if (outcome.kind === 'stored') return { kind: 'held', revision: outcome.revision };
    if (outcome.kind === 'unknown') lastError = outcome.error;
    const entry = await bucket.get(change.key);
    if (entry.revision === expected) continue;
    if (change.isDone(entry)) return { kind: 'held', revision: entry.revision };
    if (!change.isOwn(entry)) return { kind: 'lost' };
    expected = entry.revision;
  }
  throw lastError ?? new EngineError('UNAVAILABLE', `write key ${change.key}: the leader answers in two ways`);
}
