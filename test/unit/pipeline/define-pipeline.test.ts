import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { InvariantViolation } from '../../../src/core/errors.ts';
import {
  definePipeline,
  PipelineBuilder,
  type InputOf,
  type OutputsOf,
  type SubmittedInputOf,
} from '../../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import type { StageContext } from '../../../src/ports/driver.ts';
import { cardPipeline, named } from './card-pipeline.ts';

const one = (): number => 1;
const undecided = (): undefined => undefined;
const limits = { retry: { maxAttempts: 1 }, timeoutMs: 1_000 };

describe('definePipeline', () => {
  it('R-STAGE-1: keeps the stages in the order in which the author wrote them', () => {
    expect(cardPipeline.stages.map(({ name, index }) => [name, index])).toEqual([
      ['parse', 0],
      ['photos', 1],
      ['publish', 2],
      ['export', 3],
    ]);
    expect(Object.keys(cardPipeline.machine.root.states)).toEqual([
      'new',
      'parse',
      'photos',
      'publish',
      'export',
      'completed',
      'canceled',
      'deadLettered',
    ]);
  });

  it('R-STAGE-3: takes drivers, schemas and skips from the definition as they are', () => {
    class Driver {
      calls = 0;
      execute(): number {
        this.calls += 1;
        return this.calls;
      }
    }
    const driver = new Driver();
    const definition = definePipeline({
      name: 'counted',
      version: 3,
      input: z.unknown(),
      stages: (pipeline) => pipeline.stage('count', { output: z.number(), driver, ...limits }),
    });
    expect(definition.stage(named('count')).driver).toBe(driver);
    expect(definition).toMatchObject({ name: 'counted', version: 3 });
  });

  it('takes a bare function as the driver', () => {
    const definition = definePipeline({
      name: 'bare',
      version: 1,
      input: z.unknown(),
      stages: (pipeline) => pipeline.stage('only', { output: z.number(), driver: one, ...limits }),
    });
    expect(definition.stage(named('only')).driver).toEqual({ execute: one });
  });

  it('fills in what the author left out', () => {
    const [parse] = cardPipeline.stages;
    expect(parse).toMatchObject({
      heartbeatTimeoutMs: null,
      deadlineMs: null,
      concurrency: null,
      port: null,
      effect: 'idempotent',
      skip: null,
      classify: null,
      retry: { maxAttempts: 3, initialDelayMs: 1_000, factor: 2, maxDelayMs: 60_000, jitter: 0.5 },
    });
  });

  it('keeps every setting that the author gave', () => {
    const skip = { reason: 'not wanted', when: () => true };
    const definition = definePipeline({
      name: 'full',
      version: 1,
      input: z.unknown(),
      stages: (pipeline) =>
        pipeline.stage('only', {
          output: z.unknown(),
          driver: { execute: () => 1, lookup: async () => Promise.resolve({ kind: 'notDone' }) },
          retry: { maxAttempts: 2, retryOn: ['rateLimited'] },
          timeoutMs: 10,
          heartbeatTimeoutMs: 10,
          deadlineMs: 10,
          concurrency: 4,
          port: 'board',
          effect: 'atMostOnce',
          skip,
          classify: undecided,
        }),
    });
    expect(definition.stage(named('only'))).toMatchObject({
      retry: { maxAttempts: 2, retryOn: ['rateLimited'] },
      timeoutMs: 10,
      heartbeatTimeoutMs: 10,
      deadlineMs: 10,
      concurrency: 4,
      port: 'board',
      effect: 'atMostOnce',
      skip,
      classify: undecided,
    });
  });

  it('a builder is not changed by a stage that is added to it', () => {
    const empty = PipelineBuilder.empty<unknown>();
    empty.stage('one', { output: z.unknown(), driver: () => 1, ...limits });
    expect(PipelineBuilder.draftsOf(empty)).toEqual([]);
  });

  it('asking for a stage that does not exist is an InvariantViolation that names it', () => {
    expect(() => cardPipeline.stage(named('shred'))).toThrow(InvariantViolation);
    expect(() => cardPipeline.stage(named('shred'))).toThrow('pipeline card version 1 has no stage shred');
  });

  it('cannot be changed after it was checked', () => {
    expect(Object.isFrozen(cardPipeline)).toBe(true);
  });
});

describe('the types of definePipeline', () => {
  it('carry the input as drivers see it, the input as clients submit it, and the outputs', () => {
    expectTypeOf<InputOf<typeof cardPipeline>>().toEqualTypeOf<{ url: string; photos: number }>();
    expectTypeOf<SubmittedInputOf<typeof cardPipeline>>().toEqualTypeOf<{ url: string; photos?: number | undefined }>();
    expectTypeOf<OutputsOf<typeof cardPipeline>['parse']>().toEqualTypeOf<{ title: string }>();
    expectTypeOf<OutputsOf<typeof cardPipeline>['publish']>().toEqualTypeOf<string>();
    expectTypeOf(cardPipeline).toExtend<PipelineDefinition>();
  });

  it('R-STAGE-2: a stage with a declared skip may have no output, one without it always has one', () => {
    expectTypeOf<OutputsOf<typeof cardPipeline>['photos']>().toEqualTypeOf<{ count: number } | undefined>();
    expectTypeOf<OutputsOf<typeof cardPipeline>['export']>().toEqualTypeOf<null | undefined>();
  });

  it('a stage sees the outputs of the stages before it and of no other', () => {
    const seen: unknown[] = [];
    definePipeline({
      name: 'typed',
      version: 1,
      input: z.object({ size: z.string().transform(Number) }),
      stages: (pipeline) =>
        pipeline
          .stage('first', {
            output: z.object({ text: z.string() }),
            driver: (ctx) => {
              expectTypeOf(ctx.input).toEqualTypeOf<{ size: number }>();
              // @ts-expect-error a stage cannot see its own output
              seen.push(ctx.outputs.first);
              // @ts-expect-error a stage cannot see a later stage's output
              seen.push(ctx.outputs.second);
              return { text: '' };
            },
            ...limits,
          })
          .stage('second', {
            output: z.number(),
            driver: {
              execute: (ctx) => {
                expectTypeOf(ctx.outputs.first).toEqualTypeOf<{ text: string }>();
                // @ts-expect-error a stage cannot see a later stage's output
                seen.push(ctx.outputs.third);
                return 1;
              },
              lookup: async (ctx) => {
                expectTypeOf(ctx.outputs.first.text).toEqualTypeOf<string>();
                return Promise.resolve({ kind: 'done', output: 2 });
              },
            },
            skip: {
              reason: 'it is small',
              when: (ctx) => {
                expectTypeOf(ctx.input.size).toEqualTypeOf<number>();
                expectTypeOf(ctx.outputs.first.text).toEqualTypeOf<string>();
                // @ts-expect-error a skip cannot see the output of the stage that it skips
                return ctx.outputs.second === 1;
              },
            },
            ...limits,
          })
          .stage('third', {
            output: z.null(),
            driver: (ctx) => {
              expectTypeOf(ctx).toExtend<StageContext>();
              expectTypeOf(ctx.outputs.second).toEqualTypeOf<number | undefined>();
              return null;
            },
            ...limits,
          }),
    });
    expect(seen).toEqual([]);
  });

  it('a driver that returns another type than its schema takes does not compile', () => {
    const definition = definePipeline({
      name: 'wrong',
      version: 1,
      input: z.unknown(),
      stages: (pipeline) =>
        pipeline
          // @ts-expect-error the schema takes a number
          .stage('sync', { output: z.number(), driver: () => 'text', ...limits })
          // @ts-expect-error the schema takes a number
          .stage('async', { output: z.number(), driver: async () => Promise.resolve('text'), ...limits })
          // @ts-expect-error the schema takes a number
          .stage('object', { output: z.number(), driver: { execute: () => null }, ...limits }),
    });
    expect(definition.stages).toHaveLength(3);
  });

  it('a stage without a limit of attempts does not compile and is RETRY_POLICY_INVALID at run time', () => {
    expect(() =>
      definePipeline({
        name: 'endless',
        version: 1,
        input: z.unknown(),
        // @ts-expect-error maxAttempts has no default
        stages: (pipeline) => pipeline.stage('only', { output: z.unknown(), driver: () => 1, retry: {}, timeoutMs: 1 }),
      }),
    ).toThrow('stages.only.retry.maxAttempts must be an integer from 1 to 1000');
  });
});
