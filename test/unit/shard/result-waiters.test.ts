import { describe, expect, it } from 'vitest';

import type { Reply } from '../../../src/core/replies.ts';
import { maximumWaiters, type ResultWaiter, ResultWaiters } from '../../../src/shard/result-waiters.ts';
import { VirtualClock } from '../../../src/testing.ts';
import { taskOf } from '../../support/shard-kit.ts';

const task = taskOf('t');
const pending = (): Reply => ({ kind: 'pending', taskId: task, state: 'parse.running' });
const gone: Reply = { kind: 'error', error: { code: 'NO_OWNER', message: 'gone', retryable: true } };

function into(replies: Reply[], brief = false): ResultWaiter {
  return { brief, respond: (reply) => replies.push(reply) };
}

function waitAll(count: number, waitMs: number) {
  const clock = new VirtualClock();
  const waiters = new ResultWaiters(clock);
  const replies: Reply[] = [];
  for (let index = 0; index < count; index += 1) waiters.wait(task, waitMs, pending, into(replies));
  return { clock, waiters, replies };
}

describe('those who wait for a result', () => {
  it('are told pending when their time is over, with the state at that moment', async () => {
    const clock = new VirtualClock();
    const waiters = new ResultWaiters(clock);
    const replies: Reply[] = [];
    let state = 'parse.running';
    waiters.wait(task, 1_000, () => ({ kind: 'pending', taskId: task, state }), into(replies));
    state = 'publish.running';
    await clock.advance(999);
    expect(replies).toEqual([]);
    await clock.advance(1);
    expect(replies).toEqual([{ kind: 'pending', taskId: task, state: 'publish.running' }]);
  });

  it('are all answered once when the task ends, and no timer is left', async () => {
    const { clock, waiters, replies } = waitAll(3, 1_000);
    waiters.settle(task, () => gone);
    waiters.settle(task, () => gone);
    await clock.advance(10_000);
    expect(replies).toEqual([gone, gone, gone]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('get the form that they asked for, each form made once', () => {
    const { waiters, replies } = waitAll(2, 1_000);
    const briefReplies: Reply[] = [];
    for (let index = 0; index < 2; index += 1) waiters.wait(task, 1_000, pending, into(briefReplies, true));
    const made: boolean[] = [];
    waiters.settle(task, (brief) => {
      made.push(brief);
      return brief ? pending() : gone;
    });
    expect(made).toEqual([false, true]);
    expect(replies).toEqual([gone, gone]);
    expect(briefReplies).toEqual([pending(), pending()]);
  });

  it('are told pending one by one, each within a moment of its own time, over one timer', async () => {
    const clock = new VirtualClock();
    const waiters = new ResultWaiters(clock);
    const at: number[] = [];
    const waits = [400, 100, 300, 101, 5_000];
    for (const waitMs of waits) {
      waiters.wait(task, waitMs, pending, { brief: false, respond: () => at.push(clock.monotonicMs() - waitMs) });
      expect(clock.pendingTimers).toBe(1);
    }
    await clock.advance(6_000);
    expect(at).toHaveLength(waits.length);
    expect(Math.min(...at)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...at)).toBeLessThanOrEqual(25);
    expect(clock.pendingTimers).toBe(0);
  });

  it('do not hear of the end of another task', () => {
    const { waiters, replies } = waitAll(1, 1_000);
    waiters.settle(taskOf('other'), () => gone);
    expect(replies).toEqual([]);
  });

  it('with no time are told pending at once', () => {
    expect(waitAll(2, 0).replies).toEqual([pending(), pending()]);
  });

  it('over the limit are told pending at once, and there is room again when others have left', async () => {
    const { clock, waiters, replies } = waitAll(maximumWaiters + 5, 1_000);
    expect(replies).toHaveLength(5);
    await clock.advance(1_000);
    expect(replies).toHaveLength(maximumWaiters + 5);
    waiters.wait(task, 1_000, pending, into(replies));
    expect(replies).toHaveLength(maximumWaiters + 5);
  });

  it('NO_OWNER: are all answered when the shard is given up', async () => {
    const { clock, waiters, replies } = waitAll(2, 1_000);
    waiters.wait(taskOf('other'), 1_000, pending, into(replies));
    waiters.close(gone);
    await clock.advance(10_000);
    expect(replies).toEqual([gone, gone, gone]);
  });
});
