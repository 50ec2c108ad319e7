import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { EngineConfig } from '../../../src/core/config.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { definePipeline, FatalError, RetryableError, type StageContext } from '../../../src/index.ts';
import { TestEngine } from '../../../src/testing.ts';

/** An integration that answers after a moment, or fails while it is down; it counts its calls. */
class Integration {
  readonly calls: { readonly taskId: string; readonly failed: boolean }[] = [];
  /** What a call throws while it is set; `hang` never answers. */
  trouble: (() => Error) | 'hang' | null = null;
  test: TestEngine | null = null;

  readonly call = async (ctx: StageContext): Promise<string> => {
    const { trouble } = this;
    this.calls.push({ taskId: ctx.taskId, failed: trouble !== null });
    await new Promise<void>((resolve, reject) => {
      ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error));
      if (trouble !== 'hang') this.test?.clock.setTimer(5, resolve);
    });
    if (typeof trouble === 'function') throw trouble();
    return 'done';
  };

  get failures(): number {
    return this.calls.filter(({ failed }) => failed).length;
  }
}

const maxAttempts = 3;
const breakerFailureThreshold = 10;
const maxRunningStages = 8;

async function served(settings: Partial<EngineConfig> = {}) {
  const board = new Integration();
  const mail = new Integration();
  const stage = {
    output: z.any(),
    retry: { maxAttempts, initialDelayMs: 100, factor: 1, maxDelayMs: 100, jitter: 0 },
    timeoutMs: 1_000,
  };
  const card = definePipeline({
    name: 'card',
    version: 1,
    input: z.any(),
    stages: (pipeline) =>
      pipeline
        .stage('parse', { ...stage, driver: () => 'parsed' })
        .stage('publish', { ...stage, port: 'board', driver: board.call as never }),
  });
  const letter = definePipeline({
    name: 'letter',
    version: 1,
    input: z.any(),
    stages: (pipeline) => pipeline.stage('send', { ...stage, port: 'mail', driver: mail.call as never }),
  });
  const test = await TestEngine.start({
    pipelines: [card, letter],
    config: { shardCount: 4, maxRunningStages, breakerFailureThreshold, abortGraceMs: 0, ...settings },
  });
  board.test = test;
  mail.test = test;
  const submit = async (pipeline: typeof card | typeof letter, prefix: string, count: number) => {
    const ids = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
    const sent = ids.map((taskId) => test.client.submit(pipeline as typeof card, taskId, { taskId }));
    return (await test.run(Promise.all(sent))).map(({ taskId }) => taskId);
  };
  const statusesOf = async (ids: Awaited<ReturnType<typeof submit>>) => {
    const tasks = await test.run(Promise.all(ids.map((taskId) => test.client.get(taskId))));
    return new Set(tasks.map(({ state }) => state));
  };
  const isOpen = (port = 'board'): number => test.metrics.value('port_breaker_open', { port });
  return { test, card, letter, board, mail, submit, statusesOf, isOpen };
}

const refused = (): Error => new RetryableError('the board is down');

describe('a port that is down for a while', () => {
  it('R-FAIL-2: costs no more tries than the threshold, what ran then, and the probes; every task of 200 completes', async () => {
    const { test, card, board, submit, statusesOf, isOpen } = await served();
    board.trouble = refused;
    const ids = await submit(card, 'card', 200);
    await test.advance(30_000);
    // Probes after 1, 3, 7 and 15 seconds.
    expect(board.failures).toBeGreaterThanOrEqual(breakerFailureThreshold + 4);
    expect(board.failures).toBeLessThanOrEqual(breakerFailureThreshold + (maxRunningStages - 1) + 4);
    expect(isOpen()).toBe(1);
    expect(await statusesOf(ids)).toEqual(new Set(['publish.queued']));
    board.trouble = null;
    // The probe after 31 seconds finds it healed.
    await test.advance(10_000);
    expect(await statusesOf(ids)).toEqual(new Set(['completed']));
    expect(board.calls.length - board.failures).toBe(200);
    expect(isOpen()).toBe(0);
    expect(test.metrics.value('port_breaker_opened_total', { port: 'board' })).toBe(1);
    expect(test.metrics.value('tasks_total', { outcome: 'deadLettered' })).toBe(0);
    expect(test.logger.messages('warn')).toEqual(['a port fails; its stages are held back']);
    expect(test.logger.messages('info')).toContain('a port works again; its stages go on');
    await test.stop();
  });

  it('R-FAIL-2: delays no stage of another port and none without one', async () => {
    const { test, card, letter, board, submit, statusesOf } = await served();
    board.trouble = refused;
    await submit(card, 'card', 200);
    await test.advance(2_000);
    const letters = await submit(letter, 'letter', 50);
    const cards = await submit(card, 'late', 50);
    await test.advance(50);
    // 50 letters of 5 ms on 8 slots.
    expect(await statusesOf(letters)).toEqual(new Set(['completed']));
    // Those that come later are through the stage before, and wait at the one that is held back.
    expect(await statusesOf(cards)).toEqual(new Set(['publish.queued']));
    await test.kill();
  });

  it('R-FAIL-2: that hangs holds its stages back too: a timeout is a failure of the port', async () => {
    const { test, card, board, submit, statusesOf, isOpen } = await served({ breakerFailureThreshold: 3 });
    board.trouble = 'hang';
    const ids = await submit(card, 'card', 20);
    await test.advance(1_500);
    expect(isOpen()).toBe(1);
    expect(board.failures).toBeLessThanOrEqual(3 + (maxRunningStages - 1));
    board.trouble = null;
    await test.advance(10_000);
    expect(await statusesOf(ids)).toEqual(new Set(['completed']));
    await test.stop();
  });

  it('R-FAIL-2: gives what waits for it to the next owner, who finds out by itself', async () => {
    const { test, card, board, submit, statusesOf, isOpen } = await served();
    board.trouble = refused;
    const ids = await submit(card, 'card', 40);
    await test.advance(2_000);
    expect(isOpen()).toBe(1);
    await test.stop();
    board.trouble = null;
    await test.restart();
    await test.advance(1_000);
    expect(await statusesOf(ids)).toEqual(new Set(['completed']));
    await test.stop();
  });

  it('R-FAIL-2: is probed by another task when the one that probes is canceled', async () => {
    const { test, card, board, submit, statusesOf } = await served({ breakerFailureThreshold: 1 });
    board.trouble = refused;
    const ids = await submit(card, 'card', 3);
    await test.advance(900);
    const before = board.calls.length;
    board.trouble = 'hang';
    await test.advance(200);
    expect(board.calls).toHaveLength(before + 1);
    const probing = ids.find((id) => id === board.calls.at(-1)?.taskId) as TaskId;
    board.trouble = null;
    await test.run(test.client.cancel(probing));
    await test.advance(1_000);
    expect(await statusesOf(ids)).toEqual(new Set(['canceled', 'completed']));
    await test.stop();
  });
});

describe('a port that answers', () => {
  it('R-FAIL-2: is not held back for what it refuses for good: the tasks are dead-lettered one by one', async () => {
    const { test, card, board, submit, statusesOf, isOpen } = await served();
    board.trouble = () => new FatalError('no such board');
    const ids = await submit(card, 'card', 30);
    await test.advance(1_000);
    expect(await statusesOf(ids)).toEqual(new Set(['deadLettered.publish']));
    expect([isOpen(), board.calls.length]).toEqual([0, 30]);
    await test.stop();
  });

  it('is not held back for stages that were canceled', async () => {
    const { test, card, board, submit, isOpen } = await served({ breakerFailureThreshold: 1 });
    board.trouble = 'hang';
    const ids = await submit(card, 'card', 5);
    await test.advance(10);
    for (const id of ids) await test.run(test.client.cancel(id));
    await test.advance(500);
    expect([isOpen(), board.calls.length]).toEqual([0, 5]);
    await test.stop();
  });
});
