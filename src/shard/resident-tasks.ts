/** How many tasks are in memory, over all shards of a node. */
export class ResidentTasks {
  readonly #counts = new Set<() => number>();

  get total(): number {
    let total = 0;
    for (const count of this.#counts) total += count();
    return total;
  }

  /** Counts a shard's tasks in. @returns takes them out again */
  include(count: () => number): () => void {
    this.#counts.add(count);
    return () => this.#counts.delete(count);
  }
}
