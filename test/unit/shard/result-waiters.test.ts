import { describe, expect, it } from 'vitest';

import type { Reply } from '../../../src/core/replies.ts';
import { maximumWaiters, ResultWaiters } from '../../../src/shard/result-waiters.ts';
import { VirtualClock } from '../../../src/testing.ts';
import { taskOf } from '../../support/shard-kit.ts';

const task = taskOf('t');
const pending = (): Reply => ({ kind: 'pending', taskId: task, state: 'parse.running' });
const gone: Reply = { kind: 'error', error: { code: 'NO_OWNER', message: 'gone', retryable: true } };

function waitAll(count: number, waitMs: number) {
  const clock = new VirtualClock();
  const waiters = new ResultWaiters(clock);
  const replies: Reply[] = [];
  for (let index = 0; index < count; index += 1) waiters.wait(task, waitMs, pending, (reply) => replies.push(reply));
  return { clock, waiters, replies };
}

describe('those who wait for a result', () => {
  it('are told pending when their time is over, with the state at that moment', async () => {
    const clock = new VirtualClock();
    const waiters = new ResultWaiters(clock);
    const replies: Reply[] = [];
    let state = 'parse.running';
    waiters.wait(
      task,
      1_000,
      () => ({ kind: 'pending', taskId: task, state }),
      (reply) => replies.push(reply),
    );
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
    waiters.wait(task, 1_000, pending, (reply) => replies.push(reply));
    expect(replies).toHaveLength(maximumWaiters + 5);
  });

  it('NO_OWNER: are all answered when the shard is given up', async () => {
    const { clock, waiters, replies } = waitAll(2, 1_000);
    waiters.wait(taskOf('other'), 1_000, pending, (reply) => replies.push(reply));
    waiters.close(gone);
    await clock.advance(10_000);
    expect(replies).toEqual([gone, gone, gone]);
  });
});
