/**
 * An actor's bounded first-in-first-out queue. Most hold no message most of the time, so an empty one has no array.
 */
export class Mailbox<Item> {
  readonly capacity: number;
  #items: Item[] | null = null;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#items === null ? 0 : this.#items.length;
  }

  /** Puts an item at the end; false when the mailbox is full, and then nothing is kept. */
  offer(item: Item): boolean {
    if (this.#items === null) {
      this.#items = [item];
      return true;
    }
    if (this.#items.length >= this.capacity) return false;
    this.#items.push(item);
    return true;
  }

  /**
   * Puts an item at the end whatever the capacity. Only for outcomes of the task's own effects: their number is bounded by
   * what it has running, and to refuse one would lose a result.
   */
  push(item: Item): void {
    if (this.#items === null) this.#items = [item];
    else this.#items.push(item);
  }

  /** Takes the oldest item, or undefined. */
  take(): Item | undefined {
    if (this.#items === null) return undefined;
    const item = this.#items.shift();
    if (this.#items.length === 0) this.#items = null;
    return item;
  }
}
