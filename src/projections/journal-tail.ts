import { EngineError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { Journal } from '../ports/journal.ts';
import { commitOfEntry } from './entry-commit.ts';
import type { DecodedEntry } from './entry-feed.ts';

/**
 * All shards' entries after a sequence up to what is the journal's end now, in order; then it ends.
 *
 * @throws EngineError `LOG_REGRESSED` when the journal ends before `after`, `CANCELED` when the signal aborts first,
 *   `RECORD_CORRUPT` that names the sequence, `UNAVAILABLE`
 */
export async function* readTail(request: {
  readonly journal: Journal;
  readonly after: Sequence;
  readonly signal?: AbortSignal | undefined;
}): AsyncGenerator<DecodedEntry, void, undefined> {
  const { journal, after, signal } = request;
  checkNotCanceled(signal);
  const { last } = await journal.bounds();
  if (after > last) {
    throw new EngineError('LOG_REGRESSED', `the journal ends at ${last}, but it was read up to ${after} before`, {
      got: last,
      hint: 'the journal was lost or restored from an older copy: rebuild the projection from it',
    });
  }
  if (after === last) return;
  const stop = new AbortController();
  const until = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  try {
    for await (const entry of journal.follow({ after, signal: until })) {
      yield { entry, commit: commitOfEntry(entry) };
      // The last entry may be trimmed meanwhile, but only after a later one of its shard: that one comes instead.
      if (entry.sequence >= last) return;
    }
  } finally {
    stop.abort();
  }
  checkNotCanceled(signal);
  throw new EngineError('UNAVAILABLE', `the journal's feed ended before entry ${last}`);
}

function checkNotCanceled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new EngineError('CANCELED', 'reading the journal was canceled');
}
