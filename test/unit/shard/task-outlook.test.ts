import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { EngineConfig } from '../../../src/core/config.ts';
import type { StageWait, TaskOutlook } from '../../../src/core/task-outlook.ts';
import { definePipeline, RetryableError, type StageContext } from '../../../src/index.ts';
import type { SlotWaiter } from '../../../src/shard/stage-slots.ts';
import { TestEngine } from '../../../src/testing.ts';
import { explainOneTask } from '../../../src/client/explain-one-task.ts';
import { taskOf } from '../../support/shard-kit.ts';
import { SlotWorld, specOf } from '../../support/slot-world.ts';

const kinds = (waits: readonly StageWait[]): readonly string[] => waits.map(({ kind }) => kind);

describe('what a stage in line waits for', () => {
  it('is its own limit, its node’s limit, or both', () => {
    const world = new SlotWorld(2);
    world.take('card/print');
    const limited = world.wait('card/print', 'a', 1);
    expect(world.slots.waitsOf(limited)).toEqual([{ kind: 'stageLimit', running: 1, limit: 1 }]);
    world.take('card/send');
    expect(world.slots.waitsOf(limited)).toEqual([
      { kind: 'stageLimit', running: 1, limit: 1 },
      { kind: 'nodeLimit', running: 2, limit: 2 },
    ]);
    expect(world.slots.load).toEqual({ running: 2, limit: 2, waiting: 1, suspectsWaiting: 0 });
  });

  it('is only its turn when nothing else is in its way', () => {
    const world = new SlotWorld(2);
    expect(world.slots.waitsOf(world.wait('card/print', 'a'))).toEqual([{ kind: 'turn' }]);
  });

  it('R-FAIL-2: is a port that fails, until it may be tried, and while another attempt tries it', async () => {
    const world = new SlotWorld(10, { breakerFailureThreshold: 1, breakerOpenMs: 1_000 });
    expect(world.breakers.open).toEqual([]);
    world.take('card/print', 'printer');
    world.release('card/print', 'failed');
    const waiter = world.wait('card/print', 'a', null, 'printer');
    const probeAt = world.clock.now() + 1_000;
    expect(world.slots.waitsOf(waiter)).toEqual([{ kind: 'breaker', port: 'printer', probeAt }]);
    expect(world.breakers.open).toEqual([{ port: 'printer', probeAt }]);
    await world.clock.advance(400);
    expect(world.slots.waitsOf(waiter)).toEqual([{ kind: 'breaker', port: 'printer', probeAt }]);
    world.slots.grant();
    await world.clock.advance(600);
    expect(world.granted).toEqual(['a']);
    const next = world.wait('card/print', 'b', null, 'printer');
    expect(world.slots.waitsOf(next)).toEqual([{ kind: 'breaker', port: 'printer', probeAt: null }]);
    world.release('card/print', 'succeeded');
    expect(kinds(world.slots.waitsOf(next))).toEqual(['turn']);
    expect(world.breakers.open).toEqual([]);
  });

  it('I32: is the suspect in probation; one that must be alone waits for those that have passed too', async () => {
    const world = new SlotWorld(10, { suspectProbationMs: 5_000 });
    const suspect = (label: string, isAlone: boolean, suspicion = 2): SlotWaiter => {
      const waiter: SlotWaiter = {
        key: `card/${label}`,
        spec: specOf(null),
        probation: { suspicion, isAlone, staysSuspect: true },
        onGranted: (slot) => world.slots.startProbation(slot, () => undefined),
      };
      world.slots.wait(waiter);
      return waiter;
    };
    suspect('first', false, 3);
    world.slots.grant();
    const next = suspect('next', false);
    const alone = suspect('alone', true);
    expect(world.slots.waitsOf(next)).toEqual([{ kind: 'suspect', losses: 2, isAlone: false }]);
    expect(world.slots.load.suspectsWaiting).toBe(2);
    world.slots.leave(next);
    await world.clock.advance(5_000);
    // It has passed, and runs on: it is in the way of nobody but the one that must be alone.
    expect(kinds(world.slots.waitsOf(next))).toEqual(['turn']);
    expect(world.slots.waitsOf(alone)).toEqual([{ kind: 'suspect', losses: 2, isAlone: true }]);
  });
});

class Board {
  isDown = false;
  readonly hung: (() => void)[] = [];

  readonly publish = (ctx: StageContext): Promise<string> => {
    if (this.isDown) throw new RetryableError('the board is down');
    return new Promise((resolve, reject) => {
      this.hung.push(() => resolve('done'));
      ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error));
    });
  };
}

async function served(board: Board, config: Partial<EngineConfig>, concurrency: number | null = null) {
  const card = definePipeline({
    name: 'card',
    version: 1,
    input: z.any(),
    stages: (pipeline) =>
      pipeline.stage('publish', {
        output: z.any(),
        driver: board.publish as never,
        retry: { maxAttempts: 5, initialDelayMs: 60_000, factor: 1, maxDelayMs: 60_000, jitter: 0 },
        timeoutMs: 600_000,
        concurrency,
        port: 'board',
      }),
  });
  const test = await TestEngine.start({ pipelines: [card], config: { shardCount: 1, ...config } });
  const submit = (taskId: string) => test.run(test.client.submit(card, taskId, { taskId }));
  const outlook = async (taskId: string): Promise<TaskOutlook | undefined> =>
    (await test.run(test.client.get(taskId))).outlook;
  const why = (taskId: string) =>
    test.run(
      explainOneTask(
        {
          client: test.client,
          clock: test.clock,
          definitions: [],
          recorded: { source: 'journal', find: () => Promise.resolve(null) },
        },
        taskOf(taskId),
      ),
    );
  return { test, submit, outlook, why };
}

describe('the outlook that an owner gives of a task', () => {
  it('has the limits of its stage, the events that it takes, and the limit that holds it', async () => {
    const { submit, outlook, why } = await served(new Board(), {}, 1);
    await submit('one');
    await submit('two');
    expect(await outlook('one')).toMatchObject({
      stage: { concurrency: 1, port: 'board', timeoutMs: 600_000 },
      waits: [],
      lookup: 'none',
    });
    const { legalEvents = [] } = (await outlook('one')) ?? {};
    expect(legalEvents).toContain('stage.completed');
    // A guard refuses it: no pause was asked.
    expect(legalEvents).not.toContain('task.resumed');
    expect((await outlook('two'))?.waits).toEqual([{ kind: 'stageLimit', running: 1, limit: 1 }]);
    expect(await why('two')).toMatchObject({ holds: [{ kind: 'limit', of: 'stage' }], source: 'owner' });
  });

  it('tells the node’s limit from the stage’s', async () => {
    const { submit, why } = await served(new Board(), { maxRunningStages: 1 });
    await submit('one');
    await submit('two');
    expect(await why('two')).toMatchObject({ holds: [{ kind: 'limit', of: 'node', running: 1, limit: 1 }] });
  });

  it('R-FAIL-2: says that the port fails, of those that wait and those that back off, with when it is tried next', async () => {
    const board = new Board();
    board.isDown = true;
    const { test, submit, why } = await served(board, { breakerFailureThreshold: 1, breakerOpenMs: 1_000 });
    await submit('one');
    await test.advance(10);
    await submit('two');
    expect(await why('two')).toMatchObject({ status: 'queued', holds: [{ kind: 'breaker', port: 'board' }] });
    const one = await why('one');
    expect(one).toMatchObject({ status: 'backingOff', holds: [{ kind: 'timer' }, { kind: 'breaker', port: 'board' }] });
    const [timer] = one.holds;
    expect(one.movesAt).toBe(timer?.kind === 'timer' ? timer.dueAt : null);
  });

  it('R-FAIL-2: goes with what the node says of itself: its stages in numbers, and the ports that it holds to fail', async () => {
    const board = new Board();
    board.isDown = true;
    const { test, submit } = await served(board, { breakerFailureThreshold: 1, breakerOpenMs: 1_000 });
    const nodeOf = async () => (await test.run(test.client.cluster.status())).nodes[0];
    expect(await nodeOf()).toMatchObject({ stages: { running: 0, waiting: 0 }, openBreakers: [], openBreakerCount: 0 });
    await submit('one');
    await test.advance(10);
    await submit('two');
    expect(await nodeOf()).toMatchObject({
      stages: { running: 0, limit: 256, waiting: 1, suspectsWaiting: 0 },
      openBreakers: [{ port: 'board', probeAt: expect.any(Number) as number }],
      openBreakerCount: 1,
    });
  });

  it('has neither stage nor events once the task has ended', async () => {
    const { test, submit, outlook } = await served(new Board(), {});
    await submit('one');
    await test.run(test.client.cancel('one'));
    expect(await outlook('one')).toEqual({ stage: null, legalEvents: [], waits: [], lookup: 'none' });
  });
});
