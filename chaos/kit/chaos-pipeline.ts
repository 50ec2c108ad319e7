import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { unitHash } from '../../src/core/hash.ts';
import { RetryableError } from '../../src/core/driver-errors.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { StageContext } from '../../src/ports/driver.ts';
import { applyEffect, lookUpEffect } from './ledger-port.ts';

const receipt = z.object({ receipt: z.string() });
const retry = { maxAttempts: 20, initialDelayMs: 20, maxDelayMs: 500 };
const photoCount = 3;
/** A driver takes from the least to the most, most of them little: half of it after its effect, or nothing. */
const driverMs = { least: 4, most: 300 } as const;

/** A task's input. */
const order = z.object({
  /** Seed of the drivers' durations. */
  seed: z.number(),
  /** Fails once in `parse`, and once in `photos` after its second photo. */
  flaky: z.boolean(),
  /** Longest that a driver takes. */
  longestMs: z.number().optional(),
});

/** The name of the stage whose outcome an operator has to look up. */
export const chargeStage = 'charge';

/** Five stages that change a ledger, each in one of the ways that an effect can be made safe, with drivers that take time. */
export const chaosPipeline = definePipeline({
  name: 'chaos',
  version: 1,
  input: order,
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: receipt,
        retry,
        timeoutMs: 60_000,
        driver: (ctx) => {
          if (ctx.input.flaky && ctx.attempt === 1) throw new RetryableError('the first try fails', { code: 'FLAKY' });
          return work(ctx, ctx.input, () => applyEffect(ctx, 'idempotent'));
        },
      })
      .stage('photos', {
        output: z.object({ receipts: z.array(z.string()) }),
        retry,
        timeoutMs: 60_000,
        driver: async (ctx) => {
          const receipts: string[] = [];
          for (let index = 1; index <= photoCount; index += 1) {
            const { seed, longestMs } = ctx.input;
            const photo = {
              seed: seed + index,
              longestMs: longestMs === undefined ? undefined : longestMs / photoCount,
            };
            const done = await ctx.checkpoint(`photo-${index}`, () =>
              work(ctx, photo, () => applyEffect(ctx, 'idempotent', `:photo-${index}`)),
            );
            receipts.push(done.receipt);
            if (index === 2 && ctx.input.flaky && ctx.attempt === 1) throw new RetryableError('the second photo fails');
          }
          return { receipts };
        },
      })
      .stage('publish', {
        output: receipt,
        retry,
        timeoutMs: 60_000,
        driver: {
          execute: async (ctx) => {
            // The outside does not know the key: after an attempt that failed somehow, ask first.
            const known = ctx.attempt > 1 ? await lookUpEffect(ctx) : ({ kind: 'notDone' } as const);
            return known.kind === 'done' ? known.output : work(ctx, ctx.input, () => applyEffect(ctx, 'blind'));
          },
          lookup: (ctx) => lookUpEffect(ctx),
        },
      })
      .stage(chargeStage, {
        output: receipt,
        retry: { maxAttempts: 1 },
        timeoutMs: 60_000,
        effect: 'atMostOnce',
        driver: (ctx) => work(ctx, ctx.input, () => applyEffect(ctx, 'blind')),
      })
      .stage('cleanup', {
        output: receipt,
        retry,
        timeoutMs: 60_000,
        driver: (ctx) => work(ctx, ctx.input, () => applyEffect(ctx, 'idempotent')),
      }),
});

/** The input of the task of that number. */
export function chaosInput(
  { seed, longestMs }: { readonly seed: number; readonly longestMs?: number },
  number: number,
): z.infer<typeof order> {
  const flaky = unitHash(`${seed}/${number}/flaky`) < 0.1;
  return longestMs === undefined ? { seed, flaky } : { seed, flaky, longestMs };
}

async function work<Result>(
  { taskId, stage, signal }: Pick<StageContext, 'taskId' | 'stage' | 'signal'>,
  { seed, longestMs = driverMs.most }: { readonly seed: number; readonly longestMs?: number | undefined },
  effect: () => Promise<Result>,
): Promise<Result> {
  const spanMs = driverMs.least * (longestMs / driverMs.least) ** unitHash(`${seed}/${taskId}/${stage}`);
  const afterMs = unitHash(`${seed}/${taskId}/${stage}/after`) < 0.5 ? 0 : spanMs / 2;
  await sleep(spanMs - afterMs, undefined, { signal });
  const result = await effect();
  if (afterMs > 0) await sleep(afterMs, undefined, { signal });
  return result;
}
