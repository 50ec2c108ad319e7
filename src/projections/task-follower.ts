import { asError } from '../core/errors.ts';
import type { Millis, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import { finishedStatuses } from '../core/task-view.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import type { TaskIndexStore, TaskRow } from '../ports/task-index.ts';
import { endOfCommit } from './cloud-event.ts';
import { commitOfEntry } from './entry-commit.ts';
import { positionBefore } from './entry-feed.ts';
import { parsePosition, partsOfPosition, type Position } from './position.ts';
import type { TrimmedTasks } from './rebuilt-rows.ts';
import { ShardChain } from './shard-chain.ts';
import { taskAfter } from './task-rows.ts';

/** Records after which a step takes no further entry: the index's thread has it done in some tens of milliseconds. */
export const maximumStepRecords = 500;
/** Bytes read ahead of the index before reading waits for it. */
const maximumWaitingBytes = 4 * 1024 * 1024;

/** What a {@link TaskFollower} works with. */
export interface TaskFollowerDeps {
  readonly journal: Journal;
  readonly index: TaskIndexStore;
  readonly clock: Clock;
  readonly finishedRetentionMs: number;
  /** An entry that cannot be read; it is passed over. */
  readonly onUnreadable: (entry: JournalEntry, error: Error) => void;
  /** Entries of the shard up to that sequence were trimmed before they were read. */
  readonly onMissed: (shard: ShardId, sequence: Sequence) => void;
  /** A step is stored. */
  readonly onStored?: () => void;
}

/** How far an index has read; 0 before the first entry. @throws EngineError `INVALID_ARGUMENT` for a position that is none */
export function sequenceOf(index: Pick<TaskIndexStore, 'position'>): Sequence {
  const { position } = index;
  return position === null ? (0 as Sequence) : partsOfPosition(parsePosition(position, 'position')).sequence;
}

/** Reads the journal on from an index's position into that index, step by step; a step's rows and position are stored together. */
export class TaskFollower {
  readonly #deps: TaskFollowerDeps;
  #waiting: JournalEntry[] = [];
  #waitingBytes = 0;

  constructor(deps: TaskFollowerDeps) {
    this.#deps = deps;
  }

  /**
   * Follows until the signal aborts, or until the index holds the entry `through`. Once.
   *
   * @throws EngineError `LOG_REGRESSED`, and what journal or index throw; the index then stands at its last whole step
   */
  async follow(range: {
    readonly signal: AbortSignal;
    readonly through?: Sequence;
    readonly trimmed?: TrimmedTasks;
  }): Promise<void> {
    const { journal, index, onMissed } = this.#deps;
    const after = sequenceOf(index);
    const chain = new ShardChain(after === 0 ? null : after);
    const stop = new AbortController();
    const signal = AbortSignal.any([range.signal, stop.signal]);
    let failure: Error | null = null;
    let storing: Promise<void> | null = null;
    const store = async (): Promise<void> => {
      try {
        while (this.#waiting.length > 0 && !range.signal.aborted) {
          await this.#storeStep(range.trimmed);
          if (sequenceOf(index) >= (range.through ?? Infinity)) stop.abort();
        }
      } catch (thrown) {
        failure = asError(thrown);
        stop.abort();
      }
      storing = null;
    };
    try {
      for await (const entry of journal.follow({ after, signal })) {
        if (signal.aborted) break;
        const missed = chain.follow(entry);
        if (missed !== null) onMissed(entry.shard, missed);
        range.trimmed?.meet(entry);
        this.#waiting.push(entry);
        this.#waitingBytes += entry.body.length;
        // What comes while a step is stored makes up the next one.
        storing ??= store();
        if (this.#waitingBytes >= maximumWaitingBytes) await storing;
      }
    } finally {
      stop.abort();
      await storing;
    }
    if (failure !== null) throw failure as Error;
  }

  async #storeStep(trimmed: TrimmedTasks | undefined): Promise<void> {
    const { index, clock, finishedRetentionMs, onStored } = this.#deps;
    const { records, position } = this.#takeStep();
    const rows = await this.#rowsAfter(records, trimmed);
    const expiredBefore = clock.now() - finishedRetentionMs;
    await index.apply({
      position,
      after: index.position,
      rows: rows.filter((row) => !isExpired(row, expiredBefore)),
      deletes: rows.filter((row) => isExpired(row, expiredBefore)).map(({ task }) => task.taskId),
    });
    onStored?.();
  }

  #takeStep(): { readonly records: readonly FoundRecord[]; readonly position: Position } {
    const records: FoundRecord[] = [];
    let entryCount = 0;
    let position = positionBefore(0 as Sequence);
    for (const entry of this.#waiting) {
      if (records.length >= maximumStepRecords) break;
      entryCount += 1;
      this.#waitingBytes -= entry.body.length;
      try {
        const commit = commitOfEntry(entry);
        position = endOfCommit(entry, commit);
        for (const record of commit.records) records.push({ record, shard: entry.shard, sequence: entry.sequence });
      } catch (thrown) {
        position = positionBefore(entry.sequence);
        this.#deps.onUnreadable(entry, asError(thrown));
      }
    }
    this.#waiting = this.#waiting.slice(entryCount);
    return { records, position };
  }

  /** The rows of all tasks that the records are about, as they are after them. */
  async #rowsAfter(records: readonly FoundRecord[], trimmed: TrimmedTasks | undefined): Promise<readonly TaskRow[]> {
    const begun = new Set<TaskId>();
    const asked = new Set<TaskId>();
    for (const { record } of records) {
      if (record.event.type === 'task.submitted') begun.add(record.task);
      else if (!begun.has(record.task)) asked.add(record.task);
    }
    const rows = new Map<TaskId, TaskRow>(await this.#deps.index.rowsOf([...asked]));
    for (const { record, shard, sequence } of records) {
      const before = rows.get(record.task)?.task ?? null;
      if (before === null && record.event.type !== 'task.submitted') trimmed?.meetCut(record.task);
      rows.set(record.task, { task: taskAfter(before, record, shard), sequence });
    }
    return [...rows.values()];
  }
}

interface FoundRecord {
  readonly record: TaskRecord;
  readonly shard: ShardId;
  readonly sequence: Sequence;
}

function isExpired({ task }: TaskRow, endedBefore: Millis): boolean {
  return finishedStatuses.includes(task.status) && task.endedAt !== null && task.endedAt < endedBefore;
}
