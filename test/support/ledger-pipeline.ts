import { z } from 'zod';
import { FatalError, RetryableError } from '../../src/core/driver-errors.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { LookupAnswer, LookupContext, StageContext } from '../../src/ports/driver.ts';
import type { EffectRequest } from './ledger.ts';

const receipt = z.object({ receipt: z.string() });
const retry = { maxAttempts: 4, initialDelayMs: 20, maxDelayMs: 100 };
/** Photos of one task: each is a checkpoint of its stage. */
export const photoCount = 3;

/** A task's input: what goes wrong with it, and how large it is. */
const order = z.object({
  /** Fails once in `parse`, and once in `photos` after its second photo. */
  flaky: z.boolean().default(false),
  /** Fails for good in `publish`, until it is redriven. */
  broken: z.boolean().default(false),
});

type Context = Pick<StageContext, 'idempotencyKey' | 'taskId' | 'stage' | 'attempt' | 'fence' | 'ports' | 'signal'>;

/** Five stages that change a `Ledger`, each in one of the ways that an effect can be made safe. */
export const ledgerPipeline = definePipeline({
  name: 'order',
  version: 1,
  input: order,
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: receipt,
        retry,
        timeoutMs: 30_000,
        driver: (ctx) => {
          if (ctx.input.flaky && ctx.attempt === 1) throw new RetryableError('the first try fails', { code: 'FLAKY' });
          return effect(ctx, 'idempotent');
        },
      })
      .stage('photos', {
        output: z.object({ receipts: z.array(z.string()) }),
        retry,
        timeoutMs: 30_000,
        driver: async (ctx) => {
          const receipts: string[] = [];
          for (let index = 1; index <= photoCount; index += 1) {
            const photo = await ctx.checkpoint(`photo-${index}`, () => effect(ctx, 'idempotent', `:photo-${index}`));
            receipts.push(photo.receipt);
            if (index === 2 && ctx.input.flaky && ctx.attempt === 1) throw new RetryableError('the second photo fails');
          }
          return { receipts };
        },
      })
      .stage('publish', {
        output: receipt,
        retry,
        timeoutMs: 30_000,
        driver: {
          execute: async (ctx) => {
            if (ctx.input.broken && ctx.attempt === 1) {
              throw new FatalError(`order ${ctx.taskId} cannot be published`, { code: 'BROKEN' });
            }
            return effect(ctx, 'blind');
          },
          lookup: (ctx) => lookUp(ctx),
        },
      })
      .stage('charge', {
        output: receipt,
        retry: { maxAttempts: 1 },
        timeoutMs: 30_000,
        effect: 'atMostOnce',
        driver: (ctx) => effect(ctx, 'blind'),
      })
      .stage('cleanup', { output: receipt, retry, timeoutMs: 30_000, driver: (ctx) => effect(ctx, 'idempotent') }),
});

async function effect(ctx: Context, mode: EffectRequest['mode'], suffix = ''): Promise<{ readonly receipt: string }> {
  const answer = await ask(ctx, 'effects', mode, suffix);
  if (answer.status === 409) throw new FatalError('the ledger knows a newer owner', { code: 'FENCED' });
  return (await answer.json()) as { readonly receipt: string };
}

async function lookUp(ctx: LookupContext<unknown, unknown>): Promise<LookupAnswer<{ readonly receipt: string }>> {
  const answer = await ask(ctx, 'lookup', 'blind', '');
  return (await answer.json()) as LookupAnswer<{ readonly receipt: string }>;
}

function ask(ctx: Context, path: string, mode: EffectRequest['mode'], suffix: string): Promise<Response> {
  const { idempotencyKey, taskId, stage, attempt, fence, signal, ports } = ctx;
  const body: EffectRequest = { key: `${idempotencyKey}${suffix}`, taskId, stage, attempt, fence, mode };
  return fetch(`${String(ports['ledgerUrl'])}/${path}`, { method: 'POST', body: JSON.stringify(body), signal });
}
