import { describe, expect, it } from 'vitest';
import { Mailbox } from '../../../src/actors/mailbox.ts';

describe('a mailbox', () => {
  it('gives its items in the order in which they came, and then none', () => {
    const mailbox = new Mailbox<number>(3);
    for (const item of [1, 2, 3]) expect(mailbox.offer(item)).toBe(true);
    expect([mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take()]).toEqual([1, 2, 3, undefined]);
    expect(mailbox.size).toBe(0);
  });

  it('R-FAIL-1: refuses what is over its capacity and keeps none of it, until there is room', () => {
    const mailbox = new Mailbox<string>(2);
    expect([mailbox.offer('a'), mailbox.offer('b'), mailbox.offer('c')]).toEqual([true, true, false]);
    expect(mailbox.size).toBe(2);
    expect(mailbox.take()).toBe('a');
    expect(mailbox.offer('d')).toBe(true);
    expect([mailbox.take(), mailbox.take(), mailbox.take()]).toEqual(['b', 'd', undefined]);
  });

  it('takes an outcome also when it is full, behind what waits', () => {
    const mailbox = new Mailbox<string>(1);
    mailbox.push('first');
    mailbox.push('second');
    expect(mailbox.offer('refused')).toBe(false);
    expect([mailbox.size, mailbox.take(), mailbox.take(), mailbox.take()]).toEqual([2, 'first', 'second', undefined]);
  });

  it('keeps an item that is undefined apart from none by its size', () => {
    const mailbox = new Mailbox<undefined>(1);
    mailbox.offer(undefined);
    expect(mailbox.size).toBe(1);
    mailbox.take();
    expect(mailbox.size).toBe(0);
  });
});
