import { asError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';

/** Time between two looks at the journal's end; a lag is known to this much. */
const lookEveryMs = 1_000;
/** Looks that are remembered; further ones make the lag seem longer, never shorter. */
const maximumLooks = 600;

interface Look {
  sequence: Sequence;
  readonly atMs: number;
}

/** How far a reader is behind the journal's end, in time by this process's clock alone: clocks of owners and servers may differ. */
export class JournalLag {
  readonly #deps: { readonly journal: Journal; readonly clock: Clock; readonly logger: Logger };
  #looks: Look[] = [];
  #journalSequence = 0 as Sequence;
  #timer: TimerHandle | null = null;
  #isStopped = false;

  constructor(deps: { readonly journal: Journal; readonly clock: Clock; readonly logger: Logger }) {
    this.#deps = deps;
  }

  /** The journal's last entry at the last look. */
  get journalSequence(): Sequence {
    return this.#journalSequence;
  }

  /** For how long there has been an entry behind `reached`; 0 when there was none at the last look. */
  lagMs(reached: Sequence): number {
    this.#looks = this.#looks.filter(({ sequence }) => sequence > reached);
    const [oldest] = this.#looks;
    return oldest === undefined ? 0 : this.#deps.clock.monotonicMs() - oldest.atMs;
  }

  /** Begins to look. */
  start(): void {
    void this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { journal, clock, logger } = this.#deps;
    const atMs = clock.monotonicMs();
    try {
      this.#note((await journal.bounds()).last, atMs);
    } catch (thrown) {
      logger.debug({ err: asError(thrown) }, "the journal's end is not known now");
    }
    if (!this.#isStopped) this.#timer = clock.setTimer(lookEveryMs, () => void this.#look());
  }

  #note(sequence: Sequence, atMs: number): void {
    // A journal that became shorter: what was seen of the one before says nothing.
    if (sequence < this.#journalSequence) this.#looks = [];
    const newest = this.#looks.at(-1);
    this.#journalSequence = sequence;
    if (newest !== undefined && newest.sequence >= sequence) return;
    if (newest !== undefined && this.#looks.length >= maximumLooks) newest.sequence = sequence;
    else this.#looks.push({ sequence, atMs });
  }
}
