import type { Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { JournalEntry } from '../ports/journal.ts';
import type { TaskIndexStore, TaskRow } from '../ports/task-index.ts';

/** Rows that are compared at a time. */
const rowsPerScan = 500;

/** What reading the journal from its first entry found out about what is trimmed. */
export class TrimmedTasks {
  readonly #firstOf = new Map<ShardId, Sequence>();
  readonly #cut = new Set<TaskId>();

  /** The next entry of the journal. */
  meet({ shard, sequence }: JournalEntry): void {
    if (!this.#firstOf.has(shard)) this.#firstOf.set(shard, sequence);
  }

  /** A task whose first records are gone. */
  meetCut(taskId: TaskId): void {
    this.#cut.add(taskId);
  }

  /** Whether an older index knows more of the task than the journal tells: all of its records are trimmed, or the first of them. */
  isKept(old: TaskRow, rebuilt: TaskRow | undefined): boolean {
    if (rebuilt !== undefined) return rebuilt.sequence === old.sequence && this.#cut.has(old.task.taskId);
    const first = this.#firstOf.get(old.task.shard);
    return first !== undefined && old.sequence < first;
  }
}

/**
 * Takes over what the journal does not tell any more from the index that was there before.
 *
 * @returns how many tasks it took over
 */
export async function keepTrimmedTasks(request: {
  readonly from: TaskIndexStore;
  readonly to: TaskIndexStore;
  readonly trimmed: TrimmedTasks;
}): Promise<number> {
  const { from, to, trimmed } = request;
  let keptCount = 0;
  let after: TaskId | null = null;
  for (;;) {
    const rows: readonly TaskRow[] = await from.scan(after, rowsPerScan);
    const last = rows.at(-1);
    if (last === undefined) return keptCount;
    after = last.task.taskId;
    const rebuilt = await to.rowsOf(rows.map(({ task }) => task.taskId));
    const kept = rows.filter((row) => trimmed.isKept(row, rebuilt.get(row.task.taskId)));
    const { position } = to;
    // Without a position nothing was read: no entry, so no shard, so nothing to keep.
    if (kept.length === 0 || position === null) continue;
    await to.apply({ position, after: position, rows: kept, deletes: [] });
    keptCount += kept.length;
  }
}
