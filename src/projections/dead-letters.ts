import type { DeadLetterReason, Failure } from '../core/failures.ts';
import type { Millis, PipelineName, Sequence, ShardId, StageName, TaskId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';
import { eventsOfCommit } from './cloud-event.ts';
import { commitOfEntry } from './entry-commit.ts';
import { fingerprintFailure } from './failure-fingerprint.ts';
import { placeOf } from './machine-place.ts';
import { partsOfPosition, type Position } from './position.ts';

/** A task that was given up on and not yet redriven or canceled. */
export interface DeadLetter {
  readonly taskId: TaskId;
  readonly shard: ShardId;
  readonly pipeline: PipelineName;
  readonly version: number;
  /** The stage that a redrive begins with. */
  readonly stage: StageName | null;
  /** When it was given up, by the owner's clock. */
  readonly at: Millis;
  readonly reason: DeadLetterReason;
  readonly failure: Failure;
  /** The number of the attempt that failed last; null when none failed (interruptions, quarantine). */
  readonly attempts: number | null;
  /** Equal for failures of one kind. */
  readonly fingerprint: string;
  /** The task's count of records when it was given up. */
  readonly seq: number;
  /** Of the event `io.cabinet.task.dead-lettered`. */
  readonly position: Position;
}

/** The dead letters by task. */
export type DeadLetters = ReadonlyMap<TaskId, DeadLetter>;

/** What an entry makes of one task's dead letter. `left`: it is none after the entry; it may not have been one before. */
export type DeadLetterChange =
  { readonly kind: 'added'; readonly deadLetter: DeadLetter } | { readonly kind: 'left'; readonly taskId: TaskId };

/**
 * The list after a journal entry. Pure; the same list when the entry is not about dead letters.
 *
 * The state that a record reached decides, not the step that led there. So reading an entry twice changes nothing, and a
 * list that missed entries is right again for each task that it hears of.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the entry's sequence
 */
export function applyToDeadLetters(list: DeadLetters, entry: JournalEntry): DeadLetters {
  const changes = deadLetterChanges(entry, commitOfEntry(entry)).filter(
    (change) => change.kind === 'added' || list.has(change.taskId),
  );
  if (changes.length === 0) return list;
  const next = new Map(list);
  for (const change of changes) {
    if (change.kind === 'added') next.set(change.deadLetter.taskId, change.deadLetter);
    else next.delete(change.taskId);
  }
  return next;
}

/** What an entry changes, at most one change a task. Pure. @throws as {@link applyToDeadLetters} */
export function deadLetterChanges(entry: JournalEntry, commit: Commit): readonly DeadLetterChange[] {
  const changes = new Map<TaskId, DeadLetterChange>();
  const added = deadLettersOf(entry, commit);
  commit.records.forEach((record, index) => {
    const deadLetter = added.get(index);
    if (deadLetter !== undefined) changes.set(record.task, { kind: 'added', deadLetter });
    else if (placeOf(record.to).status !== 'deadLettered') {
      changes.set(record.task, { kind: 'left', taskId: record.task });
    }
  });
  return [...changes.values()];
}

const deadLetteredOnly = { types: new Set(['io.cabinet.task.dead-lettered'] as const) };

/** By the record's place in the commit. */
function deadLettersOf(entry: JournalEntry, commit: Commit): ReadonlyMap<number, DeadLetter> {
  const found = new Map<number, DeadLetter>();
  for (const event of eventsOfCommit(entry, commit, '', deadLetteredOnly)) {
    const index = partsOfPosition(event.id).part - 1;
    const record = commit.records[index];
    if (event.type !== 'io.cabinet.task.dead-lettered' || record === undefined) continue;
    const { stage, reason, failure, attempt, pipeline, version, seq } = event.data;
    found.set(index, {
      taskId: record.task,
      shard: entry.shard,
      pipeline,
      version,
      stage,
      at: record.at,
      reason,
      failure,
      attempts: attempt ?? null,
      fingerprint: fingerprintFailure(stage, failure, record.task),
      seq,
      position: event.id,
    });
  }
  return found;
}

/** The entry that gave the task up. */
export function sequenceOf(deadLetter: DeadLetter): Sequence {
  return partsOfPosition(deadLetter.position).sequence;
}
