import { FatalError, RateLimitedError, RetryableError } from '../core/driver-errors.ts';
import { asError } from '../core/errors.ts';
import type { FailureClass } from '../core/failures.ts';
import type { StageName } from '../core/ids.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import { validateWith } from '../pipeline/validate.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import type { PathDirector } from './path-director.ts';
import { failsAfterEffect } from './path-planner.ts';
import type { Act } from './path-step.ts';

/** What {@link WatchedDrivers} goes by. */
export interface WatchedDriversDeps {
  readonly clock: Clock;
  /** The driver that does a stage's work. */
  readonly driverOf: (spec: StageSpec) => AnyDriver;
  /** How often the outside has applied the effect of a key; undefined when nobody can tell. */
  readonly timesApplied: ((idempotencyKey: string) => number | Promise<number>) | undefined;
  readonly abortGraceMs: number;
}

/** What is known of one key. */
interface Effect {
  readonly output: unknown;
}

/** How long a rate-limited attempt is told to wait. */
const retryAfterMs = 1;

/**
 * Drivers that do what the path says, when it says it, by way of the drivers that are under test; and notice what a driver may not do.
 */
export class WatchedDrivers {
  readonly #deps: WatchedDriversDeps;
  readonly #director: () => PathDirector;
  readonly #effects = new Map<string, Effect>();
  readonly #called = new Map<string, number>();
  #inHand = 0;
  /** The attempt that waits for what the test does, with the act that it waits for. */
  #held: Act | null = null;
  /** Set while the shard is handed over: a held driver may return now. */
  mayReturn = false;

  constructor(deps: WatchedDriversDeps, director: () => PathDirector) {
    this.#deps = deps;
    this.#director = director;
  }

  /** The definition with every driver watched. It is the same pipeline: machine, policy and fingerprint are its own. */
  watch(definition: PipelineDefinition): PipelineDefinition {
    const stages = definition.stages.map((spec): StageSpec => ({ ...spec, driver: this.#watched(spec) }));
    const byName = new Map(stages.map((spec) => [spec.name, spec]));
    return Object.freeze({
      ...definition,
      stages,
      stage: (name: StageName) => byName.get(name) ?? definition.stage(name),
    });
  }

  /** Whether a driver stands where the act wants to meet it. */
  isHeldFor(act: Act): boolean {
    return this.#held === act;
  }

  /** The process of the held driver is gone. */
  forgetHeld(): void {
    this.#held = null;
    this.mayReturn = false;
  }

  /** Attempts of the task that have not settled yet. */
  get inHand(): number {
    return this.#inHand;
  }

  /** Whether a driver has returned for the key. */
  isEffectDone(key: string): boolean {
    return this.#effects.has(key);
  }

  /** What a driver has returned for the key. */
  outputOf(key: string): unknown {
    return this.#effects.get(key)?.output;
  }

  /** Times that the driver was called for the key. */
  callsOf(key: string): number {
    return this.#called.get(key) ?? 0;
  }

  #watched(spec: StageSpec): AnyDriver {
    const driver = this.#deps.driverOf(spec);
    const execute = (ctx: StageContext): Promise<unknown> => this.#execute(spec, driver, ctx);
    const { lookup } = driver;
    if (lookup === undefined) return { execute };
    return { execute, lookup: (ctx) => this.#lookup(spec, (asked) => lookup.call(driver, asked), ctx) };
  }

  async #execute(spec: StageSpec, driver: AnyDriver, ctx: StageContext): Promise<unknown> {
    this.#inHand += 1;
    try {
      return await this.#follow(spec, driver, ctx);
    } finally {
      this.#inHand -= 1;
      this.#director().wake();
    }
  }

  /** Does what the path says, as soon as it says it. */
  async #follow(spec: StageSpec, driver: AnyDriver, ctx: StageContext): Promise<unknown> {
    let underWay: Promise<unknown> | null = null;
    for (;;) {
      const act = this.#director().next?.act;
      if (act?.kind === 'fail') return this.#fail(spec, driver, ctx, act.failureClass);
      if (act?.kind === 'complete' && (!act.drains || this.mayReturn)) return underWay ?? this.#call(spec, driver, ctx);
      const isMetAfterEffect = act?.kind === 'lose' && act.effect === 'done';
      const isMetUnderWay = act?.kind === 'command' && act.name === 'cancel';
      if (isMetAfterEffect || isMetUnderWay) underWay ??= this.#call(spec, driver, ctx);
      underWay?.catch(() => {}); // Told where it is awaited; a driver that is aborted may well fail.
      if (isMetAfterEffect) await underWay;
      this.#held = act ?? null;
      this.#director().wake();
      await Promise.race([this.#director().changed(), abortOf(ctx.signal)]);
      if (ctx.signal.aborted) return this.#aborted(spec, ctx, underWay);
    }
  }

  /** The driver was aborted: it has the grace to stop. */
  async #aborted(spec: StageSpec, ctx: StageContext, underWay: Promise<unknown> | null): Promise<never> {
    const reason = asError(ctx.signal.reason);
    if (underWay !== null) {
      let isSettled = false;
      // One turn before the engine gives it up.
      const grace = this.#deps.clock.setTimer(Math.max(0, this.#deps.abortGraceMs - 1), () => {
        if (!isSettled) {
          this.#director().report(
            `the driver of ${spec.name} ignores its abort signal: it had not settled ${this.#deps.abortGraceMs} ms after the abort`,
          );
        }
      });
      await underWay.catch(() => {});
      isSettled = true;
      grace.cancel();
    }
    throw reason;
  }

  async #fail(spec: StageSpec, driver: AnyDriver, ctx: StageContext, failureClass: FailureClass): Promise<never> {
    if (failsAfterEffect(spec, failureClass)) await this.#call(spec, driver, ctx);
    const what = `the test lets ${spec.name} fail`;
    switch (failureClass) {
      case 'fatal':
        throw new FatalError(what);
      case 'rateLimited':
        throw new RateLimitedError(what, retryAfterMs);
      case 'unexpected':
        throw new Error(what);
      case 'timeout':
        await abortOf(ctx.signal);
        throw asError(ctx.signal.reason);
      default:
        throw new RetryableError(what);
    }
  }

  async #call(spec: StageSpec, driver: AnyDriver, ctx: StageContext): Promise<unknown> {
    const { idempotencyKey: key } = ctx;
    const director = this.#director();
    this.#called.set(key, this.callsOf(key) + 1);
    let returned: unknown;
    try {
      returned = await driver.execute(ctx);
    } catch (error) {
      if (!ctx.signal.aborted) director.report(`the driver of ${spec.name} threw ${String(error)}`);
      throw error;
    }
    await this.#checkOutput(spec, returned);
    const known = this.#effects.get(key);
    if (known === undefined) this.#effects.set(key, { output: returned });
    else if (!isSame(known.output, returned)) {
      director.report(
        `the driver of ${spec.name} is not idempotent: for the key ${key} it returned ${show(returned)} after ${show(known.output)}`,
      );
    }
    await this.#checkTimes(spec, key);
    if (spec.effect === 'atMostOnce' && this.callsOf(key) > 1) {
      director.report(`${spec.name} may run at most once, and was run ${this.callsOf(key)} times for the key ${key}`);
    }
    return returned;
  }

  async #checkOutput(spec: StageSpec, returned: unknown): Promise<void> {
    const validation = await validateWith(spec.output, returned);
    if (validation.ok) return;
    const issues = validation.issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
    this.#director().report(`the driver of ${spec.name} returned what its output schema refuses: ${issues}`);
  }

  async #checkTimes(spec: StageSpec, key: string): Promise<void> {
    const times = await this.#deps.timesApplied?.(key);
    if (times === undefined || times <= 1) return;
    this.#director().report(
      `the driver of ${spec.name} is not idempotent: the effect of the key ${key} was applied ${times} times`,
    );
  }

  async #lookup(
    spec: StageSpec,
    ask: (ctx: LookupContext) => Promise<LookupAnswer<unknown>>,
    ctx: LookupContext,
  ): Promise<LookupAnswer<unknown>> {
    const answer = await ask(ctx);
    const again = await ask(ctx);
    const director = this.#director();
    if (!isSame(answer, again)) {
      director.report(
        `the lookup of ${spec.name} is not deterministic: it answered ${show(answer)}, then ${show(again)}`,
      );
    }
    const known = this.#effects.get(ctx.idempotencyKey);
    if (answer.kind === 'notDone' && known !== undefined) {
      director.report(`the lookup of ${spec.name} says notDone of what its driver has returned: ${show(known.output)}`);
    }
    if (answer.kind === 'done' && known !== undefined && !isSame(answer.output, known.output)) {
      director.report(
        `the lookup of ${spec.name} gives ${show(answer.output)} for what its driver has returned as ${show(known.output)}`,
      );
    }
    return answer;
  }
}

/** A driver without an outside: the same key gives the same output, and its lookup knows. */
export function simulatedDriver(spec: StageSpec, output: unknown, applied: Set<string>): AnyDriver {
  const execute = (ctx: StageContext): unknown => {
    applied.add(ctx.idempotencyKey);
    return output;
  };
  if (spec.driver.lookup === undefined) return { execute };
  return {
    execute,
    lookup: ({ idempotencyKey }) =>
      Promise.resolve(applied.has(idempotencyKey) ? { kind: 'done', output } : { kind: 'notDone' }),
  };
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
