import type { ShardId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';

/** Since when something has been true of shards. */
export class ShardTimes {
  readonly #clock: Clock;
  readonly #sinceMs = new Map<ShardId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(shard: ShardId): boolean {
    return this.#sinceMs.has(shard);
  }

  /** For how long it has been true of the shard; 0 when it is not. */
  spanMs(shard: ShardId): number {
    const nowMs = this.#clock.monotonicMs();
    return nowMs - (this.#sinceMs.get(shard) ?? nowMs);
  }

  /** Counts from now, unless it counts already. */
  begin(shard: ShardId): void {
    if (!this.#sinceMs.has(shard)) this.#sinceMs.set(shard, this.#clock.monotonicMs());
  }

  end(shard: ShardId): void {
    this.#sinceMs.delete(shard);
  }

  /** It is true of these shards now, and of no other. */
  keep(shards: readonly ShardId[]): void {
    const current = new Set(shards);
    for (const shard of this.#sinceMs.keys()) if (!current.has(shard)) this.end(shard);
    for (const shard of current) this.begin(shard);
  }

  /** The shards of which it has been true for longer than this. */
  olderThan(spanMs: number): readonly ShardId[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#sinceMs].filter(([, sinceMs]) => nowMs - sinceMs > spanMs).map(([shard]) => shard);
  }
}
