import { z } from 'zod';

import { definePipeline, type StageContext } from '../../../src/index.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { backoffMs, maxAttempts, stages } from './reference-engine.ts';

/** No attempt ends by itself within a run. */
const timeoutMs = 30 * 24 * 3_600_000;

/** The stages of the reference as the engine runs them: what each does is the test's to say. */
export function referencePipeline(run: (ctx: StageContext) => unknown): PipelineDefinition<string> {
  return definePipeline({
    name: 'card',
    version: 1,
    input: z.string(),
    stages: (pipeline) => {
      let built = pipeline;
      for (const { name, isRepeatable, limit } of stages) {
        built = built.stage(name, {
          output: z.any(),
          driver: (ctx) => run(ctx as unknown as StageContext),
          retry: { maxAttempts, initialDelayMs: backoffMs, factor: 1, maxDelayMs: backoffMs, jitter: 0 },
          timeoutMs,
          concurrency: limit === Infinity ? null : limit,
          effect: isRepeatable ? 'idempotent' : 'atMostOnce',
        });
      }
      return built;
    },
  }) as PipelineDefinition<string>;
}
