import { EngineError, invalidArgument } from '../core/errors.ts';
import type { PipelineName, StageName, TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { Fence, StageContext } from '../ports/driver.ts';
import type { Logger } from '../ports/logger.ts';

const checkpointNamePattern = /^[a-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** What runs an attempt: whom its context tells and asks. */
export interface AttemptHost {
  signal(): AbortSignal;
  heartbeat(): void;
  /** Gives the committed value of a checkpoint, or undefined. */
  recall(name: string): JsonValue | undefined | Promise<JsonValue>;
  /** Commits a checkpoint's value; resolves when it is committed, with the value as JSON keeps it. */
  save(name: string, value: unknown): Promise<JsonValue>;
}

/** What a stage context is made of. */
export interface StageContextParts {
  readonly namespace: string;
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly stage: StageName;
  readonly attempt: number;
  readonly input: JsonValue;
  readonly outputs: Readonly<Record<string, JsonValue>>;
  readonly fence: Fence;
  readonly logger: Logger;
  readonly ports: Readonly<Record<string, unknown>>;
  readonly host: AttemptHost;
}

/**
 * The idempotency key of a stage of a task: the same on every attempt, node and redrive, and fit for an HTTP header.
 */
export function idempotencyKeyOf(namespace: string, taskId: TaskId, stage: StageName): string {
  return `${namespace}:${taskId}:${stage}`;
}

/** The {@link StageContext} of one attempt. A class with lazy parts: most drivers use few of them, and one is made a stage. */
export class AttemptContext implements StageContext {
  readonly #parts: StageContextParts;
  /** Null until the first checkpoint. */
  #running: Map<string, Promise<unknown>> | null = null;
  #log: Logger | null = null;
  #heartbeat: StageContext['heartbeat'] | null = null;
  #checkpoint: StageContext['checkpoint'] | null = null;

  constructor(parts: StageContextParts) {
    this.#parts = parts;
  }

  get taskId(): TaskId {
    return this.#parts.taskId;
  }

  get pipeline(): PipelineName {
    return this.#parts.pipeline;
  }

  get stage(): StageName {
    return this.#parts.stage;
  }

  get attempt(): number {
    return this.#parts.attempt;
  }

  get input(): unknown {
    return this.#parts.input;
  }

  get outputs(): Readonly<Record<string, unknown>> {
    return this.#parts.outputs;
  }

  get idempotencyKey(): string {
    return idempotencyKeyOf(this.#parts.namespace, this.#parts.taskId, this.#parts.stage);
  }

  get fence(): Fence {
    return this.#parts.fence;
  }

  get signal(): AbortSignal {
    return this.#parts.host.signal();
  }

  get ports(): Readonly<Record<string, unknown>> {
    return this.#parts.ports;
  }

  get log(): Logger {
    const { logger, taskId, pipeline, stage, attempt } = this.#parts;
    this.#log ??= logger.child({ taskId, pipeline, stage, attempt });
    return this.#log;
  }

  /** Bound, so that a driver may take it apart from its context. */
  get heartbeat(): StageContext['heartbeat'] {
    this.#heartbeat ??= () => this.#parts.host.heartbeat();
    return this.#heartbeat;
  }

  /** Bound, as {@link heartbeat} is. */
  get checkpoint(): StageContext['checkpoint'] {
    this.#checkpoint ??= (name, fn) => this.#once(name, fn);
    return this.#checkpoint;
  }

  #once<Value>(name: string, fn: () => Promise<Value> | Value): Promise<Value> {
    if (typeof name !== 'string' || !checkpointNamePattern.test(name)) {
      return Promise.reject(
        invalidArgument({
          field: 'checkpoint',
          message: 'a checkpoint needs a name that holds only A–Z a–z 0–9 _ . -',
          limit: String(checkpointNamePattern),
          got: name,
        }),
      );
    }
    // Two calls of one name are one sub-step: the second waits for the first.
    const running = this.#running?.get(name);
    if (running !== undefined) return running as Promise<Value>;
    const result = this.#runCheckpoint(name, fn);
    this.#running ??= new Map();
    this.#running.set(name, result);
    void result.catch(() => this.#running?.delete(name)); // A failed sub-step may be tried again within the attempt.
    return result as Promise<Value>;
  }

  async #runCheckpoint(name: string, fn: () => unknown): Promise<unknown> {
    const recalled = await this.#parts.host.recall(name);
    if (recalled !== undefined) return recalled;
    this.signal.throwIfAborted();
    const value = await fn();
    this.signal.throwIfAborted();
    if (value === undefined) {
      throw new EngineError('UNSERIALIZABLE', `checkpoint ${name} returned undefined, which JSON cannot keep`, {
        field: 'checkpoint',
        hint: 'return null',
      });
    }
    return this.#parts.host.save(name, value);
  }
}
