import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { PortName } from '../../../src/core/ids.ts';
import type { PortPass } from '../../../src/shard/port-breakers.ts';
import type { Slot, SlotWaiter } from '../../../src/shard/stage-slots.ts';
import { SlotWorld, specOf } from '../../support/slot-world.ts';

const board = 'board' as PortName;
const policy = { breakerFailureThreshold: 3, breakerOpenMs: 100, breakerMaxOpenMs: 400 };

/** Breakers whose port `board` has just opened. */
function opened() {
  const world = new SlotWorld(100, policy);
  const { breakers } = world;
  const pass = (): PortPass => breakers.pass(board);
  const fail = (times: number): void => {
    for (let count = 0; count < times; count += 1) breakers.end(pass(), 'failed');
  };
  const isOpen = (): number => world.metrics.value('port_breaker_open', { port: board });
  const openings = (): number => world.metrics.value('port_breaker_opened_total', { port: board });
  return { world, breakers, pass, fail, isOpen, openings };
}

describe('the breaker of a port', () => {
  it('R-FAIL-2: opens for that port alone, and tells so once', () => {
    const { world, breakers, fail, isOpen, openings } = opened();
    fail(2);
    expect([breakers.mayPass(board), isOpen(), openings()]).toEqual([true, 0, 0]);
    fail(1);
    expect([breakers.mayPass(board), isOpen(), openings()]).toEqual([false, 1, 1]);
    expect(breakers.mayPass('mail' as PortName)).toBe(true);
    expect(world.logger.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        message: 'a port fails; its stages are held back',
        fields: { port: 'board', failures: 3, openMs: 100 },
      },
    ]);
  });

  it('R-FAIL-2: lets one probe through when its time is over, and all again when that succeeds', async () => {
    const { world, breakers, pass, fail, isOpen, openings } = opened();
    fail(3);
    expect(breakers.closedOffMs(board)).toBe(100);
    await world.clock.advance(100);
    expect(breakers.closedOffMs(board)).toBe(0);
    const probe = pass();
    expect([breakers.mayPass(board), breakers.closedOffMs(board), isOpen()]).toEqual([false, Infinity, 1]);
    breakers.end(probe, 'succeeded');
    expect([breakers.mayPass(board), isOpen(), openings()]).toEqual([true, 0, 1]);
    expect(world.logger.messages('info')).toEqual(['a port works again; its stages go on']);
  });

  it('stays open twice as long when the probe fails, which is no new opening', async () => {
    const { world, breakers, pass, fail, openings } = opened();
    fail(3);
    await world.clock.advance(100);
    breakers.end(pass(), 'failed');
    expect([breakers.closedOffMs(board), openings()]).toEqual([200, 1]);
    expect(world.logger.messages('warn')).toHaveLength(1);
  });

  it('R-FAIL-2: is not moved by failures of attempts beside the probe: there is one probe at a time', async () => {
    const { world, breakers, pass, fail } = opened();
    const [slow, slower, unused] = [pass(), pass(), pass()];
    fail(3);
    await world.clock.advance(100);
    const probe = pass();
    breakers.end(unused, 'unknown');
    expect(breakers.mayPass(board)).toBe(false);
    breakers.end(slow, 'failed');
    await world.clock.advance(1_000);
    expect([breakers.mayPass(board), breakers.closedOffMs(board)]).toEqual([false, Infinity]);
    breakers.end(probe, 'failed');
    expect(breakers.closedOffMs(board)).toBe(200);
    breakers.end(slower, 'failed');
    expect(breakers.closedOffMs(board)).toBe(200);
  });

  it('closes at the success of an attempt beside the probe, and the end of that probe is one of many then', async () => {
    const { world, breakers, pass, fail } = opened();
    const slow = pass();
    fail(3);
    await world.clock.advance(100);
    const probe = pass();
    breakers.end(slow, 'succeeded');
    expect(breakers.mayPass(board)).toBe(true);
    breakers.end(probe, 'failed');
    fail(2);
    expect(breakers.mayPass(board)).toBe(true);
    fail(1);
    expect(breakers.mayPass(board)).toBe(false);
  });

  it('does not open again for failures of the outage that is over', async () => {
    const { world, breakers, pass, fail } = opened();
    const slow = Array.from({ length: 10 }, () => pass());
    fail(3);
    await world.clock.advance(100);
    breakers.end(pass(), 'succeeded');
    for (const one of slow) breakers.end(one, 'failed');
    expect(breakers.mayPass(board)).toBe(true);
  });

  it('R-FAIL-2: lets the next probe through at once when one is given back unused', async () => {
    const { world, breakers, pass, fail } = opened();
    fail(3);
    await world.clock.advance(100);
    breakers.end(pass(), 'unknown');
    expect(breakers.mayPass(board)).toBe(true);
  });
});

describe('the line of a stage whose port fails', () => {
  function down() {
    const world = new SlotWorld(3, policy);
    for (let count = 0; count < 3; count += 1) world.take('p/publish', board);
    for (let count = 0; count < 3; count += 1) world.release('p/publish', 'failed');
    return world;
  }

  it('R-FAIL-2: is granted one probe when the open time is over, by no more than a timer', async () => {
    const world = down();
    for (const label of ['1', '2', '3']) world.wait('p/publish', label, null, board);
    world.slots.grantSoon();
    await world.clock.advance(99);
    expect(world.granted).toEqual([]);
    await world.clock.advance(1);
    expect(world.granted).toEqual(['1']);
    world.release('p/publish', 'succeeded');
    world.slots.grantSoon();
    await world.clock.advance(0);
    expect(world.granted).toEqual(['1', '2', '3']);
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('R-FAIL-2: holds up no other line and no newcomer of another port, though it is longer and older', () => {
    const world = down();
    for (let index = 0; index < 20; index += 1) world.wait('p/publish', `down-${index}`, null, board);
    world.wait('p/publish-too', 'down too', null, board);
    world.wait('p/mail', 'mail', null, 'mail');
    world.slots.grant();
    expect(world.granted).toEqual(['mail']);
    expect(world.slots.mayEnter('p/export', specOf(null))).toBe(true);
    expect(world.slots.mayEnter('p/publish', specOf(null, board))).toBe(false);
  });

  it('gives one probe over all stages that name the port', async () => {
    const world = down();
    world.wait('p/publish', 'a', null, board);
    world.wait('q/notify', 'b', null, board);
    world.slots.grant();
    await world.clock.advance(1_000);
    expect(world.granted).toHaveLength(1);
  });

  it('leaves no timer behind when everybody has left it', async () => {
    const world = down();
    const waiters = ['1', '2'].map((label) => world.wait('p/publish', label, null, board));
    world.slots.grant();
    expect(world.clock.pendingTimers).toBe(1);
    for (const waiter of waiters) world.slots.leave(waiter);
    expect(world.clock.pendingTimers).toBe(0);
    await world.clock.advance(1_000);
    expect(world.granted).toEqual([]);
  });

  it('R-FAIL-2: gives slots within every limit, one probe at a time, and forgets nobody, over any order of events', async () => {
    const ports = { 'p/a': 'board', 'p/b': 'board', 'p/c': 'mail', 'p/d': null } as const;
    const limits = { 'p/a': 2, 'p/b': null, 'p/c': null, 'p/d': 1 } as const;
    type Key = keyof typeof ports;
    const keys = Object.keys(ports) as Key[];
    const step = fc.record({
      kind: fc.constantFrom('enter', 'enter', 'wait', 'wait', 'leave', 'fail', 'succeed', 'unused', 'pass'),
      key: fc.constantFrom(...keys),
      ms: fc.constantFrom(0, 1, 50, 100, 500),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 6 }), async (steps, most) => {
        const world = new SlotWorld(most, { ...policy, breakerFailureThreshold: 1 });
        const { slots, breakers } = world;
        const held: { readonly slot: Slot; readonly isProbe: boolean }[] = [];
        const lines = new Map<Key, SlotWaiter[]>(keys.map((key) => [key, []]));
        const isClosed = (port: string | null): boolean =>
          port === null || world.metrics.value('port_breaker_open', { port }) === 0;
        const taken = (key: Key, slot: Slot): void => {
          // Whatever is given while the breaker is not closed is the probe, and the only one.
          const isProbe = !isClosed(ports[key]);
          if (isProbe) {
            expect(held.filter((one) => one.isProbe && one.slot.pass?.port === slot.pass?.port)).toEqual([]);
          }
          held.push({ slot, isProbe });
        };
        const end = (key: Key, outcome: 'succeeded' | 'failed' | 'unknown'): void => {
          const index = held.findIndex(({ slot }) => slot.key === key);
          const [one] = index < 0 ? [] : held.splice(index, 1);
          if (one === undefined) return;
          slots.release(one.slot, outcome);
          // A success closes the breaker: what probed until then is one of many.
          const { port } = one.slot.pass ?? { port: null };
          if (port !== null && isClosed(port)) {
            for (const [at, other] of held.entries()) {
              if (other.slot.pass?.port === port) held[at] = { ...other, isProbe: false };
            }
          }
          slots.grantSoon();
        };
        for (const { kind, key, ms } of steps) {
          const spec = specOf(limits[key], ports[key]);
          const line = lines.get(key) ?? [];
          if (kind === 'enter' && slots.mayEnter(key, spec)) taken(key, slots.take(key, spec));
          else if (kind === 'wait') {
            const waiter: SlotWaiter = {
              key,
              spec,
              onGranted: (slot) => {
                expect(line.shift()).toBe(waiter);
                taken(key, slot);
              },
            };
            line.push(waiter);
            slots.wait(waiter);
            slots.grantSoon();
          } else if (kind === 'leave') {
            const waiter = line.pop();
            if (waiter !== undefined) slots.leave(waiter);
          } else if (kind === 'fail') end(key, 'failed');
          else if (kind === 'succeed') end(key, 'succeeded');
          else if (kind === 'unused') end(key, 'unknown');
          else await world.clock.advance(ms);
          expect(slots.running).toBe(held.length);
          expect(slots.running).toBeLessThanOrEqual(most);
          for (const one of keys) {
            const running = held.filter(({ slot }) => slot.key === one).length;
            expect(running).toBeLessThanOrEqual(limits[one] ?? most);
          }
        }
        // The ports are up again: everybody gets a slot, by timers and releases alone.
        for (let rounds = 0; rounds < 300 && (slots.waiting > 0 || held.length > 0); rounds += 1) {
          for (const key of keys) end(key, 'succeeded');
          await world.clock.advance(policy.breakerMaxOpenMs);
        }
        expect([slots.waiting, slots.running]).toEqual([0, 0]);
        await world.clock.advance(policy.breakerMaxOpenMs);
        expect([breakers.mayPass('mail' as PortName), breakers.mayPass(board)]).toEqual([true, true]);
        expect(world.clock.pendingTimers).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
