import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { continueAfter, declaredContinuations } from '../../../src/pipeline/continuation.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition, SkipRule } from '../../../src/pipeline/definition.ts';
import { cardPipeline } from './card-pipeline.ts';

const stage = { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 1 }, timeoutMs: 1_000 };

interface AnyBuilder {
  stage(name: string, options: unknown): AnyBuilder;
}

/** As many stages as rules; null is a stage that always runs. */
function pipelineWithSkips(...rules: (SkipRule['when'] | null)[]): PipelineDefinition {
  return (definePipeline as (options: unknown) => PipelineDefinition)({
    name: 'skips',
    version: 1,
    input: z.unknown(),
    stages: (pipeline: AnyBuilder) => {
      let builder = pipeline;
      for (const [index, when] of rules.entries()) {
        const skip = when === null ? null : { reason: `reason ${index}`, when };
        builder = builder.stage(`stage-${index}`, { ...stage, skip });
      }
      return builder;
    },
  });
}

describe('declaredContinuations', () => {
  it('R-STAGE-2: are the next stage, and the ways past each run of stages that declare a skip', () => {
    expect(declaredContinuations(cardPipeline.stages, -1)).toEqual([{ next: 'parse', skipped: [] }]);
    expect(declaredContinuations(cardPipeline.stages, 0)).toEqual([
      { next: 'photos', skipped: [] },
      { next: 'publish', skipped: ['photos'] },
    ]);
    expect(declaredContinuations(cardPipeline.stages, 2)).toEqual([
      { next: 'export', skipped: [] },
      { next: null, skipped: ['export'] },
    ]);
    expect(declaredContinuations(cardPipeline.stages, 3)).toEqual([{ next: null, skipped: [] }]);
  });

  it('R-STAGE-2: a pipeline whose stages may all be skipped may end at once', () => {
    const { stages } = pipelineWithSkips(
      () => true,
      () => true,
    );
    expect(declaredContinuations(stages, -1)).toEqual([
      { next: 'stage-0', skipped: [] },
      { next: 'stage-1', skipped: ['stage-0'] },
      { next: null, skipped: ['stage-0', 'stage-1'] },
    ]);
  });
});

describe('continueAfter', () => {
  it('goes to the next stage when it has no skip, or its skip says no', () => {
    const ctx = { input: { photos: 3 }, outputs: {} };
    expect(continueAfter(cardPipeline, -1, () => ctx)).toEqual({ next: 'parse', skipped: [] });
    expect(continueAfter(cardPipeline, 0, () => ctx)).toEqual({ next: 'photos', skipped: [] });
  });

  it('R-STAGE-2: passes over a stage whose declared skip says yes, with its reason', () => {
    expect(continueAfter(cardPipeline, 0, () => ({ input: { photos: 0 }, outputs: {} }))).toEqual({
      next: 'publish',
      skipped: [{ stage: 'photos', reason: 'the card has no photos' }],
    });
  });

  it('ends the task after the last stage, and past a run of skipped ones', () => {
    const ctx = { input: {}, outputs: { publish: '' } };
    expect(continueAfter(cardPipeline, 3, () => ctx)).toEqual({ next: null, skipped: [] });
    expect(continueAfter(cardPipeline, 2, () => ctx)).toEqual({
      next: null,
      skipped: [{ stage: 'export', reason: 'nothing to export' }],
    });
    const all = pipelineWithSkips(
      () => true,
      () => true,
    );
    expect(continueAfter(all, -1, () => ctx)).toMatchObject({ next: null, skipped: [{}, {}] });
  });

  it('asks no skip beyond the stage that follows', () => {
    const later = vi.fn<() => boolean>(() => true);
    const definition = pipelineWithSkips(null, () => false, later);
    expect(continueAfter(definition, 0, () => ({ input: 1, outputs: {} })).next).toBe('stage-1');
    expect(later).not.toHaveBeenCalled();
  });

  it('shows a skip the input and the outputs', () => {
    const when = vi.fn<(ctx: unknown) => boolean>(() => false);
    const ctx = { input: { a: 1 }, outputs: { 'stage-0': 2 } };
    continueAfter(pipelineWithSkips(when), -1, () => ctx);
    expect(when).toHaveBeenCalledExactlyOnceWith(ctx);
  });

  it('PIPELINE_INVALID when a skip throws: nothing that is retried, whatever it throws', () => {
    const bug = new TypeError('no such field');
    const definition = pipelineWithSkips(() => {
      throw bug;
    });
    expect(() => continueAfter(definition, -1, () => ({ input: 1, outputs: {} }))).toThrow(
      expect.objectContaining({
        code: 'PIPELINE_INVALID',
        field: 'stages.stage-0.skip.when',
        message: 'stages.stage-0.skip.when threw: no such field',
        cause: bug,
        retryable: false,
      }),
    );
  });

  it.each([[Promise.resolve(false)], ['no'], [1], [undefined], [null]])(
    'PIPELINE_INVALID when a skip answers with %o: it would skip without a decision',
    (answer) => {
      const definition = pipelineWithSkips((() => answer) as unknown as SkipRule['when']);
      expect(() => continueAfter(definition, -1, () => ({ input: 1, outputs: {} }))).toThrow(
        expect.objectContaining({ code: 'PIPELINE_INVALID', field: 'stages.stage-0.skip.when' }),
      );
    },
  );
});
