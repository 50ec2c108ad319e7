import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { SlotWaiter } from '../../../src/shard/stage-slots.ts';
import { SlotWorld, specOf } from '../../support/slot-world.ts';

describe('the slots of a node', () => {
  it('are no more than its limit, over all stages', () => {
    const world = new SlotWorld(2);
    const { slots } = world;
    world.take('card/parse');
    expect(slots.isFree('card/photos', specOf(null))).toBe(true);
    world.take('card/photos');
    expect(slots.isFree('card/parse', specOf(null))).toBe(false);
    world.release('card/parse');
    expect(slots.isFree('card/parse', specOf(null))).toBe(true);
  });

  it('are no more than the stage’s own limit, which counts that stage alone', () => {
    const world = new SlotWorld(10);
    const { slots } = world;
    world.take('card/parse');
    expect(slots.isFree('card/parse', specOf(1))).toBe(false);
    expect(slots.isFree('other/parse', specOf(1))).toBe(true);
    expect(slots.isFree('card/parse', specOf(2))).toBe(true);
  });

  it('go to those who wait, first come, first served', () => {
    const world = new SlotWorld(1);
    world.take('p/a');
    for (const label of ['1', '2', '3']) world.wait('p/a', label);
    world.slots.grant();
    expect(world.granted).toEqual([]);
    for (let freed = 0; freed < 3; freed += 1) {
      world.release('p/a');
      world.slots.grant();
    }
    expect(world.granted).toEqual(['1', '2', '3']);
    expect(world.slots.waiting).toBe(0);
    expect(world.slots.running).toBe(1);
  });

  it('go to one line in turn, so that a long line of one stage does not starve the others', () => {
    const world = new SlotWorld(4);
    for (let index = 1; index <= 6; index += 1) world.wait('p/a', `a${index}`);
    world.wait('p/b', 'b1');
    world.wait('p/c', 'c1');
    world.slots.grant();
    expect(world.granted).toEqual(['a1', 'b1', 'c1', 'a2']);
  });

  it('go to one line in turn also when they become free one by one', () => {
    const world = new SlotWorld(1);
    world.take('p/a');
    for (let index = 1; index <= 6; index += 1) world.wait('p/a', `a${index}`);
    world.wait('p/b', 'b1');
    for (let freed = 0; freed < 4; freed += 1) {
      world.release(world.granted.at(-1)?.startsWith('b') === true ? 'p/b' : 'p/a');
      world.slots.grant();
    }
    expect(world.granted).toEqual(['a1', 'b1', 'a2', 'a3']);
  });

  it('are not held up by a stage that is at its own limit', () => {
    const world = new SlotWorld(4);
    world.take('p/a');
    world.wait('p/a', 'a', 1);
    world.wait('p/b', 'b');
    world.slots.grant();
    expect(world.granted).toEqual(['b']);
    expect(world.slots.waiting).toBe(1);
  });

  it('are not granted to who has left the line, and to leave twice or after the grant changes nothing', () => {
    const world = new SlotWorld(1);
    const left = world.wait('p/a', 'left');
    const stays = world.wait('p/a', 'stays');
    world.slots.leave(left);
    world.slots.leave(left);
    world.slots.grant();
    world.slots.leave(stays);
    expect(world.granted).toEqual(['stays']);
    expect([world.slots.waiting, world.slots.running]).toEqual([0, 1]);
  });

  it('are granted once at the end of the turn, however often it is asked', async () => {
    const world = new SlotWorld(1);
    world.wait('p/a', 'a');
    world.slots.grantSoon();
    world.slots.grantSoon();
    expect(world.granted).toEqual([]);
    await world.clock.advance(0);
    expect(world.granted).toEqual(['a']);
  });
});

describe('a newcomer', () => {
  it('goes behind those who wait for the same stage, when one becomes free', () => {
    const world = new SlotWorld(10);
    world.take('p/a');
    world.wait('p/a', 'a', 1);
    world.release('p/a');
    expect(world.slots.isFree('p/a', specOf(1))).toBe(true);
    expect(world.slots.mayEnter('p/a', specOf(1))).toBe(false);
  });

  it('goes behind those of another stage who could have the slot', () => {
    const world = new SlotWorld(1);
    world.take('p/a');
    world.wait('p/b', 'b');
    world.release('p/a');
    expect(world.slots.mayEnter('p/a', specOf(null))).toBe(false);
  });

  it('does not wait for a line that its own limit holds up', () => {
    const world = new SlotWorld(10);
    world.take('p/b');
    world.wait('p/b', 'b', 1);
    expect(world.slots.mayEnter('p/a', specOf(null))).toBe(true);
  });
});

describe('the count of slots', () => {
  it('R-LOCK-1: stays within every limit, and all come back, over any order of taking, waiting, leaving and releasing', () => {
    const keys = ['p/a', 'p/b', 'p/c'] as const;
    const limits = { 'p/a': 1, 'p/b': 2, 'p/c': null } as const;
    const step = fc.record({
      kind: fc.constantFrom('enter', 'wait', 'leave', 'release', 'grant'),
      key: fc.constantFrom(...keys),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 4 }), (steps, maxRunning) => {
        const world = new SlotWorld(maxRunning);
        const { slots } = world;
        const running = new Map<string, number>(keys.map((key) => [key, 0]));
        const lines = new Map<string, SlotWaiter[]>(keys.map((key) => [key, []]));
        const started = (key: string, by: number): void => void running.set(key, (running.get(key) ?? 0) + by);
        for (const { kind, key } of steps) {
          const spec = specOf(limits[key]);
          const line = lines.get(key) ?? [];
          if (kind === 'enter' && slots.mayEnter(key, spec)) {
            world.take(key);
            started(key, 1);
          } else if (kind === 'wait') {
            const waiter: SlotWaiter = {
              key,
              spec,
              onGranted: (slot) => {
                world.hold(slot);
                expect(line.shift()).toBe(waiter);
                started(key, 1);
              },
            };
            line.push(waiter);
            slots.wait(waiter);
          } else if (kind === 'leave') {
            const waiter = line.pop();
            if (waiter !== undefined) slots.leave(waiter);
          } else if (kind === 'release' && (running.get(key) ?? 0) > 0) {
            world.release(key);
            started(key, -1);
          } else if (kind === 'grant') slots.grant();
          const total = [...running.values()].reduce((sum, count) => sum + count, 0);
          expect(slots.running).toBe(total);
          expect(slots.waiting).toBe([...lines.values()].reduce((sum, { length }) => sum + length, 0));
          expect(total).toBeLessThanOrEqual(maxRunning);
          expect(running.get('p/a')).toBeLessThanOrEqual(1);
          expect(running.get('p/b')).toBeLessThanOrEqual(2);
        }
        // Whoever runs ends, until nobody waits: nobody is forgotten.
        for (let rounds = 0; slots.waiting > 0 && rounds < 500; rounds += 1) {
          slots.grant();
          for (const [key, count] of running) {
            for (let left = count; left > 0; left -= 1) world.release(key);
            running.set(key, 0);
          }
        }
        expect(slots.waiting).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
