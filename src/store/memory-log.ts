import type { Sequence, ShardId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { JournalEntry } from '../ports/journal.ts';

/** An append as it arrives at the log. */
export interface MemoryAppend {
  readonly shard: ShardId;
  readonly body: Uint8Array;
  readonly expectedLast: Sequence;
  readonly messageId: string;
}

/** Message ids dropped from the window at one time, at most; keeps the cost of a store even. */
const idsForgottenPerStore = 8;

/** The messages of all shards in one line of sequences, and the ids that the server still remembers. */
export class MemoryLog {
  readonly #clock: Clock;
  readonly #duplicateWindowMs: number;
  #entries: JournalEntry[] = [];
  readonly #byShard = new Map<ShardId, JournalEntry[]>();
  readonly #ids = new Map<string, { readonly sequence: Sequence; readonly atMs: number }>();
  readonly #waiting = new Set<() => void>();
  #lastSequence = 0;

  constructor(clock: Clock, duplicateWindowMs: number) {
    this.#clock = clock;
    this.#duplicateWindowMs = duplicateWindowMs;
  }

  /** The shard's last message. */
  last(shard: ShardId): JournalEntry | undefined {
    return this.#byShard.get(shard)?.at(-1);
  }

  /** Whether the shard's last sequence is the one that the append expects. */
  expectationHolds(request: MemoryAppend): boolean {
    return (this.last(request.shard)?.sequence ?? 0) === request.expectedLast;
  }

  /** Where the message of that id was stored, if that is remembered. */
  sequenceOf(messageId: string): Sequence | undefined {
    const known = this.#ids.get(messageId);
    if (known === undefined || this.#clock.monotonicMs() - known.atMs > this.#duplicateWindowMs) return undefined;
    return known.sequence;
  }

  /** Stores unconditionally, and wakes who follows. */
  store(request: MemoryAppend): Sequence {
    const { shard, body, messageId } = request;
    this.#lastSequence += 1;
    const sequence = this.#lastSequence as Sequence;
    const previous = this.last(shard)?.sequence ?? (0 as Sequence);
    const entry: JournalEntry = { shard, sequence, storedAt: this.#clock.now(), body, previous };
    this.#entries.push(entry);
    const ofShard = this.#byShard.get(shard);
    if (ofShard === undefined) this.#byShard.set(shard, [entry]);
    else ofShard.push(entry);
    this.#forgetOldIds();
    this.#ids.delete(messageId);
    this.#ids.set(messageId, { sequence, atMs: this.#clock.monotonicMs() });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
    return sequence;
  }

  /** The first message after a sequence, of one shard or of all. */
  nextAfter(after: Sequence, shard?: ShardId): JournalEntry | undefined {
    const entries = shard === undefined ? this.#entries : (this.#byShard.get(shard) ?? []);
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle]?.sequence ?? 0) > after) high = middle;
      else low = middle + 1;
    }
    return entries[low];
  }

  /** Resolves at the next store, or when the signal aborts. */
  stored(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** First and last sequence, both 0 when there is none. */
  bounds(): { readonly first: Sequence; readonly last: Sequence } {
    return { first: this.#entries[0]?.sequence ?? (0 as Sequence), last: this.#lastSequence as Sequence };
  }

  /** Removes the shard's messages through a sequence, except its last. */
  trim(shard: ShardId, through: Sequence): void {
    const entries = this.#byShard.get(shard);
    const last = entries?.at(-1);
    if (entries === undefined || last === undefined) return;
    const isKept = (entry: JournalEntry): boolean => entry.sequence > through || entry === last;
    if (isKept(entries[0] ?? last)) return;
    this.#byShard.set(shard, entries.filter(isKept));
    this.#entries = this.#entries.filter((entry) => entry.shard !== shard || isKept(entry));
  }

  #forgetOldIds(): void {
    const oldestMs = this.#clock.monotonicMs() - this.#duplicateWindowMs;
    let forgotten = 0;
    for (const [id, { atMs }] of this.#ids) {
      if (atMs >= oldestMs || forgotten === idsForgottenPerStore) return;
      this.#ids.delete(id);
      forgotten += 1;
    }
  }
}
