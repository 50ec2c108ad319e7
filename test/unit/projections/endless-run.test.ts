import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { EndlessRun } from '../../../src/projections/endless-run.ts';

/** Work that fails when it is told to, at a place that the test moves. */
class Work {
  readonly clock = new VirtualClock();
  readonly begunAtMs: number[] = [];
  readonly failures: string[] = [];
  place = 0;
  error: Error | null = new Error('no journal');
  readonly run = new EndlessRun({
    clock: this.clock,
    work: async () => {
      this.begunAtMs.push(this.clock.monotonicMs());
      if (this.error !== null) throw this.error;
      await new Promise<void>((resolve) => this.run.signal.addEventListener('abort', () => resolve()));
    },
    progress: () => this.place,
    onFailure: ({ message }) => void this.failures.push(message),
  });
}

describe('work that goes on for ever', () => {
  it('is tried again after pauses that double up to 10 s, and begins with short ones when something was reached', async () => {
    const work = new Work();
    expect([work.run.start(), work.run.start()]).toEqual([true, false]);
    await work.clock.advance(40_000);
    const pauses = work.begunAtMs.map((atMs, index) => atMs - (work.begunAtMs[index - 1] ?? 0)).slice(1);
    expect(pauses).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    expect(work.run.trouble).toBe('no journal');
    const before = work.begunAtMs.length;
    work.error = null;
    await work.clock.advance(10_000);
    expect(work.begunAtMs).toHaveLength(before + 1);
    work.run.clearTrouble();
    expect(work.run.trouble).toBeNull();
    await work.run.stop();
    expect(work.clock.pendingTimers).toBe(0);
  });

  it('begins anew with the shortest pause after each failure that came behind a step forward', async () => {
    const work = new Work();
    const next = new EndlessRun({
      clock: work.clock,
      work: () => {
        work.begunAtMs.push(work.clock.monotonicMs());
        work.place += 1;
        return Promise.reject(new Error('cut off'));
      },
      progress: () => work.place,
      onFailure: () => undefined,
    });
    next.start();
    await work.clock.advance(1_000);
    expect(work.begunAtMs).toEqual([0, 200, 400, 600, 800, 1_000]);
    await next.stop();
  });

  it('ends at once when it is stopped: in a pause, at work, and with a failure on the way that nobody is told of', async () => {
    const paused = new Work();
    paused.run.start();
    await paused.clock.advance(1);
    await paused.run.stop();
    expect([paused.failures, paused.clock.pendingTimers]).toEqual([['no journal'], 0]);

    const clock = new VirtualClock();
    const told: string[] = [];
    const run: EndlessRun = new EndlessRun({
      clock,
      work: () =>
        new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(new Error('stopped under it')))),
      progress: () => 0,
      onFailure: ({ message }) => void told.push(message),
    });
    run.start();
    await run.stop();
    expect([told, run.trouble, clock.pendingTimers]).toEqual([[], null, 0]);
  });
});
