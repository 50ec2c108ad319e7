import type { Sequence, ShardId } from '../../src/core/ids.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Journal, JournalEntry } from '../../src/ports/journal.ts';
import { checkJournal, readWholeJournal, type JournalReport } from './journal-checker.ts';
import { tapJournal, type PortTap } from './port-taps.ts';

/** A journal that keeps what is trimmed of it, so that all of it can be checked. */
export class TrimmedJournal {
  readonly #inner: Journal;
  readonly #trimmed = new Map<Sequence, JournalEntry>();

  constructor(inner: Journal) {
    this.#inner = inner;
  }

  /** Messages that were trimmed away. */
  get trimmedCount(): number {
    return this.#trimmed.size;
  }

  /** The journal as one process sees it. */
  tapped(tap: PortTap): Journal {
    const keeping: Journal = {
      ...tapJournal(this.#inner, (_call, make) => make()),
      trim: async (shard: ShardId, through: Sequence) => {
        for await (const entry of this.#inner.read({ shard, after: 0 as Sequence, through })) {
          this.#trimmed.set(entry.sequence, entry);
        }
        await this.#inner.trim(shard, through);
      },
    };
    return tapJournal(keeping, tap);
  }

  /** What all of it says, from the first message on. */
  async report(shardCount: number, pipelines: readonly PipelineDefinition[]): Promise<JournalReport> {
    const entries = new Map(this.#trimmed);
    for (const entry of await readWholeJournal(this.#inner, shardCount)) entries.set(entry.sequence, entry);
    return checkJournal(
      [...entries.values()].toSorted((left, right) => left.sequence - right.sequence),
      pipelines,
    );
  }
}
