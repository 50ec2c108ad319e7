import { decodeCommit } from '../core/commit-codec.ts';
import { asError } from '../core/errors.ts';
import type { Millis, Sequence, ShardId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';
import type { HistoryEvent } from './history-events.ts';

/**
 * What a recorder saw of a run, part by part. An invariant leans on a part only if the history says that it is whole: a gap
 * of the record must not pass for a broken promise, nor for a kept one.
 *
 * - `journal`: every message from the stream's first on, none trimmed
 * - `calls`: every command of every client, those without an answer too, and what questions were answered
 * - `replies`: every answer about a task that left an owner, heard or not
 * - `effects`: all that was done to the world outside, and what it refused
 * - `drivers`: every start and end of a driver
 * - `ownership`: every opening and closing of a shard by a node
 * - `appends`: every append of every node, with what the store answered
 * - `faults`: every fault that was made
 * - `processes`: every start and end of a node process
 * - `snapshots`: every snapshot and checkpoint that was written
 * - `deadLetters`: the list of dead letters as it was at the end
 * - `deliveries`: every event that every subscriber was sent
 * - `metrics`: the counters of every process at its end
 * - `logs`: every line of level warn or above
 * - `replicas`: what each replica of the journal's store has
 */
export type HistoryPart =
  | 'journal'
  | 'calls'
  | 'replies'
  | 'effects'
  | 'drivers'
  | 'ownership'
  | 'appends'
  | 'faults'
  | 'processes'
  | 'snapshots'
  | 'deadLetters'
  | 'deliveries'
  | 'metrics'
  | 'logs'
  | 'replicas';

/** One message of the journal, decoded. */
export interface HistoryEntry {
  readonly shard: ShardId;
  readonly sequence: Sequence;
  /** Sequence of the shard's message before it, 0 for its first; left out when the store cannot tell. */
  readonly previous?: Sequence;
  /** When the store took it, by the history's clock. */
  readonly storedAt: Millis;
  /** Null when its bytes are no commit; `problem` says why. */
  readonly commit: Commit | null;
  readonly problem?: string;
}

/** What one replica of the journal's store holds: a digest of each message, in the order of sequences. */
export interface ReplicaContent {
  readonly replica: string;
  readonly digests: readonly (readonly [sequence: number, digest: string])[];
}

/** Times that a run promises to keep. What is left out is not checked: a run under faults promises no punctuality. */
export interface HistoryBounds {
  /** How much before its due time a timer may fire, by what clocks may differ; 50 when left out. */
  readonly timerEarlyMs?: number;
  /** How long after max(due, opening of the shard) a due retry may wait. */
  readonly timerLateMs?: number;
  /** How long after its first refusal an owner may still hold the shard, 250 by promise. */
  readonly zombieMs?: number;
  /** How long a shard may be without an owner while no fault is in force. */
  readonly ownerlessMs?: number;
  /** How much later than its deadline a call may be answered. */
  readonly deadlineSlackMs?: number;
  /** Restarts of a driver that losses of owners may cost one stage at most: the engine's `maxInterruptions`. */
  readonly maxInterruptions?: number;
  /** Commands that a task remembers: the engine's `dedupWindowSize`. */
  readonly dedupWindowSize?: number;
  /** Where in a task's stages an effect must be seen: `pipeline/stage`. Left out: wherever one was seen. */
  readonly effectStages?: readonly string[];
}

/**
 * A run as it was recorded: plain JSON. All times are milliseconds of one wall clock, the one that the journal's `storedAt`
 * is of; the clocks of nodes may differ from it.
 */
export interface History {
  readonly format: 1;
  readonly namespace: string;
  readonly shardCount: number;
  readonly bounds: HistoryBounds;
  /** The parts that are whole. */
  readonly parts: readonly HistoryPart[];
  /** Whether faults were over and the work was given its time: only then must all of it have ended. */
  readonly isHealed: boolean;
  readonly endedAt: Millis;
  /** The journal in the order of sequences. */
  readonly entries: readonly HistoryEntry[];
  /** All else, in the order in which it was recorded. */
  readonly events: readonly HistoryEvent[];
  readonly replicas?: readonly ReplicaContent[];
}

/** A message as a history keeps it; one that cannot be read is kept with why. */
export function historyEntry({ shard, sequence, previous, storedAt, body }: JournalEntry): HistoryEntry {
  const where = { shard, sequence, storedAt, ...(previous === undefined ? {} : { previous }) };
  try {
    return { ...where, commit: decodeCommit(body) };
  } catch (thrown) {
    return { ...where, commit: null, problem: asError(thrown).message };
  }
}
