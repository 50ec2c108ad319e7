import type { HistoryBounds, HistoryPart } from './history.ts';
import type { HistoryEvent } from './history-events.ts';
import type { Story } from './story.ts';

/**
 * The number of an invariant. `I1` to `I59` are those of the reliability plan; `A1` to `A3` are the legal reading of an append's
 * answer; `J1` and `J2` say that the journal itself can be read, which all others presuppose.
 */
export type InvariantId = `${'I' | 'A' | 'J'}${number}`;

/** What a history must have for an invariant to be judged: whole parts, that all was healed, or a bound that the run promised. */
export type HistoryNeed = HistoryPart | 'healed' | keyof HistoryBounds;

/** What breaks an invariant. */
export interface Breach {
  /** One sentence: what is so, and must not be. */
  readonly says: string;
  /** The journal's messages that show it. */
  readonly sequences?: readonly number[];
  /** The events beside the journal that show it. */
  readonly events?: readonly HistoryEvent[];
}

/** A breach with the number of what it breaks. */
export interface Violation extends Breach {
  readonly id: InvariantId;
}

/** A rule that every history keeps, as far as it has the parts. An invariant of several sides has a row for each. */
export interface Invariant {
  readonly id: InvariantId;
  /** What holds, as a sentence. */
  readonly title: string;
  readonly needs: readonly HistoryNeed[];
  /** Pure, and linear in the length of the history. */
  readonly check: (story: Story) => Iterable<Breach>;
}
