import { decodeCommit } from '../core/commit-codec.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { Commit } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';

/**
 * The commit in a journal entry.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the entry's sequence and shard
 */
export function commitOfEntry(entry: JournalEntry): Commit {
  return readingEntry(entry, () => decodeCommit(entry.body));
}

/** What `read` gives, or its error as a `RECORD_CORRUPT` that names the entry: a projection reads stored bytes, nothing else. */
export function readingEntry<Value>(entry: JournalEntry, read: () => Value): Value {
  try {
    return read();
  } catch (thrown) {
    const cause = asError(thrown);
    throw new EngineError(
      'RECORD_CORRUPT',
      `journal entry ${entry.sequence} of shard ${entry.shard}: ${cause.message}`,
      { field: 'sequence', got: entry.sequence, cause },
    );
  }
}
