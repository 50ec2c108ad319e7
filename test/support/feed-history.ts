import type { LiveFrame } from '../../src/admin/live/protocol.ts';
import { checkHistory } from '../../src/checking/check-history.ts';
import type { FeedPlace, HistoryEvent } from '../../src/checking/history-events.ts';
import { historyEntry, type History, type HistoryEntry } from '../../src/checking/history.ts';
import type { Violation } from '../../src/checking/invariant.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { PipelineEvent } from '../../src/projections/cloud-event.ts';
import { parsePosition, partsOfPosition } from '../../src/projections/position.ts';

const judged = ['I53', 'I54', 'I55'] as const;

/** What subscribers of real feeds were sent, beside the journal that the feeds are of. */
export class FeedHistory {
  readonly #entries: HistoryEntry[] = [];
  readonly #events: HistoryEvent[] = [];
  #subscriptions = 0;

  /** An entry, before anything trims it. */
  committed(entry: JournalEntry): void {
    this.#entries.push(historyEntry(entry));
  }

  /** A subscription begins. Gives who takes its frames. */
  subscribed(after: string | null, isFiltered: boolean): (frame: LiveFrame) => void {
    this.#subscriptions += 1;
    const connection = `subscription ${this.#subscriptions}`;
    const at = 0;
    this.#events.push({
      type: 'subscribed',
      connection,
      after: after === null ? null : placeOf(after),
      isFiltered,
      at,
    });
    return (frame) => {
      if (frame.type === 'gap') this.#events.push({ type: 'gap', connection, place: placeOf(frame.to), at });
      if (frame.type !== 'delta') return;
      for (const { id } of frame.data as readonly PipelineEvent[]) {
        this.#events.push({ type: 'delivered', connection, place: placeOf(id), at });
      }
    };
  }

  /** What is wrong with what was delivered: that alone, for the records may be made up. */
  violations(): readonly Violation[] {
    const history: History = {
      format: 1,
      namespace: 'cabinet',
      shardCount: 1,
      bounds: {},
      parts: ['journal', 'deliveries'],
      isHealed: false,
      endedAt: 0,
      entries: this.#entries.toSorted((left, right) => left.sequence - right.sequence),
      events: this.#events,
    };
    const { violations } = checkHistory(history, { definitions: [], needs: judged });
    return violations.filter(({ id }) => (judged as readonly string[]).includes(id));
  }
}

function placeOf(position: string): FeedPlace {
  const { sequence, part, event } = partsOfPosition(parsePosition(position));
  return [sequence, part, event];
}
