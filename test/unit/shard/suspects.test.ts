import { describe, expect, it } from 'vitest';

import type { Probation } from '../../../src/actors/suspicion.ts';
import type { Slot, SlotWaiter } from '../../../src/shard/stage-slots.ts';
import { SlotWorld, specOf } from '../../support/slot-world.ts';

const suspect: Probation = { suspicion: 2, isAlone: false, staysSuspect: false };

class Suspects {
  readonly world = new SlotWorld(10, { suspectProbationMs: 5_000 });
  /** Who runs, in the order of their starts. */
  readonly running = new Map<string, Slot>();
  readonly passed: string[] = [];

  /** Stands in line; its driver starts as soon as it has its slot. */
  wait(label: string, fields: Partial<Probation> = {}, concurrency: number | null = null): SlotWaiter {
    const waiter: SlotWaiter = {
      key: `card/${label}`,
      spec: specOf(concurrency),
      probation: { ...suspect, ...fields },
      onGranted: (slot) => {
        this.running.set(label, slot);
        this.world.slots.startProbation(slot, () => this.passed.push(label));
      },
    };
    this.world.slots.wait(waiter);
    return waiter;
  }

  async end(label: string): Promise<void> {
    const slot = this.running.get(label);
    if (slot === undefined) throw new Error(`${label} does not run`);
    this.running.delete(label);
    this.world.slots.release(slot, 'succeeded');
    await this.grant();
  }

  async grant(): Promise<void> {
    this.world.slots.grant();
    await this.world.clock.advance(0);
  }

  get names(): readonly string[] {
    return [...this.running.keys()];
  }
}

describe('suspects', () => {
  it('I32: start one at a time, in order: the next when the one before has passed its probation, which runs on', async () => {
    const suspects = new Suspects();
    for (const label of ['a', 'b', 'c']) suspects.wait(label);
    await suspects.grant();
    expect(suspects.names).toEqual(['a']);
    expect(suspects.world.slots.suspectsWaiting).toBe(2);
    await suspects.world.clock.advance(4_999);
    expect(suspects.names).toEqual(['a']);
    await suspects.world.clock.advance(1);
    expect(suspects.passed).toEqual(['a']);
    expect(suspects.names).toEqual(['a', 'b']);
    await suspects.world.clock.advance(5_000);
    expect(suspects.names).toEqual(['a', 'b', 'c']);
    expect(suspects.world.slots.suspectsWaiting).toBe(0);
  });

  it('I32: the next one starts when the one in probation ends, which has not passed', async () => {
    const suspects = new Suspects();
    for (const label of ['a', 'b']) suspects.wait(label);
    await suspects.grant();
    await suspects.end('a');
    expect(suspects.names).toEqual(['b']);
    await suspects.world.clock.advance(5_000);
    expect(suspects.passed).toEqual(['b']);
  });

  it('I32: the most suspected one starts first', async () => {
    const suspects = new Suspects();
    suspects.wait('a');
    suspects.wait('b', { suspicion: 3 });
    await suspects.grant();
    expect(suspects.names).toEqual(['b']);
  });

  it('I32: one that may not be lost again runs beside no other suspect, to its end', async () => {
    const suspects = new Suspects();
    suspects.wait('a', { staysSuspect: true });
    await suspects.grant();
    await suspects.world.clock.advance(5_000);
    suspects.wait('last', { suspicion: 3, isAlone: true, staysSuspect: true });
    await suspects.grant();
    expect(suspects.names).toEqual(['a']);
    await suspects.end('a');
    expect(suspects.names).toEqual(['last']);
    suspects.wait('b');
    await suspects.grant();
    await suspects.world.clock.advance(600_000);
    expect(suspects.names).toEqual(['last']);
    expect(suspects.passed).toEqual(['a']);
    await suspects.end('last');
    expect(suspects.names).toEqual(['b']);
  });

  it('I33: hold up nobody else, and one whose stage is at its limit holds up no other suspect', async () => {
    const suspects = new Suspects();
    suspects.world.take('card/a');
    suspects.wait('a', {}, 1);
    suspects.wait('b');
    suspects.world.wait('card/plain', 'plain');
    await suspects.grant();
    expect(suspects.names).toEqual(['b']);
    expect(suspects.world.granted).toEqual(['plain']);
    expect(suspects.world.slots.mayEnter('card/other', specOf(null))).toBe(true);
  });

  it('that leave the line are forgotten', async () => {
    const suspects = new Suspects();
    const waiter = suspects.wait('a');
    suspects.world.slots.leave(waiter);
    suspects.world.slots.leave(waiter);
    await suspects.grant();
    expect(suspects.names).toEqual([]);
    expect([suspects.world.slots.waiting, suspects.world.slots.suspectsWaiting]).toEqual([0, 0]);
  });
});
