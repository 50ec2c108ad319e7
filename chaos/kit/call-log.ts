import type { CallEvent, CallOutcome } from '../../src/checking/history-events.ts';
import { EngineError } from '../../src/core/errors.ts';

/** Every command that a process of the scenario sends, as a history keeps it. */
export class CallLog {
  readonly #client: string;
  readonly #calls: CallEvent[] = [];

  constructor(client: string) {
    this.#client = client;
  }

  /** All of them; those that are still open have no answer. */
  get calls(): readonly CallEvent[] {
    return this.#calls;
  }

  /** Makes a call and notes what it came to. Rejects as the call does. */
  async note<Result>(
    call: Pick<CallEvent, 'kind' | 'task' | 'pipeline' | 'argumentsHash' | 'deadlineMs'>,
    make: () => Promise<Result>,
    toOutcome: (result: Result) => CallOutcome,
  ): Promise<Result> {
    const index = this.#calls.length;
    const begun: CallEvent = {
      ...call,
      type: 'call',
      client: this.#client,
      call: `${this.#client}-${index}`,
      invokedAt: Date.now(),
      answeredAt: null,
      outcome: { kind: 'none' },
    };
    this.#calls.push(begun);
    try {
      const result = await make();
      this.#calls[index] = { ...begun, answeredAt: Date.now(), outcome: toOutcome(result) };
      return result;
    } catch (error) {
      const code = error instanceof EngineError ? error.code : 'INTERNAL';
      this.#calls[index] = { ...begun, answeredAt: Date.now(), outcome: { kind: 'error', code } };
      throw error;
    }
  }
}
