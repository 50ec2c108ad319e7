import { invalidArgument } from '../core/errors.ts';
import type { Sequence, ShardId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import { commitOfEntry } from './entry-commit.ts';
import { formatPosition, partsOfPosition, startPosition, type Position } from './position.ts';
import { ShardChain } from './shard-chain.ts';

/** A journal entry with what is in it. */
export interface DecodedEntry {
  readonly entry: JournalEntry;
  readonly commit: Commit;
}

/** Where and how far to follow the journal. */
export interface EntryFeedRequest {
  readonly journal: Journal;
  /** The entry of this position comes first, for only its reader knows which of its events were read. */
  readonly after?: Position | undefined;
  /** One shard's entries only. */
  readonly shard?: ShardId | undefined;
  /** Ends the feed. */
  readonly signal: AbortSignal;
}

/**
 * The journal's entries from a position on, in order and without gaps, for ever; ends when the signal aborts. Without a
 * position it begins at the oldest entry that is left.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a position that is trimmed (also later, when trimming overtakes a slow reader)
 *   or in the future, `RECORD_CORRUPT` that names the sequence, `UNAVAILABLE`
 */
export async function* followEntries(request: EntryFeedRequest): AsyncGenerator<DecodedEntry, void, undefined> {
  const { journal, shard, signal } = request;
  const after = request.after ?? startPosition;
  const { sequence } = partsOfPosition(after);
  const fromStart = sequence === 0;
  if (!fromStart) await checkWithinJournal(journal, after, sequence);
  const before = (fromStart ? 0 : sequence - 1) as Sequence;
  const chain = new ShardChain(fromStart ? null : before);
  const from = { after: before, signal, ...(shard === undefined ? {} : { shard }) };
  for await (const entry of journal.follow(from)) {
    const missed = chain.follow(entry);
    if (missed !== null) {
      throw trimmed(after, positionBefore(entry.sequence), `entry ${missed} of shard ${entry.shard} is gone`);
    }
    yield { entry, commit: commitOfEntry(entry) };
  }
}

/** The position before all events of an entry. */
export function positionBefore(sequence: Sequence): Position {
  return formatPosition({ sequence, part: 0, event: 0 });
}

async function checkWithinJournal(journal: Journal, after: Position, sequence: Sequence): Promise<void> {
  const { first, last } = await journal.bounds();
  if (sequence > last) {
    throw invalidArgument({
      field: 'after',
      message: `position ${after} is in the future; the newest entry is ${last}`,
      limit: `at most ${last}`,
      got: after,
      hint: 'the position is of another namespace, or the journal was lost',
    });
  }
  if (sequence < first) throw trimmed(after, positionBefore(first), `the journal begins at entry ${first}`);
}

function trimmed(after: Position, oldest: Position, detail: string): Error {
  return invalidArgument({
    field: 'after',
    message: `position ${after} is trimmed; oldest is ${oldest}: ${detail}`,
    limit: `at least ${oldest}`,
    got: after,
    hint: 'leave the position out to read what is left; what was trimmed is lost to this reader',
  });
}
