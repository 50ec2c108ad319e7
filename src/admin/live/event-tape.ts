import { asError } from '../../core/errors.ts';
import type { PipelineName, Sequence, TaskId } from '../../core/ids.ts';
import type { Journal, JournalEntry } from '../../ports/journal.ts';
import { endOfCommit, eventsOfCommit, type PipelineEvent } from '../../projections/cloud-event.ts';
import { commitOfEntry } from '../../projections/entry-commit.ts';
import { positionBefore } from '../../projections/entry-feed.ts';
import type { PipelineEventType } from '../../projections/event-types.ts';
import { comparePositions, type Position } from '../../projections/position.ts';
import { ShardChain } from '../../projections/shard-chain.ts';

/** An event that is encoded once, for whoever wants it. */
export interface TapedEvent {
  readonly id: Position;
  readonly type: PipelineEventType;
  /** Null for an event of a shard; so is `taskId`. */
  readonly pipeline: PipelineName | null;
  readonly taskId: TaskId | null;
  /** When it was decided, by the owner's clock. */
  readonly json: string;
}

/** The next piece of the journal. */
export type TapeItem =
  | {
      readonly kind: 'entry';
      readonly sequence: Sequence;
      /** The position behind all of its events. */
      readonly end: Position;
      readonly events: readonly TapedEvent[];
      readonly sizeBytes: number;
    }
  /** Something is missing before `end`: trimmed, or not to be read. */
  | {
      readonly kind: 'gap';
      readonly sequence: Sequence;
      readonly end: Position;
      readonly code: 'RESUME_TOO_OLD' | 'RECORD_CORRUPT';
      readonly message: string;
      readonly sizeBytes: number;
    };

/** What an item costs in memory beside its text. */
const itemOverheadBytes = 200;

/**
 * The journal after a sequence as encoded events, for ever. What is missing is an item like the others, in its place: one broken
 * entry must not end the feed of all that come after it.
 *
 * @throws EngineError as `Journal.follow`
 */
export async function* readTape(request: {
  readonly journal: Journal;
  readonly namespace: string;
  readonly after: Sequence;
  readonly signal: AbortSignal;
}): AsyncGenerator<TapeItem, void, undefined> {
  const { journal, namespace, after, signal } = request;
  const chain = new ShardChain(after);
  for await (const entry of journal.follow({ after, signal })) {
    const missed = chain.follow(entry);
    if (missed !== null) {
      const end = positionBefore(entry.sequence);
      const message = `entry ${missed} of shard ${entry.shard} is trimmed`;
      yield {
        kind: 'gap',
        sequence: entry.sequence,
        end,
        code: 'RESUME_TOO_OLD',
        message,
        sizeBytes: itemOverheadBytes,
      };
    }
    yield itemOf(entry, namespace);
  }
}

/** Whether a position is one of that entry: before all of its events, at one of them, or behind them. */
export function isPlaceIn(item: TapeItem, position: Position): boolean {
  if (comparePositions(position, positionBefore(item.sequence)) === 0) return true;
  if (item.kind === 'gap') return false;
  return position === item.end || item.events.some(({ id }) => id === position);
}

function itemOf(entry: JournalEntry, namespace: string): TapeItem {
  const { sequence } = entry;
  try {
    const commit = commitOfEntry(entry);
    const events = eventsOfCommit(entry, commit, namespace).map(taped);
    const sizeBytes = events.reduce((sum, { json }) => sum + json.length, itemOverheadBytes * (events.length + 1));
    return { kind: 'entry', sequence, end: endOfCommit(entry, commit), events, sizeBytes };
  } catch (thrown) {
    const { message } = asError(thrown);
    const end = positionBefore(sequence);
    return { kind: 'gap', sequence, end, code: 'RECORD_CORRUPT', message, sizeBytes: itemOverheadBytes };
  }
}

function taped(event: PipelineEvent): TapedEvent {
  return {
    id: event.id,
    type: event.type,
    pipeline: 'pipeline' in event.data ? event.data.pipeline : null,
    taskId: event.subject ?? null,
    json: JSON.stringify(event),
  };
}
