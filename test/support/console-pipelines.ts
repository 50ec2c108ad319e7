import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../../src/core/driver-errors.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { StageContext } from '../../src/ports/driver.ts';

const output = z.object({ text: z.string() });

/** What goes wrong with a task, or how long it takes: a test says which it needs. */
const listing = z.object({
  title: z.string().describe('Shown on the card'),
  source: z.enum(['shop', 'feed', 'mail']).default('shop'),
  photos: z.number().int().default(2).describe('0: the stage is skipped'),
  fault: z.enum(['none', 'flaky', 'fatal', 'hangs', 'limited', 'uncertain', 'parks', 'broken']).default('none'),
  message: z.string().max(1_000).default('').describe('Of the failure'),
  workMs: z.number().int().default(0),
  options: z.object({ isUrgent: z.boolean().default(false), tags: z.array(z.string()).default([]) }).prefault({}),
});

type Input = z.infer<typeof listing>;
type Context = Pick<StageContext<Input>, 'input' | 'signal' | 'attempt' | 'stage'>;

async function work({ input, signal, stage }: Context): Promise<{ readonly text: string }> {
  if (input.workMs > 0) await sleep(input.workMs, undefined, { signal });
  return { text: `${stage} of ${input.title}` };
}

const retry = { maxAttempts: 4, initialDelayMs: 150, maxDelayMs: 600 };

/** A pipeline with every state that a task can be in. */
export const listingPipeline = definePipeline({
  name: 'listing',
  version: 1,
  input: listing,
  stages: (pipeline) =>
    pipeline
      .stage('parse', { output, retry, timeoutMs: 60_000, driver: work })
      .stage('photos', {
        output,
        retry,
        timeoutMs: 60_000,
        concurrency: 8,
        skip: { reason: 'the listing has no photos', when: ({ input }) => input.photos === 0 },
        driver: async (ctx) => {
          const { input, attempt } = ctx;
          if (input.fault === 'flaky' && attempt < 3) {
            await work(ctx);
            throw new RetryableError(input.message || 'the photo server answered 503', { code: 'HTTP_503' });
          }
          await ctx.checkpoint('photo-1', () => ({ url: 'photo-1.jpg' }));
          return work(ctx);
        },
      })
      .stage('publish', {
        output,
        retry,
        timeoutMs: 3_600_000,
        port: 'board',
        driver: async (ctx) => {
          const { input, attempt, signal } = ctx;
          if (input.fault === 'hangs') await sleep(3_600_000, undefined, { signal });
          if (input.fault === 'limited' && attempt === 1) throw new RateLimitedError('the board is busy', 3_600_000);
          if (input.fault === 'broken' || (input.fault === 'fatal' && attempt === 1)) {
            throw new FatalError(input.message || 'the board refused the card', { code: 'REFUSED' });
          }
          return work(ctx);
        },
      })
      .stage('charge', {
        output,
        retry: { maxAttempts: 1 },
        timeoutMs: 60_000,
        effect: 'atMostOnce',
        driver: async (ctx) => {
          if (ctx.input.fault === 'parks') await sleep(50_000, undefined, { signal: ctx.signal });
          if (ctx.input.fault === 'uncertain')
            throw new UncertainError('the connection broke after the request was sent');
          return work(ctx);
        },
      })
      .stage('cleanup', { output, retry, timeoutMs: 60_000, driver: work }),
});

/** How many stages {@link longPipeline} has. */
export const longStageCount = 64;

/** As many stages as a pipeline may have. */
export const longPipeline = definePipeline({
  name: 'long-haul-of-a-pipeline-with-a-name-of-sixty-three-characters-x',
  version: 1,
  input: z.looseObject({}),
  stages: (pipeline) => {
    let all = pipeline;
    for (let index = 1; index <= longStageCount; index += 1) {
      all = all.stage(`step-${String(index).padStart(3, '0')}`, {
        output: z.number(),
        retry: { maxAttempts: 2 },
        timeoutMs: 10_000,
        driver: () => index,
      });
    }
    return all;
  },
}) as unknown as PipelineDefinition;
