import { breakerOutcomeOf, type BreakerOutcome } from '../core/circuit-breaker.ts';
import type { EngineConfig } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';
import type { Failure } from '../core/failures.ts';
import type { TaskId } from '../core/ids.ts';
import type { Outcome } from '../core/messages.ts';
import type { Completion, Payload } from '../core/records.ts';
import { continueAfter } from '../pipeline/continuation.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import { validateWith, type Validation } from '../pipeline/validate.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Fence } from '../ports/driver.ts';
import type { Logger } from '../ports/logger.ts';
import type { TraceSpan, Tracing } from '../ports/tracing.ts';
import { startAttemptSpan } from './attempt-span.ts';
import { classifyThrown, failureOf } from './classify.ts';
import { parseFrozen, type PayloadStore } from './payload-store.ts';
import { AttemptContext, type AttemptHost, type StageContextParts } from './stage-context.ts';
import type { JsonValue } from '../core/json.ts';

/** One attempt of one stage, immutable: what the commit that started it says. */
export interface StageJob {
  readonly taskId: TaskId;
  readonly definition: PipelineDefinition;
  readonly spec: StageSpec;
  readonly attempt: number;
  readonly input: Payload;
  readonly outputs: Readonly<Record<string, Payload>>;
  readonly checkpoints: Readonly<Record<string, Payload>>;
  readonly fence: Fence;
  /** The trace of whoever asked for the task. */
  readonly traceparent?: string | undefined;
}

/** What a stage run reports. */
export interface StageRunEvents {
  /** An outcome for the actor's mailbox. At most one `stage.settled` or `stage.released` a run; none after {@link StageRun.abort}. */
  readonly onOutcome: (outcome: Outcome) => void;
  /**
   * The driver holds its slot no more: it settled, or was given up. Called once, before the run's last outcome.
   *
   * @param integration - what the run says of the integration behind the driver: nothing after an abort from outside, or when the
   *   driver was never called
   */
  readonly onEnd: (end: 'settled' | 'abandoned', integration: BreakerOutcome) => void;
}

/** What runs need; one set a node. */
export interface StageRunnerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly payloads: PayloadStore;
  readonly namespace: string;
  /** The user's integrations, handed to every driver. */
  readonly ports: Readonly<Record<string, unknown>>;
  readonly tracing?: Tracing | undefined;
  readonly config: Pick<EngineConfig, 'abortGraceMs' | 'maxCheckpoints'>;
}

/**
 * One running driver: its deadline, heartbeats, abort signal and checkpoints.
 *
 * ```
 * running ──settles──────────────► ended, reports stage.settled
 *    │  └─timeout, no heartbeat──► ending ──settles or grace over──► ended, reports stage.settled (timeout)
 *    ├─abort() from outside──────► ending ──settles or grace over──► ended, reports nothing
 *    └─release() at a handover───► ending ──settles──────────────► ended, reports stage.released
 *                                        └─grace over────────────► ended, reports nothing
 * ```
 * A timed-out attempt is reported only when its driver has stopped or was given up after the grace, so that two attempts of
 * one stage do not run at one time (R-LOCK-1).
 */
export class StageRun implements AttemptHost {
  readonly #job: StageJob;
  readonly #deps: StageRunnerDeps;
  readonly #events: StageRunEvents;
  #phase: 'running' | 'ending' | 'ended' = 'running';
  #abort: AbortController | null = null;
  #abortReason: Error | null = null;
  /** What is reported when the run ends while it is `ending`; null after an abort from outside. */
  #verdict: Failure | null = null;
  /** The shard is handed over: a driver that settles says with it that nobody works on the stage any more. */
  #isReleased = false;
  #timeout: TimerHandle | null = null;
  #heartbeatTimer: TimerHandle | null = null;
  #lastHeartbeatMs = 0;
  /** Null until the driver makes its first checkpoint: most make none, and a run is made for every stage. */
  #saving: Map<string, { resolve: () => void; reject: (reason: Error) => void }> | null = null;
  #saved: Map<string, JsonValue> | null = null;
  /** The checkpoints that the stage has or is about to have; null until the driver makes its first one. */
  #checkpointNames: Set<string> | null = null;
  /** Null while nobody records traces. */
  #span: TraceSpan | null = null;
  #driverPhase: 'uncalled' | 'called' | 'returned' = 'uncalled';

  private constructor(job: StageJob, deps: StageRunnerDeps, events: StageRunEvents) {
    this.#job = job;
    this.#deps = deps;
    this.#events = events;
  }

  /** Starts the job's driver. */
  static start(job: StageJob, deps: StageRunnerDeps, events: StageRunEvents): StageRun {
    const run = new StageRun(job, deps, events);
    run.#startTimers();
    void run.#execute();
    return run;
  }

  get attempt(): number {
    return this.#job.attempt;
  }

  get isEnded(): boolean {
    return this.#phase === 'ended';
  }

  /** Nobody waits for this attempt any more (canceled, ownership lost, shutdown): aborts its driver and reports nothing. */
  abort(reason: Error): void {
    if (this.#phase === 'ended') return;
    this.#verdict = null;
    this.#isReleased = false;
    this.#end(reason);
  }

  /**
   * The shard is handed over: aborts the driver, and reports `stage.released` if it settles. What has run into its timeout, or was
   * aborted before, ends as it would have.
   */
  release(reason: Error): void {
    if (this.#phase !== 'running') return;
    this.#isReleased = true;
    this.#end(reason);
  }

  /** The checkpoint of that name is committed: the driver goes on. */
  checkpointCommitted(name: string): void {
    this.#saving?.get(name)?.resolve();
    this.#saving?.delete(name);
  }

  /** The checkpoint of that name was not taken, for the attempt is not current any more. */
  checkpointDropped(name: string): void {
    this.#saving?.get(name)?.reject(new EngineError('CANCELED', `attempt ${this.attempt} is not the current one`));
    this.#saving?.delete(name);
  }

  #startTimers(): void {
    const { clock } = this.#deps;
    const { timeoutMs, heartbeatTimeoutMs } = this.#job.spec;
    this.#timeout = clock.setTimer(timeoutMs, () => {
      this.#expire('timeout', 'STAGE_TIMEOUT', `no result within ${timeoutMs} ms`);
    });
    if (heartbeatTimeoutMs === null) return;
    this.#lastHeartbeatMs = clock.monotonicMs();
    this.#watchHeartbeat(heartbeatTimeoutMs, heartbeatTimeoutMs);
  }

  /** One timer a window, not one a heartbeat: it looks how old the last beat is and sleeps for what is left. */
  #watchHeartbeat(windowMs: number, delayMs: number): void {
    this.#heartbeatTimer = this.#deps.clock.setTimer(delayMs, () => {
      const silentMs = this.#deps.clock.monotonicMs() - this.#lastHeartbeatMs;
      if (silentMs < windowMs) this.#watchHeartbeat(windowMs, windowMs - silentMs);
      else this.#expire('heartbeatTimeout', 'HEARTBEAT_TIMEOUT', `no heartbeat within ${windowMs} ms`);
    });
  }

  #expire(failureClass: 'timeout' | 'heartbeatTimeout', code: string, message: string): void {
    if (this.#phase !== 'running') return;
    const error = new Error(message);
    error.name = 'TimeoutError';
    this.#verdict = failureOf(error, failureClass, code);
    this.#end(error);
  }

  #end(reason: Error): void {
    const wasRunning = this.#phase === 'running';
    this.#phase = 'ending';
    this.#abortReason ??= reason;
    this.#abort?.abort(this.#abortReason);
    for (const waiting of this.#saving?.values() ?? []) waiting.reject(this.#abortReason);
    this.#saving?.clear();
    if (!wasRunning) return;
    this.#stopTimers();
    this.#timeout = this.#deps.clock.setTimer(this.#deps.config.abortGraceMs, () => {
      const { taskId, spec } = this.#job;
      this.#deps.logger.warn(
        { taskId, stage: spec.name, attempt: this.attempt, graceMs: this.#deps.config.abortGraceMs },
        'a driver ignored its abort signal and is given up; it may still be running',
      );
      this.#finish('abandoned', this.#verdict === null ? null : { kind: 'failed', failure: this.#verdict });
    });
  }

  #stopTimers(): void {
    this.#timeout?.cancel();
    this.#heartbeatTimer?.cancel();
  }

  async #execute(): Promise<void> {
    const { tracing, namespace } = this.#deps;
    if (tracing?.isOn === true) this.#span = startAttemptSpan(tracing, this.#job, namespace);
    let result: ({ kind: 'completed' } & Completion) | { kind: 'failed'; failure: Failure };
    let saysNothingDone = false;
    try {
      const { output, next, skipped } = await this.#complete();
      result = { kind: 'completed', output, next, skipped };
    } catch (thrown) {
      result = { kind: 'failed', failure: this.#classify(thrown) };
      // The reason of the abort is ours: it is no word of the driver, whatever the stage's `classify` calls it.
      saysNothingDone = thrown !== this.#abortReason && saysUntouched(result.failure, this.#job.spec);
    }
    if (this.#phase === 'ended') return; // Given up already; the caller counts stragglers by `abandoned`.
    // A driver that returned before its shard was handed over has its result kept.
    const hasReturned = this.#isReleased && this.#driverPhase === 'returned';
    if (this.#phase === 'running' || hasReturned) return this.#finish('settled', result);
    this.#finish('settled', this.#verdict === null ? null : { kind: 'failed', failure: this.#verdict });
    if (!this.#isReleased) return;
    const untouched = this.#driverPhase === 'uncalled' || saysNothingDone;
    this.#events.onOutcome({ type: 'stage.released', stage: this.#job.spec.name, attempt: this.attempt, untouched });
  }

  async #complete(): Promise<Completion> {
    const job = this.#job;
    const { payloads } = this.#deps;
    // Awaited also when it lies here: whoever starts a driver goes on first. Once, for each turn of the promise queue has its price.
    const input = await payloads.unpack(job.input);
    const outputsHere = payloads.unpackAll(job.outputs);
    const outputs = outputsHere instanceof Promise ? await outputsHere : outputsHere;
    this.#throwIfEnding();
    this.#driverPhase = 'called';
    const context = contextOf(job, this.#deps, { input, outputs, host: this });
    const { driver } = job.spec;
    const returned = await (this.#span === null
      ? driver.execute(context)
      : this.#span.run(() => driver.execute(context)));
    this.#throwIfEnding();
    this.#driverPhase = 'returned';
    return complete(job, returned, { input, outputs, payloads });
  }

  #throwIfEnding(): void {
    if (this.#phase !== 'running') throw this.#abortReason ?? new Error('aborted');
  }

  #classify(thrown: unknown): Failure {
    const { classify, effect } = this.#job.spec;
    // Until the driver is called its effect cannot have happened.
    return classifyThrown(thrown, { classify, effect: this.#driverPhase === 'uncalled' ? 'idempotent' : effect });
  }

  #finish(end: 'settled' | 'abandoned', result: Extract<Outcome, { type: 'stage.settled' }>['result'] | null): void {
    this.#phase = 'ended';
    this.#stopTimers();
    this.#span?.end(this.#spanError(result));
    this.#events.onEnd(end, this.#integrationOutcome(result));
    if (result === null) return;
    this.#events.onOutcome({ type: 'stage.settled', stage: this.#job.spec.name, attempt: this.attempt, result });
  }

  #spanError(
    result: Extract<Outcome, { type: 'stage.settled' }>['result'] | null,
  ): { readonly type: string; readonly message: string } | undefined {
    if (result?.kind === 'completed') return undefined;
    if (result === null) return { type: 'aborted', message: this.#abortReason?.message ?? 'aborted' };
    const { class: failureClass, message } = result.failure;
    return { type: failureClass, message };
  }

  #integrationOutcome(result: Extract<Outcome, { type: 'stage.settled' }>['result'] | null): BreakerOutcome {
    if (result === null || this.#driverPhase === 'uncalled') return 'unknown';
    // What fails after the driver has returned is ours: its value, or our store.
    if (result.kind === 'completed' || this.#driverPhase === 'returned') return 'succeeded';
    return breakerOutcomeOf(result.failure.class);
  }

  /** For its context. */
  signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#abortReason !== null) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }

  /** For its context. */
  heartbeat(): void {
    this.#lastHeartbeatMs = this.#deps.clock.monotonicMs();
  }

  /** For its context. */
  recall(name: string): JsonValue | undefined | Promise<JsonValue> {
    const saved = this.#saved?.get(name);
    if (saved !== undefined) return saved;
    const { checkpoints } = this.#job;
    const payload = Object.hasOwn(checkpoints, name) ? checkpoints[name] : undefined;
    return payload === undefined ? undefined : this.#deps.payloads.unpack(payload);
  }

  /** For its context. */
  async save(name: string, value: unknown): Promise<JsonValue> {
    const { taskId, spec, attempt, checkpoints } = this.#job;
    const { maxCheckpoints } = this.#deps.config;
    this.#checkpointNames ??= new Set(Object.keys(checkpoints));
    if (!this.#checkpointNames.has(name) && this.#checkpointNames.size >= maxCheckpoints) {
      throw new EngineError('INVALID_ARGUMENT', `stage ${spec.name} has more than ${maxCheckpoints} checkpoints`, {
        field: 'checkpoint',
        limit: `${maxCheckpoints}`,
        got: name,
      });
    }
    this.#checkpointNames.add(name);
    const packed = await this.#deps.payloads.packCheckpoint(taskId, `${spec.name}.${name}`, value);
    if (this.#phase !== 'running') throw this.#abortReason ?? new Error('aborted');
    const committed = new Promise<void>((resolve, reject) => {
      this.#saving ??= new Map();
      this.#saving.set(name, { resolve, reject });
    });
    this.#events.onOutcome({ type: 'checkpoint.reached', stage: spec.name, attempt, name, value: packed });
    await committed;
    // What a later attempt will get, not the driver's own object.
    const kept = 'json' in packed ? packed.json : parseFrozen(JSON.stringify(value));
    this.#saved ??= new Map();
    this.#saved.set(name, kept);
    return kept;
  }
}

/** The context that a driver gets for a job, to run it or to be asked about it. */
export function contextOf(
  { taskId, definition, spec, attempt, fence }: StageJob,
  { namespace, logger, ports }: StageRunnerDeps,
  { input, outputs, host }: Pick<StageContextParts, 'input' | 'outputs' | 'host'>,
): AttemptContext {
  const { name: pipeline } = definition;
  const { name: stage } = spec;
  return new AttemptContext({
    namespace,
    taskId,
    pipeline,
    stage,
    attempt,
    fence,
    logger,
    ports,
    input,
    outputs,
    host,
  });
}

/**
 * Whether an aborted driver says by its error that nothing was done. Only an `atMostOnce` stage tells such failures apart from
 * those that leave it open.
 */
function saysUntouched(failure: Failure, { effect }: StageSpec): boolean {
  return effect === 'atMostOnce' && (failure.class === 'retryable' || failure.class === 'rateLimited');
}

/**
 * A driver's result as the stage's completion: checked against the output schema, measured, and with the way on that the
 * declared skips choose; a promise only when the schema answers with one, or the output has to be stored outside.
 *
 * @throws EngineError of a code that is classified `contract`; also as the promise's rejection
 */
export function complete(
  job: Pick<StageJob, 'taskId' | 'definition' | 'spec'>,
  returned: unknown,
  context: {
    readonly input: JsonValue;
    readonly outputs: Readonly<Record<string, JsonValue>>;
    readonly payloads: PayloadStore;
  },
): Completion | Promise<Completion> {
  const validation = validateWith(job.spec.output, returned);
  return validation instanceof Promise
    ? validation.then((known) => packValid(job, known, context))
    : packValid(job, validation, context);
}

function packValid(
  job: Parameters<typeof complete>[0],
  validation: Validation<unknown>,
  context: Parameters<typeof complete>[2],
): Completion | Promise<Completion> {
  const { taskId, definition, spec } = job;
  if (!validation.ok) {
    const issues = validation.issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
    throw new EngineError(
      'INVALID_ARGUMENT',
      `stage ${spec.name} returned a value that is not of its output schema: ${issues}`,
      {
        field: 'output',
      },
    );
  }
  const value = validation.value === undefined ? null : validation.value;
  const packed = context.payloads.packResult(taskId, `${spec.name}.output`, value, definition.stages.length);
  const goOn = (output: Payload): Completion => {
    const { next, skipped } = continueAfter(definition, spec.index, () => ({
      input: context.input,
      outputs: { ...context.outputs, [spec.name]: value },
    }));
    return { output, next, skipped };
  };
  return packed instanceof Promise ? packed.then(goOn) : goOn(packed);
}
