import { EngineError, invalidArgument } from '../core/errors.ts';
import type { Epoch, Millis, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { Journal } from '../ports/journal.ts';
import { commitOfEntry } from './entry-commit.ts';

/** One record of a task with where it stands in the journal. */
export interface HistoryRecord {
  readonly sequence: Sequence;
  /** Its place in the commit, from 0. */
  readonly index: number;
  readonly epoch: Epoch;
  /** When the server stored it, by the server's clock; `record.at` is the owner's. */
  readonly storedAt: Millis;
  readonly record: TaskRecord;
}

/** What the journal still has of a task, oldest first. */
export interface TaskHistory {
  readonly taskId: TaskId;
  readonly shard: ShardId;
  /** Without gaps. Empty when the journal has nothing of the task in what was read. */
  readonly records: readonly HistoryRecord[];
  /** Whether it begins with the task's first record. */
  readonly isComplete: boolean;
  /** How many records stand before the first one here: trimmed, or at or before `afterSequence`. */
  readonly missingCount: number;
  /** Up to here the shard's journal was read; 0 when it is empty. Read on after it for what comes next. */
  readonly through: Sequence;
}

/**
 * A task's records, read off its shard's journal. Costs a read of the shard's whole journal after `afterSequence`, and none
 * of the owner's time. When the id was used again after its retention, the newest task of that id is told.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the sequence, also for a record that does not follow the one before;
 *   `UNAVAILABLE`
 */
export async function readTaskHistory(request: {
  readonly journal: Journal;
  readonly shard: ShardId;
  readonly taskId: TaskId;
  /** Leave out entries up to this sequence. */
  readonly afterSequence?: Sequence | undefined;
}): Promise<TaskHistory> {
  const { journal, shard, taskId, afterSequence = 0 as Sequence } = request;
  if (!Number.isSafeInteger(afterSequence) || afterSequence < 0) {
    throw invalidArgument({
      field: 'afterSequence',
      message: 'afterSequence must be a whole number from 0',
      limit: '0 or more',
      got: afterSequence,
    });
  }
  const last = await journal.readLast(shard);
  const through = last?.sequence ?? (0 as Sequence);
  let records: HistoryRecord[] = [];
  if (through > afterSequence) {
    for await (const entry of journal.read({ shard, after: afterSequence, through })) {
      const { epoch, records: committed } = commitOfEntry(entry);
      committed.forEach((record, index) => {
        if (record.task !== taskId) return;
        if (record.seq === 1) records = [];
        checkFollows(records.at(-1)?.record, record, entry.sequence);
        records.push({ sequence: entry.sequence, index, epoch, storedAt: entry.storedAt, record });
      });
    }
  }
  const missingCount = (records[0]?.record.seq ?? 1) - 1;
  return { taskId, shard, records, isComplete: records.length > 0 && missingCount === 0, missingCount, through };
}

/** Trimming takes whole entries from the front: a gap within is damage. */
function checkFollows(before: TaskRecord | undefined, record: TaskRecord, sequence: Sequence): void {
  if (before === undefined || record.seq === before.seq + 1) return;
  throw new EngineError(
    'RECORD_CORRUPT',
    `journal entry ${sequence}: task ${record.task} has record ${record.seq} after record ${before.seq}`,
    { field: 'sequence', got: sequence },
  );
}
