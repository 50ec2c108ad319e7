import { describe, expect, it } from 'vitest';
import { boundsOf } from '../../../src/pipeline/bounds.ts';
import { cardPipeline } from './card-pipeline.ts';

describe('boundsOf', () => {
  it('R-RETRY-2: gives every pipeline a finite number of attempts and a longest time', () => {
    expect(boundsOf(cardPipeline)).toEqual({
      maxAttempts: 8,
      longestMs: 14_100,
      stages: [
        { stage: 'parse', maxAttempts: 3, longestMs: 3 * 1_000 + 1_000 + 2_000 },
        { stage: 'photos', maxAttempts: 2, longestMs: 2 * 2_000 + 100 },
        { stage: 'publish', maxAttempts: 1, longestMs: 1_000 },
        { stage: 'export', maxAttempts: 2, longestMs: 2 * 1_000 + 1_000 },
      ],
    });
  });

  it('counts no time after the deadline but the attempt that began before it', () => {
    const [, , , last] = cardPipeline.stages;
    if (last === undefined) expect.fail('the pipeline has four stages');
    const stage = { ...last, retry: { ...last.retry, maxAttempts: 1_000 } };
    expect(boundsOf({ stages: [stage] })).toMatchObject({ maxAttempts: 1_000, longestMs: 5_000 + 1_000 });
  });
});
