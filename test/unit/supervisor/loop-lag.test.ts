import { describe, expect, it } from 'vitest';

import { LoopLag } from '../../../src/supervisor/loop-lag.ts';
import { MemoryLogger, MemoryMetrics, VirtualClock } from '../../../src/testing.ts';
import { FreezableClock } from '../../support/freezable-clock.ts';

class World {
  readonly time = new VirtualClock();
  readonly clock = new FreezableClock(this.time);
  readonly logger = new MemoryLogger();
  readonly metrics = new MemoryMetrics();
  running: readonly string[] = [];
  readonly lag = new LoopLag({
    clock: this.clock,
    logger: this.logger,
    metrics: this.metrics,
    runningStages: () => this.running,
  });

  /** The loop stands still for so long, from the middle of an interval on. */
  async block(ms: number): Promise<void> {
    await this.time.advance(100);
    this.clock.freeze();
    await this.time.advance(ms);
    this.clock.thaw();
    await this.time.advance(0);
  }

  get warnings(): readonly unknown[] {
    return this.logger.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields);
  }
}

describe('the lag of an event loop', () => {
  it('is 0 before the first measurement and while timers fire when they are due', async () => {
    const world = new World();
    expect(world.lag.lagMs).toBe(0);
    world.lag.start();
    await world.time.advance(60_000);
    expect(world.lag.lagMs).toBe(0);
    expect(world.metrics.count('event_loop_lag_seconds')).toBe(240);
    expect(world.metrics.value('event_loop_lag_seconds')).toBe(0);
    expect(world.warnings).toEqual([]);
    world.lag.stop();
    expect(world.time.pendingTimers).toBe(0);
  });

  it('is how late the latest timer of the last ten seconds was, and forgotten after them', async () => {
    const world = new World();
    world.lag.start();
    await world.block(400);
    expect(world.lag.lagMs).toBe(250);
    await world.block(300);
    expect(world.lag.lagMs).toBe(250);
    expect(world.metrics.value('event_loop_lag_seconds')).toBeCloseTo(0.4);
    await world.time.advance(9_000);
    expect(world.lag.lagMs).toBe(250);
    await world.time.advance(2_000);
    expect(world.lag.lagMs).toBe(0);
    expect(world.warnings).toEqual([]);
  });

  it('R-FAIL-1: over a second is said once an episode, with the stages that ran when it began or run at its end', async () => {
    const world = new World();
    world.lag.start();
    world.running = ['card/photos', 'card/parse'];
    await world.time.advance(1_000);
    const blocking = world.block(3_150);
    world.running = ['card/parse', 'card/export'];
    await blocking;
    expect(world.warnings).toEqual([{ lagMs: 3_000, stages: ['card/export', 'card/parse', 'card/photos'] }]);
    await world.block(5_150);
    expect(world.warnings).toHaveLength(1);
    await world.time.advance(11_000);
    expect(world.logger.messages('info')).toEqual(['the event loop keeps up again']);
    await world.block(2_000);
    expect(world.warnings).toHaveLength(2);
  });

  it('of an hour’s sleep fills no memory: the window has as many measurements as were made in it', async () => {
    const world = new World();
    world.lag.start();
    await world.block(3_600_000);
    expect(world.lag.lagMs).toBe(3_600_000 + 100 - 250);
    expect(world.metrics.count('event_loop_lag_seconds')).toBe(1);
  });

  it('is not touched by a wall clock that jumps', async () => {
    const world = new World();
    world.lag.start();
    world.time.jumpWallClock(3_600_000);
    await world.time.advance(1_000);
    expect(world.lag.lagMs).toBe(0);
  });

  it('started twice measures once', async () => {
    const world = new World();
    world.lag.start();
    world.lag.start();
    await world.time.advance(1_000);
    expect(world.metrics.count('event_loop_lag_seconds')).toBe(4);
  });
});
