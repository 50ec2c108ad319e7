/** Tasks that a load client waits for, by number. */
export class Waiters {
  private readonly resolves = new Map<number, () => void>();

  /** Resolves when `done` hears of the number. Call it before the task is submitted. */
  of(number: number): Promise<void> {
    return new Promise((resolve) => {
      this.resolves.set(number, resolve);
    });
  }

  /** A task is done; what nobody waits for is ignored. */
  done(number: number): void {
    this.resolves.get(number)?.();
    this.resolves.delete(number);
  }
}
