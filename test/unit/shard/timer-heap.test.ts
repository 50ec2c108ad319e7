import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { TimerHeap } from '../../../src/shard/timer-heap.ts';
import { VirtualClock } from '../../../src/testing.ts';
import { taskOf } from '../../support/shard-kit.ts';

const hour = 3_600_000;
const day = 24 * hour;

function aHeap() {
  const clock = new VirtualClock();
  const fired: { readonly task: string; readonly atMs: number; readonly dueAt: number }[] = [];
  const timers = new TimerHeap<{ readonly task: string; readonly dueAt: number }>(clock, ({ task, dueAt }) =>
    fired.push({ task, atMs: clock.monotonicMs(), dueAt }),
  );
  const heap = {
    set: (task: string, dueAt: number, leastDelayMs?: number) => timers.set({ task, dueAt }, dueAt, leastDelayMs),
    close: () => timers.close(),
    retain: (isNeeded: (task: string) => boolean) => timers.retain(({ task }) => isNeeded(task)),
    get size() {
      return timers.size;
    },
  };
  return { clock, fired, heap };
}

describe('timers of a shard', () => {
  it('fire once, at their time and with it, in the order of their due times', async () => {
    const { clock, fired, heap } = aHeap();
    const now = clock.now();
    heap.set(taskOf('c'), now + 3_000);
    heap.set(taskOf('a'), now + 1_000);
    heap.set(taskOf('b'), now + 2_000);
    await clock.advance(day);
    expect(fired).toEqual([
      { task: 'a', atMs: 1_000, dueAt: now + 1_000 },
      { task: 'b', atMs: 2_000, dueAt: now + 2_000 },
      { task: 'c', atMs: 3_000, dueAt: now + 3_000 },
    ]);
    expect(heap.size).toBe(0);
  });

  it('R-CORE-3: that were due while nobody owned the shard fire at once', async () => {
    const { clock, fired, heap } = aHeap();
    heap.set(taskOf('a'), clock.now() - day);
    expect(fired).toEqual([]);
    await clock.advance(0);
    expect(fired.map(({ task }) => task)).toEqual(['a']);
  });

  it('that are months away fire neither early nor late', async () => {
    const { clock, fired, heap } = aHeap();
    heap.set(taskOf('far'), clock.now() + 90 * day);
    await clock.advance(90 * day - 1);
    expect(fired).toEqual([]);
    await clock.advance(1);
    expect(fired.map(({ atMs }) => atMs)).toEqual([90 * day]);
  });

  it.each([
    { jump: 'forwards', byMs: hour },
    { jump: 'backwards', byMs: -hour },
  ])('are not moved by a wall clock that jumps an hour $jump', async ({ byMs }) => {
    const { clock, fired, heap } = aHeap();
    heap.set(taskOf('a'), clock.now() + 10_000);
    await clock.advance(5_000);
    clock.jumpWallClock(byMs);
    heap.set(taskOf('b'), clock.now() + 10_000);
    await clock.advance(day);
    expect(fired.map(({ task, atMs }) => [task, atMs])).toEqual([
      ['a', 10_000],
      ['b', 15_000],
    ]);
  });

  it('fire also when the wall clock is set back a second every second', async () => {
    const { clock, fired, heap } = aHeap();
    heap.set(taskOf('a'), clock.now() + 10_000);
    for (let second = 0; second < 15; second += 1) {
      await clock.advance(1_000);
      clock.jumpWallClock(-1_000);
    }
    expect(fired.map(({ atMs }) => atMs)).toEqual([10_000]);
  });

  it('may set the next one when they fire', async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const heap: TimerHeap<string> = new TimerHeap<string>(clock, (task) => {
      fired.push(clock.monotonicMs());
      if (fired.length < 3) heap.set(task, clock.now() + 100);
    });
    heap.set(taskOf('a'), clock.now() + 100);
    await clock.advance(hour);
    expect(fired).toEqual([100, 200, 300]);
  });

  it('fire no earlier than a least delay', async () => {
    const { clock, fired, heap } = aHeap();
    heap.set('a', clock.now() - hour, 1_000);
    heap.set('b', clock.now() + 2_000, 1_000);
    await clock.advance(day);
    expect(fired.map(({ task, atMs }) => [task, atMs])).toEqual([
      ['a', 1_000],
      ['b', 2_000],
    ]);
  });

  it('that count no more are dropped, and the others fire in their time', async () => {
    const { clock, fired, heap } = aHeap();
    for (let index = 1; index <= 100; index += 1) heap.set(`t-${index}`, clock.now() + index * 1_000);
    heap.retain((task) => task.endsWith('0'));
    expect(heap.size).toBe(10);
    await clock.advance(day);
    expect(fired.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 10 }, (_, index) => (index + 1) * 10_000));
    heap.retain(() => false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a closed heap never fire, and none is set any more', async () => {
    const { clock, fired, heap } = aHeap();
    heap.set(taskOf('a'), clock.now() + 1_000);
    heap.close();
    heap.set(taskOf('b'), clock.now() + 1_000);
    await clock.advance(day);
    expect(fired).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('all fire, each in its own millisecond and sorted, whatever the order in which they were set', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: -1_000, max: 100_000 }), { maxLength: 40 }), async (delays) => {
        const { clock, fired, heap } = aHeap();
        const now = clock.now();
        for (const [index, delayMs] of delays.entries()) heap.set(taskOf(`t${index}`), now + delayMs);
        await clock.advance(100_000);
        expect(fired.map(({ atMs }) => atMs)).toEqual(
          delays.map((delayMs) => Math.max(0, delayMs)).toSorted((left, right) => left - right),
        );
        expect(fired.every(({ dueAt, atMs }) => atMs === Math.max(0, dueAt - now))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
