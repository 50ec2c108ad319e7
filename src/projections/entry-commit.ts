import { decodeCommit } from '../core/commit-codec.ts';
import { asError, EngineError } from '../core/errors.ts';
import { taskEventTypes, type Commit, type TaskRecord } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';

const knownTypes: ReadonlySet<unknown> = new Set(taskEventTypes);
/** Farthest instant that a `Date` can tell, in milliseconds from 1970. */
const maximumMillis = 8_640_000_000_000_000;

/**
 * The commit in a journal entry, its records checked as far as every projection leans on them.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the entry's sequence and shard
 */
export function commitOfEntry(entry: JournalEntry): Commit {
  return readingEntry(entry, () => {
    const commit = decodeCommit(entry.body);
    commit.records.forEach((record, index) => checkRecord(record, index));
    return commit;
  });
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

function checkRecord(record: Partial<TaskRecord> | null, index: number): void {
  const isWhole =
    typeof record === 'object' &&
    record !== null &&
    typeof record.task === 'string' &&
    Number.isInteger(record.seq) &&
    typeof record.to === 'string' &&
    typeof record.at === 'number' &&
    Math.abs(record.at) <= maximumMillis &&
    typeof record.event === 'object';
  if (!isWhole) throw new EngineError('RECORD_CORRUPT', `record ${index + 1} is not a task's record`);
  const type: unknown = (record.event as { readonly type?: unknown } | null)?.type;
  if (knownTypes.has(type)) return;
  throw new EngineError('RECORD_CORRUPT', `record ${index + 1} has an event of unknown type ${String(type)}`);
}
