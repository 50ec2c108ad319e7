import type { EngineConfig } from '../core/config.ts';
import { asError } from '../core/errors.ts';
import type { Millis, Sequence, ShardId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';

/** Least time between two looks at what can go. */
const leastIntervalMs = 60_000;

/** What {@link JournalTrimmer} asks of the outside. */
export interface JournalTrimmerDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: Pick<EngineConfig, 'auditWindowMs'>;
  /** How far every projection has read the journal: what is behind it nobody has seen yet. */
  readonly projectedThrough: () => Sequence;
}

/**
 * Removes the journal of one shard that is older than the audit window and no longer needed: up to the older of its checkpoint,
 * the window and the projections. The stream has no age limit of its own, for a cluster that rests for a month must find its
 * tail again.
 */
export class JournalTrimmer {
  readonly #deps: JournalTrimmerDeps;
  readonly #shard: ShardId;
  #checkpoint = 0 as Sequence;
  #trimmed = 0 as Sequence;
  /** When the oldest message that was seen and kept may go. */
  #nextDueAt: Millis = 0;
  #timer: TimerHandle | null = null;
  #closed = false;

  constructor(deps: JournalTrimmerDeps, shard: ShardId) {
    this.#deps = deps;
    this.#shard = shard;
  }

  /** The shard's checkpoint has moved: what is before it is only history now. */
  checkpointed(sequence: Sequence): void {
    this.#checkpoint = sequence;
    this.#arm();
  }

  /** Looks again when the oldest message that was kept may go; not while there is nothing that could. */
  #arm(): void {
    if (this.#timer !== null || this.#closed || this.#trimmed >= this.#checkpoint) return;
    const delayMs = Math.max(leastIntervalMs, this.#nextDueAt - this.#deps.clock.now());
    this.#timer = this.#deps.clock.setTimer(delayMs, () => void this.#tick());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #tick(): Promise<void> {
    try {
      await this.trim();
    } catch (thrown) {
      this.#deps.logger.warn(
        { shard: this.#shard, err: asError(thrown) },
        'the journal could not be trimmed; it is tried again',
      );
    }
    this.#timer = null;
    this.#arm();
  }

  /** Trims now what may go. @throws EngineError `UNAVAILABLE` */
  async trim(): Promise<void> {
    const { journal, clock, config, projectedThrough } = this.#deps;
    const through = Math.min(this.#checkpoint, projectedThrough()) as Sequence;
    const oldest = clock.now() - config.auditWindowMs;
    let last = this.#trimmed;
    if (through <= last) return;
    // Each message is looked at once, when it has grown old; its body is not decoded.
    for await (const entry of journal.read({ shard: this.#shard, after: last, through })) {
      if (this.#closed) return;
      if (entry.storedAt > oldest) {
        this.#nextDueAt = entry.storedAt + config.auditWindowMs;
        break;
      }
      last = entry.sequence;
    }
    if (last === this.#trimmed) return;
    await journal.trim(this.#shard, last);
    this.#trimmed = last;
  }
}
