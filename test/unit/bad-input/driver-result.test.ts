import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { failureClasses } from '../../../src/core/failures.ts';
import { parseJsonValue } from '../../../src/core/json.ts';
import { failure as failureShape } from '../../../src/core/record-shapes.ts';
import type { StageContext } from '../../../src/ports/driver.ts';
import { aRun } from '../../support/a-stage-run.ts';
import { anyValue } from './awkward-values.ts';

describe('a driver of somebody’s', () => {
  it('R-FAIL-1: ends its stage once, completed or with a failure that can be recorded, whatever it returns or throws', async () => {
    await fc.assert(
      fc.asyncProperty(anyValue, fc.nat(4), async (value, way) => {
        const driver = async (ctx: StageContext): Promise<unknown> => {
          if (way === 0) throw value;
          if (way === 1)
            throw Object.assign(new Error('x'), { code: value, message: value, name: value, cause: value });
          if (way === 2) return ctx.checkpoint(value as string, () => value);
          return value;
        };
        const run = await aRun(
          driver,
          way === 3 ? { stage: { output: z.object({ page: z.number() }) } } : {},
        ).started();
        const { result } = run;
        if (result.kind === 'failed') {
          expect(failureShape(result.failure)).toBeNull();
          expect(failureClasses).toContain(result.failure.class);
          parseJsonValue(result.failure, 'failure');
          expect(Buffer.byteLength(JSON.stringify(result.failure))).toBeLessThan(64 * 1024);
        }
        expect(run.ends).toEqual(['settled']);
      }),
      { numRuns: 600 },
    );
  });

  it('R-FAIL-1: is asked with values that it cannot break: what it does to its input harms no other attempt', async () => {
    const run = await aRun((ctx: StageContext) => {
      (ctx.input as Record<string, unknown>)['url'] = 'changed';
    }).started();
    expect(run.result).toMatchObject({ kind: 'failed', failure: { class: 'unexpected', name: 'TypeError' } });
    expect(run.job.input).toEqual({ json: { url: 'a' } });
  });
});
