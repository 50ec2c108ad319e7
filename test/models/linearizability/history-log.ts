import type { Operation } from './linearizability.ts';

/** Writes down what is asked and what is answered, in the order in which it happens. */
export class HistoryLog<Input, Output> {
  readonly operations: Operation<Input, Output>[] = [];
  readonly #tick: () => number;

  /** @param tick - counts on: shared by the logs that are judged together */
  constructor(tick: () => number) {
    this.#tick = tick;
  }

  /**
   * Runs one operation and keeps it.
   *
   * @param read - what the result says; null when it leaves open what became of the operation. The same for what was thrown
   */
  async record<Result>(
    input: Input,
    run: () => Promise<Result>,
    read: { readonly result: (result: Result) => Output | null; readonly error: (thrown: unknown) => Output | null },
  ): Promise<void> {
    const invokedAt = this.#tick();
    const output = await run().then(read.result, read.error);
    this.operations.push({ input, output, invokedAt, returnedAt: this.#tick() });
  }

  /** Keeps an operation that was seen from the side. */
  add(operation: Operation<Input, Output>): void {
    this.operations.push(operation);
  }
}

/** A count that goes on by one at each call. */
export function counter(): () => number {
  let count = 0;
  return () => (count += 1);
}
