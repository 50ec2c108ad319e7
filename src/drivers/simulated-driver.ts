import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError, invalidArgument, unreachable } from '../core/errors.ts';
import { unitHash } from '../core/hash.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';

/** How one simulated attempt ends. */
export type SimulatedOutcome =
  | { readonly kind: 'done' }
  /** Throws `RetryableError`, its effect not done. */
  | { readonly kind: 'retryable' }
  /** Throws `UncertainError` after its effect: the answer was lost. */
  | { readonly kind: 'uncertain' }
  | { readonly kind: 'rateLimited'; readonly retryAfterMs: number }
  | { readonly kind: 'fatal' }
  /** Throws a plain `Error` with that code, its effect not done. */
  | { readonly kind: 'unexpected'; readonly code?: string }
  /** Settles only when its signal aborts, with the signal's reason. */
  | { readonly kind: 'hang' }
  /** Never settles, whatever its signal says. */
  | { readonly kind: 'hangForever' }
  /** Returns what is no JSON. */
  | { readonly kind: 'broken' };

/** Parts of attempts, from 0 to 1, that end in some other way than done; their sum is at most 1. */
export type SimulatedFaults = Readonly<Partial<Record<Exclude<SimulatedOutcome['kind'], 'done'>, number>>>;

/** The simulated outside world: the effects that have happened, by idempotency key. */
export type SimulatedEffects = Map<string, { readonly output: unknown; readonly times: number }>;

/** Settings of a simulated driver. */
export interface SimulatedDriverOptions {
  readonly clock: Clock;
  /** The same seed gives the same run; 1 when left out. */
  readonly seed?: number | undefined;
  /** How attempts end, from the first; later ones are drawn from `faults`. */
  readonly script?: readonly SimulatedOutcome[] | undefined;
  readonly faults?: SimulatedFaults | undefined;
  /** Time of an attempt, drawn evenly from these bounds; none when left out. */
  readonly latencyMs?: { readonly least: number; readonly most: number } | undefined;
  /** Time between two heartbeats; none are sent when left out. */
  readonly heartbeatEveryMs?: number | undefined;
  /** The output of a stage; `{ taskId, stage }` when left out. */
  readonly output?: ((ctx: LookupContext) => unknown) | undefined;
  /** Where effects are recorded; with it the driver answers lookups from it. */
  readonly effects?: SimulatedEffects | undefined;
}

/** How long a `rateLimited` outcome that is drawn, not scripted, asks to wait. */
const drawnRetryAfterMs = 1_000;

/**
 * A driver without an outside world, for tests, benches and the simulator. How long an attempt takes and how it ends depends on
 * the seed, the task, the stage and the attempt alone, so that it is the same whatever else runs, in whatever order.
 *
 * An effect happens once a key: a `done` or `uncertain` attempt after one that had it changes nothing but `times`.
 */
export function createSimulatedDriver(options: SimulatedDriverOptions): AnyDriver {
  checkFaults(options.faults ?? {});
  const driver = { execute: (ctx: StageContext) => execute(options, ctx) };
  const { effects } = options;
  return effects === undefined ? driver : { ...driver, lookup: (ctx) => lookUp(options, effects, ctx) };
}

/** How an attempt ends. Pure. */
export function simulatedOutcome(
  options: Pick<SimulatedDriverOptions, 'seed' | 'script' | 'faults'>,
  attempt: Pick<LookupContext, 'taskId' | 'stage' | 'attempt'>,
): SimulatedOutcome {
  const scripted = options.script?.[attempt.attempt - 1];
  if (scripted !== undefined) return scripted;
  let left = draw(options, attempt, 'outcome');
  for (const [kind, part] of Object.entries(options.faults ?? {})) {
    left -= part;
    if (left >= 0) continue;
    return kind === 'rateLimited' ? { kind, retryAfterMs: drawnRetryAfterMs } : ({ kind } as SimulatedOutcome);
  }
  return { kind: 'done' };
}

async function execute(options: SimulatedDriverOptions, ctx: StageContext): Promise<unknown> {
  const outcome = simulatedOutcome(options, ctx);
  const honorsAbort = outcome.kind !== 'hangForever';
  const stopBeating = beat(options, ctx);
  try {
    await pass(options, ctx, honorsAbort);
    return await end(options, ctx, outcome);
  } finally {
    stopBeating();
  }
}

async function end(options: SimulatedDriverOptions, ctx: StageContext, outcome: SimulatedOutcome): Promise<unknown> {
  const what = `simulated ${outcome.kind} of attempt ${ctx.attempt}`;
  switch (outcome.kind) {
    case 'done':
      return happen(options, ctx);
    case 'uncertain':
      happen(options, ctx);
      throw new UncertainError(what, { code: 'SIMULATED' });
    case 'retryable':
      throw new RetryableError(what, { code: 'SIMULATED' });
    case 'rateLimited':
      throw new RateLimitedError(what, outcome.retryAfterMs, { code: 'SIMULATED' });
    case 'fatal':
      throw new FatalError(what, { code: 'SIMULATED' });
    case 'unexpected':
      throw Object.assign(new Error(what), { code: outcome.code ?? 'SIMULATED' });
    case 'broken':
      return () => what;
    case 'hang':
      return hang(ctx.signal);
    case 'hangForever':
      return new Promise(() => undefined);
    default:
      return unreachable(outcome);
  }
}

async function lookUp(
  options: SimulatedDriverOptions,
  effects: SimulatedEffects,
  ctx: LookupContext,
): Promise<LookupAnswer<unknown>> {
  await pass(options, ctx, true);
  const effect = effects.get(ctx.idempotencyKey);
  return effect === undefined ? { kind: 'notDone' } : { kind: 'done', output: effect.output };
}

/** Lets the effect happen, or finds that it has: the same key gives the same output. */
function happen({ effects, output }: SimulatedDriverOptions, ctx: LookupContext): unknown {
  const known = effects?.get(ctx.idempotencyKey);
  const value = known === undefined ? (output?.(ctx) ?? { taskId: ctx.taskId, stage: ctx.stage }) : known.output;
  effects?.set(ctx.idempotencyKey, { output: value, times: (known?.times ?? 0) + 1 });
  return value;
}

/** Lets the attempt's time pass. Rejects with the signal's reason when it aborts on the way, if aborts are honored. */
function pass(options: SimulatedDriverOptions, ctx: LookupContext, honorsAbort: boolean): Promise<void> {
  const { least, most } = options.latencyMs ?? { least: 0, most: 0 };
  const latencyMs = least + (most - least) * draw(options, ctx, 'latency');
  const { signal } = ctx;
  if (latencyMs === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = options.clock.setTimer(latencyMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      timer.cancel();
      reject(asError(signal.reason));
    };
    if (!honorsAbort) return;
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

function beat({ clock, heartbeatEveryMs }: SimulatedDriverOptions, ctx: StageContext): () => void {
  if (heartbeatEveryMs === undefined) return () => undefined;
  const arm = () =>
    clock.setTimer(heartbeatEveryMs, () => {
      ctx.heartbeat();
      timer = arm();
    });
  let timer = arm();
  return () => timer.cancel();
}

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => reject(asError(signal.reason));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** A number in [0, 1) that depends on nothing but the seed and the attempt. */
function draw(
  { seed }: Pick<SimulatedDriverOptions, 'seed'>,
  { taskId, stage, attempt }: Pick<LookupContext, 'taskId' | 'stage' | 'attempt'>,
  purpose: string,
): number {
  return unitHash(`${seed ?? 1}/${taskId}/${stage}/${attempt}/${purpose}`);
}

function checkFaults(faults: SimulatedFaults): void {
  const parts = Object.values(faults);
  const sum = parts.reduce((total, part) => total + part, 0);
  if (parts.every((part) => part >= 0) && sum <= 1) return;
  throw invalidArgument({
    field: 'faults',
    message: 'faults must be parts from 0 to 1 whose sum is at most 1',
    limit: '1',
    got: faults,
  });
}
