import type { Logger } from '../ports/logger.ts';

/** What was started, undone in the reverse order: a failed start leaves nothing behind, and a stop is the same walk. */
export class UndoStack {
  readonly #logger: Logger;
  readonly #steps: { readonly name: string; readonly undo: (graceMs: number) => Promise<void> }[] = [];
  #running: Promise<void> | null = null;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Notes how a part is stopped; `graceMs` is what its running work gets. */
  push(name: string, undo: (graceMs: number) => Promise<void>): void {
    this.#steps.push({ name, undo });
  }

  /** Stops every part, the last one first. A second call waits for the first. */
  run(graceMs = 0): Promise<void> {
    this.#running ??= this.#run(graceMs);
    return this.#running;
  }

  async #run(graceMs: number): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const { name, undo } = step;
      await undo(graceMs).catch((error: unknown) => {
        this.#logger.warn({ part: name, err: error }, 'a part of the node did not stop in good order');
      });
    }
  }
}
