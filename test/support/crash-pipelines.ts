import { z } from 'zod';

import { FatalError, RetryableError, definePipeline, type LookupContext, type StageContext } from '../../src/index.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Mortal } from './crash-points.ts';
import type { EffectLedger } from './effect-ledger.ts';
import { never } from './port-taps.ts';

/**
 * What a task does, said by the first word of its input.
 *
 * - `flaky`, `stuck`, `broken`: fails; the latter two until the outside is mended
 * - `slow`: works for {@link slowMs}
 * - `large`: input and outputs are too large for a record
 * - `doomed`: its first attempt of `publish` has its effect and takes the process along; `doomedBefore`: it has none
 */
export type Behavior = 'plain' | 'flaky' | 'checkpoints' | 'broken' | 'stuck' | 'slow' | 'large' | Doomed;
type Doomed = 'doomed' | 'doomedBefore';

/** What the drivers of a crash world get as their ports. */
export interface CrashPorts {
  readonly ledger: EffectLedger;
  readonly process: Mortal;
  readonly clock: Clock;
  /** Tasks that have taken their process along. */
  readonly taken: Set<string>;
}

/** How long a `slow` stage works. */
export const slowMs = 1_000;
/** Before what the effect of a `large` task gives. */
export const padding = 'x'.repeat(2_000);

const stages = ['parse', 'publish'];

/** The input of a task that behaves so. */
export function inputOf(behavior: Behavior): string {
  return behavior === 'large' ? `${behavior} ${padding}` : behavior;
}

async function drive(ctx: StageContext): Promise<unknown> {
  const { ledger, process, clock } = ctx.ports as unknown as CrashPorts;
  const [behavior] = String(ctx.input).split(' ');
  if (behavior === 'flaky' && ctx.stage === 'parse' && ctx.attempt === 1) throw new RetryableError('the first try');
  if (behavior === 'stuck' && ledger.isBroken) throw new RetryableError('out of order');
  if (behavior === 'broken' && ctx.stage === 'publish' && ledger.isBroken) throw new FatalError('out of order');
  if (behavior === 'slow') await work(clock, ctx.signal);
  const effect = (): Promise<string> => process.tap('ledger.apply', () => Promise.resolve(ledger.apply(ctx)));
  if (behavior === 'doomed' || behavior === 'doomedBefore') return fall(ctx, behavior, effect);
  if (behavior === 'large') return `${padding} ${await effect()}`;
  if (behavior !== 'checkpoints') return effect();
  const first = await process.tap('driver.checkpoint', () =>
    ctx.checkpoint('first', () => process.tap('ledger.sub-step', () => Promise.resolve('sub-step'))),
  );
  return `${first} ${await effect()}`;
}

async function fall(ctx: StageContext, behavior: Doomed, effect: () => Promise<string>): Promise<unknown> {
  const { process, taken } = ctx.ports as unknown as CrashPorts;
  if (ctx.stage !== 'publish' || taken.has(ctx.taskId)) return effect();
  taken.add(ctx.taskId);
  if (behavior === 'doomed') await effect();
  process.kill();
  return never();
}

function work(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(slowMs, resolve);
    signal.addEventListener('abort', () => {
      timer.cancel();
      reject(new Error('aborted'));
    });
  });
}

function execute(ctx: StageContext): Promise<unknown> {
  const { process } = ctx.ports as unknown as CrashPorts;
  return process.tap('driver.execute', () => drive(ctx));
}

async function lookup(
  ctx: LookupContext,
): Promise<{ readonly kind: 'done'; readonly output: unknown } | { readonly kind: 'notDone' }> {
  const { ledger, process } = ctx.ports as unknown as CrashPorts;
  return process.tap('driver.lookup', async () => {
    const output = await process.tap('ledger.find', () => Promise.resolve(ledger.outputOf(ctx.idempotencyKey)));
    return output === undefined ? { kind: 'notDone' } : { kind: 'done', output };
  });
}

function pipelineOf(
  name: string,
  settings: { readonly effect?: 'atMostOnce'; readonly hasLookup?: true },
): PipelineDefinition<string> {
  return definePipeline({
    name,
    version: 1,
    input: z.string(),
    stages: (pipeline) => {
      let built = pipeline;
      for (const stage of stages) {
        built = built.stage(stage, {
          output: z.string(),
          driver: {
            execute: (ctx) => execute(ctx as unknown as StageContext) as Promise<string>,
            ...(settings.hasLookup ? { lookup: (ctx: unknown) => lookup(ctx as LookupContext) as never } : {}),
          },
          retry: { maxAttempts: 4, initialDelayMs: 5_000, factor: 1, maxDelayMs: 5_000, jitter: 0 },
          timeoutMs: 60_000,
          effect: settings.effect ?? 'idempotent',
        });
      }
      return built;
    },
  }) as PipelineDefinition<string>;
}

/** Stages that may run again with the same key. */
export const plainPipeline = pipelineOf('card', {});
/** Stages whose effect may happen at most once: an operator is asked. */
export const oncePipeline = pipelineOf('once', { effect: 'atMostOnce' });
/** Stages whose outside can be asked. */
export const askedPipeline = pipelineOf('asked', { hasLookup: true });
/** All of a crash world. */
export const crashPipelines = [plainPipeline, oncePipeline, askedPipeline] as const;
