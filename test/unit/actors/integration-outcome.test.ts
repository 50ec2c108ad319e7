import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { abortGraceMs, aRun, type RunSettings } from '../../support/a-stage-run.ts';

/** What the one attempt of this driver says of its integration. */
async function outcomeOf(driver: Parameters<typeof aRun>[0], settings: RunSettings = {}): Promise<unknown> {
  const run = await aRun(driver, settings).started();
  await run.clock.advance(10_000);
  expect(run.integrations).toHaveLength(1);
  return run.integrations[0];
}

function throwing(error: Error) {
  return (): never => {
    throw error;
  };
}

const never = (): Promise<never> => new Promise(() => {});

describe('an attempt says of the integration behind its driver', () => {
  it.each([
    ['succeeded', 'has its result', () => ({ id: 1 })],
    ['failed', 'throws RetryableError', throwing(new RetryableError('down'))],
    ['failed', 'throws RateLimitedError', throwing(new RateLimitedError('slower', 10))],
    ['failed', 'throws what nobody knows', throwing(new Error('?'))],
    ['failed', 'times out', never],
    ['succeeded', 'throws FatalError: it has answered', throwing(new FatalError('no such card'))],
  ])('R-FAIL-2: %s, when it %s', async (outcome, _what, driver) => {
    expect(await outcomeOf(driver)).toBe(outcome);
  });

  it('R-FAIL-2: failed, when its heartbeats stop', async () => {
    expect(await outcomeOf(never, { stage: { heartbeatTimeoutMs: 50 } })).toBe('failed');
  });

  it('succeeded, when the driver has returned what its schema refuses', async () => {
    expect(await outcomeOf(() => 7, { stage: { output: z.string() } })).toBe('succeeded');
  });

  it('succeeded, when the driver has returned and our own store does not take its output', async () => {
    expect(await outcomeOf(() => 'x'.repeat(2_000), { faults: () => 'unavailable' })).toBe('succeeded');
  });

  it('nothing, when our own store has kept the driver from being called', async () => {
    const blob = { key: 't-1/input/a', sizeBytes: 1, sha256: 'a' };
    let calls = 0;
    const count = (): number => (calls += 1);
    expect(await outcomeOf(count, { input: { blob } })).toBe('unknown');
    expect(calls).toBe(0);
  });

  it.each([
    ['ends', (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener('abort', resolve))],
    ['ignores it', never],
  ] as const)('nothing, when it is aborted from outside and %s', async (_what, wait) => {
    const run = await aRun((ctx) => wait(ctx.signal)).started();
    run.run.abort(new Error('canceled'));
    await run.clock.advance(abortGraceMs);
    expect(run.integrations).toEqual(['unknown']);
  });

  it('R-FAIL-2: failed, when it timed out and its driver returned after all', async () => {
    const late = aRun(
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('late'))),
    );
    await late.started();
    await late.clock.advance(2_000);
    expect(late.integrations).toEqual(['failed']);
  });
});
