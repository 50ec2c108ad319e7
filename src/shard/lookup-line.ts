import type { Clock } from '../ports/clock.ts';

/** A place in a {@link LookupLine}. */
export interface LookupTurn {
  /** Called once, when it is this one's turn. */
  readonly onTurn: () => void;
}

/** The line of a node's suspect lookups, over all its shards: one at a time, from its turn to its end. */
export class LookupLine {
  readonly #clock: Clock;
  readonly #waiting = new Set<LookupTurn>();
  #current: LookupTurn | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Stands in line; the turn comes at the end of this turn of the event loop at the earliest. */
  enter(onTurn: () => void): LookupTurn {
    const turn: LookupTurn = { onTurn };
    this.#waiting.add(turn);
    this.#next();
    return turn;
  }

  /** The turn is over, or its place is given up. More than once does nothing. */
  end(turn: LookupTurn): void {
    this.#waiting.delete(turn);
    if (this.#current !== turn) return;
    this.#current = null;
    this.#next();
  }

  #next(): void {
    const [first] = this.#waiting;
    if (this.#current !== null || first === undefined) return;
    this.#waiting.delete(first);
    this.#current = first;
    this.#clock.defer(() => {
      if (this.#current === first) first.onTurn();
    });
  }
}
