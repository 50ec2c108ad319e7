/**
 * Gathers what is submitted while a write is on its way, and writes it together: the group commit that a user of a database
 * queue writes for himself.
 */
export class Batcher<Item> {
  private readonly write: (items: readonly Item[]) => Promise<unknown>;
  private waiting: { readonly item: Item; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] =
    [];
  private isWriting = false;

  constructor(write: (items: readonly Item[]) => Promise<unknown>) {
    this.write = write;
  }

  /** Resolves when the item is written. */
  add(item: Item): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      // Not at once: what is submitted in this turn of the event loop goes together.
      if (!this.isWriting) {
        this.isWriting = true;
        setImmediate(() => void this.writeAll());
      }
    });
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        await this.write(batch.map(({ item }) => item));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.isWriting = false;
  }
}
