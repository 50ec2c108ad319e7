import { EngineError, invalidArgument } from '../core/errors.ts';
import { parseJsonValue, type JsonValue } from '../core/json.ts';
import type { AnyDriver, LookupContext, StageContext } from '../ports/driver.ts';
import type { Logger } from '../ports/logger.ts';
import type { HostMessage, RunMessage, RunResult } from './run-messages.ts';
import type { StageRequest } from './stage-request.ts';
import { fromWireError, toWireError } from './wire-error.ts';

/** Most checkpoints of one hosted run that are open at one time. */
export const maximumOpenCheckpoints = 256;

/** Which of the driver's functions is called. */
export type HostedOperation = 'execute' | 'lookup';

/** What a {@link HostedRun} is made with. */
export interface HostedRunParts {
  readonly driver: AnyDriver;
  readonly operation: HostedOperation;
  readonly request: StageRequest;
  readonly log: Logger;
  readonly ports: Readonly<Record<string, unknown>>;
  /** Largest output or checkpoint, in bytes of JSON. */
  readonly maximumValueBytes: number;
  readonly onHeartbeat: () => void;
  readonly send: (message: Exclude<HostMessage, { type: 'heartbeat' | 'log' }>) => void;
  /** Asked before each look at the signal: a host whose driver never yields takes in its messages here. */
  readonly beforeLook?: () => void;
}

interface OpenCheckpoint {
  readonly fn: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** What the driver's own function threw, so that it gets back that very object. */
  thrown?: { readonly value: unknown };
}

/**
 * A driver's run outside the engine's thread or process: gives it a stage context whose every part is answered by messages.
 * The result resolves whatever the driver does, unless it never settles.
 */
export class HostedRun {
  readonly result: Promise<RunResult>;
  readonly #parts: HostedRunParts;
  readonly #abort = new AbortController();
  readonly #open = new Map<number, OpenCheckpoint>();
  #calls = 0;

  constructor(parts: HostedRunParts) {
    this.#parts = parts;
    this.result = this.#run();
  }

  /** Takes a message of the engine's side; one of an unknown kind or call is dropped. */
  receive(message: RunMessage): void {
    switch (message.type) {
      case 'cancel':
        this.cancel(fromWireError(message.reason));
        return;
      case 'checkpoint.run':
        void this.#runCheckpoint(message.call);
        return;
      case 'checkpoint.done':
        this.#take(message.call)?.resolve(message.value);
        return;
      case 'checkpoint.failed': {
        const open = this.#take(message.call);
        open?.reject(open.thrown === undefined ? fromWireError(message.error) : open.thrown.value);
        return;
      }
      default:
    }
  }

  /** Aborts the driver's signal. */
  cancel(reason: Error): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(reason);
  }

  async #run(): Promise<RunResult> {
    const { driver, operation } = this.#parts;
    try {
      await Promise.resolve(); // Whoever made this run has it before its driver says anything, and may cancel it.
      this.#abort.signal.throwIfAborted();
      const value = operation === 'execute' ? await driver.execute(this.#context()) : await this.#lookup(driver);
      return value === undefined ? { kind: 'done' } : { kind: 'done', output: this.#checked(value, 'output') };
    } catch (thrown) {
      return { kind: 'failed', error: toWireError(thrown) };
    }
  }

  /** Without a `lookup` the driver cannot tell. */
  async #lookup(driver: AnyDriver): Promise<unknown> {
    return driver.lookup === undefined ? { kind: 'unknown' } : driver.lookup(this.#lookupContext());
  }

  #context(): StageContext {
    const context = this.#lookupContext();
    // Not spread: the signal must stay a getter.
    return Object.defineProperties(context, {
      heartbeat: { value: () => this.#parts.onHeartbeat(), enumerable: true },
      checkpoint: {
        value: (name: string, fn: () => unknown) => this.#checkpoint(name, fn),
        enumerable: true,
      },
    }) as StageContext;
  }

  #lookupContext(): LookupContext {
    const { request, log, ports, beforeLook } = this.#parts;
    const { signal } = this.#abort;
    // Part by part: a request that came over a wire may have members of its own.
    const { taskId, pipeline, stage, attempt, idempotencyKey, fence, input, outputs } = request;
    return {
      taskId,
      pipeline,
      stage,
      attempt,
      idempotencyKey,
      fence,
      input,
      outputs,
      log,
      ports,
      get signal() {
        beforeLook?.();
        return signal;
      },
    };
  }

  #checkpoint(name: string, fn: () => unknown): Promise<unknown> {
    const limit = `${maximumOpenCheckpoints}`;
    return new Promise((resolve, reject) => {
      if (typeof name !== 'string') {
        reject(invalidArgument({ field: 'checkpoint', message: 'a checkpoint needs a name', got: typeof name }));
      } else if (this.#open.size >= maximumOpenCheckpoints) {
        const message = `more than ${limit} checkpoints are open at one time`;
        reject(invalidArgument({ field: 'checkpoint', message, limit, got: name }));
      } else {
        this.#calls += 1;
        this.#open.set(this.#calls, { fn, resolve, reject });
        this.#parts.send({ type: 'checkpoint', call: this.#calls, name });
      }
    });
  }

  async #runCheckpoint(call: number): Promise<void> {
    const open = this.#open.get(call);
    if (open === undefined) return;
    try {
      const value = await open.fn();
      const kept = value === undefined ? {} : { value: this.#checked(value, 'checkpoint') };
      this.#parts.send({ type: 'checkpoint.ran', call, ...kept });
    } catch (thrown) {
      open.thrown = { value: thrown };
      this.#parts.send({ type: 'checkpoint.ran', call, error: toWireError(thrown) });
    }
  }

  #take(call: number): OpenCheckpoint | undefined {
    const open = this.#open.get(call);
    this.#open.delete(call);
    return open;
  }

  #checked(value: unknown, field: string): JsonValue {
    const { maximumValueBytes } = this.#parts;
    const json = parseJsonValue(value, field);
    const sizeBytes = Buffer.byteLength(JSON.stringify(json));
    if (sizeBytes <= maximumValueBytes) return json;
    throw new EngineError('PAYLOAD_TOO_LARGE', `${field} has ${sizeBytes} bytes of JSON`, {
      field,
      limit: `${maximumValueBytes} bytes`,
      got: sizeBytes,
      hint: 'keep large things in a store of your own and pass a reference',
    });
  }
}
