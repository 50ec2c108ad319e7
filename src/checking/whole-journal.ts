import type { Sequence, ShardId } from '../core/ids.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';

/** All messages of all shards from the first on, as the stream's leader has them, in the order of sequences. */
export async function readWholeJournal(
  journal: Pick<Journal, 'readLast' | 'read'>,
  shardCount: number,
): Promise<readonly JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for (let index = 0; index < shardCount; index += 1) {
    const shard = index as ShardId;
    const last = await journal.readLast(shard);
    if (last === null) continue;
    for await (const entry of journal.read({ shard, after: 0 as Sequence, through: last.sequence })) {
      entries.push(entry);
    }
  }
  return entries.toSorted((left, right) => left.sequence - right.sequence);
}
