import { invalidArgument } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { StageContext } from '../ports/driver.ts';
import { logLevels, type HostMessage, type RunMessage } from './run-messages.ts';
import { fromWireError, toWireError } from './wire-error.ts';

/**
 * The engine's side of a run whose driver lives elsewhere: turns what the host says into calls of the stage's context, and
 * their answers into messages.
 *
 * What comes in was sent by foreign code: what is not understood is dropped.
 */
export class RunBridge {
  readonly #ctx: StageContext;
  readonly #send: (message: RunMessage) => void;
  readonly #running = new Map<number, { resolve: (value: unknown) => void; reject: (reason: Error) => void }>();
  #isClosed = false;

  constructor(ctx: StageContext, send: (message: RunMessage) => void) {
    this.#ctx = ctx;
    this.#send = send;
  }

  receive(message: HostMessage): void {
    if (this.#isClosed) return;
    switch (message.type) {
      case 'heartbeat':
        this.#ctx.heartbeat();
        return;
      case 'log':
        this.#log(message);
        return;
      case 'checkpoint':
        void this.#checkpoint(message.call, message.name);
        return;
      case 'checkpoint.ran':
        this.#ran(message);
        return;
      default:
    }
  }

  /** The run is over: sub-steps that still run elsewhere are given up, so that nothing waits for them. */
  close(reason: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const running of this.#running.values()) running.reject(reason);
    this.#running.clear();
  }

  async #checkpoint(call: number, name: string): Promise<void> {
    try {
      const value = await this.#ctx.checkpoint(name, () => this.#runElsewhere(call));
      this.#answer({ type: 'checkpoint.done', call, value: value as JsonValue });
    } catch (thrown) {
      this.#answer({ type: 'checkpoint.failed', call, error: toWireError(thrown) });
    }
  }

  #runElsewhere(call: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#running.has(call)) {
        reject(
          invalidArgument({ field: 'call', message: 'two checkpoints of one run have the same number', got: call }),
        );
        return;
      }
      this.#running.set(call, { resolve, reject });
      this.#answer({ type: 'checkpoint.run', call });
    });
  }

  #answer(message: RunMessage): void {
    if (!this.#isClosed) this.#send(message);
  }

  #ran(message: HostMessage & { type: 'checkpoint.ran' }): void {
    const running = this.#running.get(message.call);
    this.#running.delete(message.call);
    if (message.error === undefined) running?.resolve(message.value);
    else running?.reject(fromWireError(message.error));
  }

  #log({ level, message, fields, error }: HostMessage & { type: 'log' }): void {
    if (!logLevels.includes(level) || typeof message !== 'string') return;
    this.#ctx.log[level]({ ...fields, ...(error === undefined ? {} : { err: fromWireError(error) }) }, message);
  }
}
