import { describe, expect, it } from 'vitest';

import type { TaskId } from '../../../src/core/ids.ts';
import {
  createSimulatedDriver,
  simulatedOutcome,
  type SimulatedDriverOptions,
  type SimulatedEffects,
  type SimulatedOutcome,
} from '../../../src/drivers/simulated-driver.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { failureOf, StageKit } from './stage-kit.ts';

function driverOf(options: Partial<SimulatedDriverOptions> = {}, clock = new VirtualClock()) {
  return createSimulatedDriver({ clock, ...options });
}

function attemptOf(attempt: number, task = 'task-1'): StageKit {
  return new StageKit({ attempt, taskId: task as TaskId });
}

describe('the simulated driver', () => {
  it('gives what the user says, or task and stage', async () => {
    expect(await attemptOf(1).run(driverOf())).toEqual({ taskId: 'task-1', stage: 'export' });
    expect(await attemptOf(1).run(driverOf({ output: ({ input }) => input }))).toEqual({
      url: 'https://example.test/1',
    });
  });

  it.each([
    [{ kind: 'retryable' }, { class: 'retryable', code: 'SIMULATED' }],
    [{ kind: 'uncertain' }, { name: 'UncertainError', code: 'SIMULATED' }],
    [
      { kind: 'rateLimited', retryAfterMs: 700 },
      { class: 'rateLimited', retryAfterMs: 700 },
    ],
    [{ kind: 'fatal' }, { class: 'fatal' }],
    [
      { kind: 'unexpected', code: 'EODD' },
      { class: 'unexpected', code: 'EODD' },
    ],
  ] satisfies [SimulatedOutcome, object][])('R-FAIL-1: fails as scripted: %j', async (outcome, failure) => {
    expect(await attemptOf(1).failure(driverOf({ script: [outcome] }))).toMatchObject(failure);
  });

  it('follows its script by attempt, and is done after its end', async () => {
    const driver = driverOf({ script: [{ kind: 'retryable' }, { kind: 'fatal' }] });
    expect(await attemptOf(1).failure(driver)).toMatchObject({ class: 'retryable' });
    expect(await attemptOf(2).failure(driver)).toMatchObject({ class: 'fatal' });
    expect(await attemptOf(3).run(driver)).toMatchObject({ taskId: 'task-1' });
  });

  it('returns what is no JSON when it is broken', async () => {
    expect(typeof (await attemptOf(1).run(driverOf({ script: [{ kind: 'broken' }] })))).toBe('function');
  });

  it('R-DRV-1: draws the same outcomes and times for the same seed, in whatever order attempts run', async () => {
    const options = { seed: 42, faults: { retryable: 0.3, fatal: 0.1, hang: 0.1, rateLimited: 0.1 } };
    const attempts = Array.from({ length: 300 }, (_, index) => attemptOf(1 + (index % 3), `task-${index}`).ctx);
    const forwards = attempts.map((ctx) => simulatedOutcome(options, ctx).kind);
    const backwards = attempts.toReversed().map((ctx) => simulatedOutcome(options, ctx).kind);
    expect(backwards.toReversed()).toEqual(forwards);
    expect(attempts.map((ctx) => simulatedOutcome({ ...options, seed: 43 }, ctx).kind)).not.toEqual(forwards);
    const count = (kind: string): number => forwards.filter((drawn) => drawn === kind).length;
    expect(count('retryable')).toBeGreaterThan(60);
    expect(count('retryable')).toBeLessThan(120);
    expect(count('done')).toBeGreaterThan(80);
    expect(count('fatal')).toBeGreaterThan(10);
  });

  it('takes its time from the clock, within its bounds', async () => {
    const clock = new VirtualClock();
    const driver = driverOf({ latencyMs: { least: 100, most: 200 } }, clock);
    const kit = attemptOf(1);
    let isDone = false;
    const running = kit.run(driver).finally(() => {
      isDone = true;
    });
    await clock.advance(99);
    expect(isDone).toBe(false);
    await clock.advance(101);
    await running;
    expect(clock.pendingTimers).toBe(0);
  });

  it('sends heartbeats while it takes its time, and none afterwards', async () => {
    const clock = new VirtualClock();
    const kit = attemptOf(1);
    const running = kit.run(driverOf({ latencyMs: { least: 1_000, most: 1_000 }, heartbeatEveryMs: 300 }, clock));
    await clock.advance(5_000);
    await running;
    expect(kit.heartbeats).toBe(3);
  });

  it('hangs until its signal aborts, and ends with the reason', async () => {
    const clock = new VirtualClock();
    const kit = attemptOf(1);
    const running = failureOf(() =>
      kit.run(driverOf({ script: [{ kind: 'hang' }], latencyMs: { least: 1, most: 2 } }, clock)),
    );
    await clock.advance(1_000_000);
    kit.abort.abort(new Error('the stage timed out'));
    expect(await running).toMatchObject({ message: 'the stage timed out' });
  });

  it('ends in the middle of its time when its signal aborts', async () => {
    const clock = new VirtualClock();
    const kit = attemptOf(1);
    const running = failureOf(() => kit.run(driverOf({ latencyMs: { least: 1_000, most: 1_000 } }, clock)));
    await clock.advance(10);
    kit.abort.abort(new Error('canceled'));
    expect(await running).toMatchObject({ message: 'canceled' });
    expect(clock.pendingTimers).toBe(0);
  });

  it('hangs for ever, whatever its signal says, when it is to ignore it', async () => {
    const clock = new VirtualClock();
    const kit = attemptOf(1);
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    kit
      .run(driverOf({ script: [{ kind: 'hangForever' }], latencyMs: { least: 5, most: 5 } }, clock))
      .then(settle, settle);
    kit.abort.abort(new Error('please'));
    await clock.advance(1_000_000);
    expect(isSettled).toBe(false);
  });

  it('R-IDEM-1: has one effect a key, gives its output again, and tells of it', async () => {
    const effects: SimulatedEffects = new Map();
    let made = 0;
    const driver = driverOf({
      effects,
      script: [{ kind: 'retryable' }, { kind: 'uncertain' }],
      output: () => (made += 1),
    });
    const { ctx } = attemptOf(1);
    await attemptOf(1).failure(driver);
    expect(await driver.lookup?.(ctx)).toEqual({ kind: 'notDone' });
    await attemptOf(2).failure(driver);
    expect(await driver.lookup?.(ctx)).toEqual({ kind: 'done', output: 1 });
    expect(await attemptOf(3).run(driver)).toBe(1);
    expect(effects.get('cabinet:task-1:export')).toEqual({ output: 1, times: 2 });
  });

  it('has a lookup only with effects', () => {
    expect(driverOf().lookup).toBeUndefined();
  });

  it.each([{ retryable: 0.7, fatal: 0.5 }, { fatal: -0.1 }, { hang: Number.NaN }])(
    'refuses the faults %o with INVALID_ARGUMENT',
    (faults) => {
      expect(() => driverOf({ faults })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'faults' }),
      );
    },
  );
});
