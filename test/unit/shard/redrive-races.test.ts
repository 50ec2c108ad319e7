import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import { createClient, type Client } from '../../../src/client.ts';
import { FatalError, type StageContext } from '../../../src/index.ts';
import type { RequestOutcome } from '../../../src/ports/bus.ts';
import { TestEngine } from '../../../src/testing.ts';
import { aPipeline, commitsOf } from '../../support/shard-kit.ts';

/** A dead letter, two clients, and an outside that can be mended. */
class RedriveWorld {
  readonly test: TestEngine;
  readonly runs: string[] = [];
  /** Replies to these clients are lost until it is 0. */
  repliesToLose = 0;
  isBroken = true;
  /** Redrives are sent when it resolves. */
  redrivesWaitFor: Promise<void> | null = null;
  waitingRedrives = 0;
  readonly pipeline = aPipeline({ stages: ['parse'], maxAttempts: 1, run: (ctx) => this.#drive(ctx) });

  private constructor(config: Partial<EngineConfig>) {
    this.test = TestEngine.create({ pipelines: [this.pipeline], config });
  }

  /** A world in which these tasks are dead-lettered. */
  static async withDeadLetters(taskIds: readonly string[], config: Partial<EngineConfig> = {}): Promise<RedriveWorld> {
    const world = new RedriveWorld(config);
    await world.test.restart();
    const { client } = world.test;
    await world.test.run(Promise.all(taskIds.map((taskId) => client.submit(world.pipeline, 'in', { taskId }))));
    const results = taskIds.map((taskId) => client.result(world.pipeline, taskId));
    for (const result of await world.test.run(Promise.allSettled(results))) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'TASK_FAILED' } });
    }
    world.isBroken = false;
    world.runs.length = 0;
    return world;
  }

  /** Another client, whose replies may be lost. */
  client(): Client {
    const { bus, clock, random, config, journal, blobs } = this.test;
    const request = async (...args: Parameters<typeof bus.request>): Promise<RequestOutcome> => {
      if (this.redrivesWaitFor !== null && Buffer.from(args[1]).includes('task.redrive')) {
        this.waitingRedrives += 1;
        await this.redrivesWaitFor;
      }
      const outcome = await bus.request(...args);
      if (outcome.kind !== 'reply' || this.repliesToLose === 0) return outcome;
      this.repliesToLose -= 1;
      return { kind: 'disconnected' };
    };
    const { namespace, shardCount } = config;
    const lossy = { request, serve: bus.serve.bind(bus) };
    return createClient({ bus: lossy, clock, random, namespace, shardCount, journal, blobs, deadlineMs: 300_000 });
  }

  /** How often the journal says that the task was redriven. */
  async redrivesOf(taskId: string): Promise<number> {
    const commits = await this.test.run(commitsOf(this.test.journal));
    return commits
      .flatMap(({ commit }) => commit.records)
      .filter(({ task, event }) => task === taskId && event.type === 'task.redriven').length;
  }

  #drive(ctx: StageContext): string {
    this.runs.push(ctx.taskId);
    if (this.isBroken) throw new FatalError('out of order');
    return 'done';
  }
}

describe('a redrive', () => {
  it('R-IDEM-1 I30: with one id by two clients at once takes effect once, and both are told so', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    const answers = await world.test.run(
      Promise.all([world.client(), world.client()].map((client) => client.redrive('a', { commandId: 'r-1' }))),
    );
    expect(answers.filter(({ repeated }) => repeated)).toHaveLength(1);
    await world.test.result(world.pipeline, 'a' as never);
    expect(await world.redrivesOf('a')).toBe(1);
    expect(world.runs).toEqual(['a']);
  });

  it('R-IDEM-1 I30: with two ids by two clients at once takes effect once; the other is refused: NOT_ALLOWED', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    const answers = await world.test.run(
      Promise.allSettled(['r-1', 'r-2'].map((commandId) => world.client().redrive('a', { commandId }))),
    );
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(answers[1]).toMatchObject({ reason: { code: 'NOT_ALLOWED' } });
    expect(await world.redrivesOf('a')).toBe(1);
  });

  it('R-IDEM-1 I30: whose answer is lost is sent again with its id, and takes effect once', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    world.repliesToLose = 2;
    const answer = await world.test.run(world.client().redrive('a', { commandId: 'r-1' }));
    expect(answer).toMatchObject({ repeated: true });
    expect(world.repliesToLose).toBe(0);
    expect(await world.redrivesOf('a')).toBe(1);
    expect(world.runs).toEqual(['a']);
  });

  it('R-IDEM-1 I30: whose answer is lost with its owner takes effect once', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    world.repliesToLose = 1;
    const sent = world.client().redrive('a', { commandId: 'r-1' });
    await world.test.clock.runUntil(() => world.repliesToLose === 0);
    await world.test.kill();
    await world.test.restart();
    expect(await world.test.run(sent)).toMatchObject({ repeated: true });
    expect(await world.redrivesOf('a')).toBe(1);
  });

  it('R-WRK-2 I30: during a handoff is answered by the old owner or the next, and takes effect once', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    const old = world.test.engine;
    const client = world.client();
    const sent = Promise.all(['r-1', 'r-1'].map((commandId) => client.redrive('a', { commandId })));
    const stopped = old?.stop({ graceMs: 0 });
    const late = client.redrive('a', { commandId: 'r-1' });
    await world.test.run(stopped ?? Promise.resolve());
    await world.test.restart();
    const answers = await world.test.run(Promise.all([sent, late]));
    expect(answers.flat().filter(({ repeated }) => !repeated)).toHaveLength(1);
    await world.test.result(world.pipeline, 'a' as never);
    expect(await world.redrivesOf('a')).toBe(1);
  });

  it('NOT_ALLOWED of a task that has succeeded meanwhile; the id that sent it back is answered as it was', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    await world.test.run(world.client().redrive('a', { commandId: 'r-1' }));
    await world.test.result(world.pipeline, 'a' as never);
    const again = world.test.run(world.client().redrive('a', { commandId: 'r-2' }));
    await expect(again).rejects.toMatchObject({ code: 'NOT_ALLOWED', got: 'completed' });
    expect(await world.test.run(world.client().redrive('a', { commandId: 'r-1' }))).toMatchObject({ repeated: true });
    expect(world.runs).toEqual(['a']);
    expect(await world.redrivesOf('a')).toBe(1);
  });

  it('NOT_ALLOWED I31: that comes after the task has failed anew does not send back what its sender has not seen', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    const seen = await world.test.run(world.client().get('a'));
    world.isBroken = true;
    const first = { commandId: 'r-1', expectedSeq: seen.seq };
    await world.test.run(world.client().redrive('a', first));
    await expect(world.test.result(world.pipeline, 'a' as never)).rejects.toMatchObject({ code: 'TASK_FAILED' });
    // The second operator saw the first dead letter too; the command took its time.
    const late = world.test.run(world.client().redrive('a', { commandId: 'r-2', expectedSeq: seen.seq }));
    await expect(late).rejects.toMatchObject({ code: 'NOT_ALLOWED', field: 'expectedSeq', got: String(seen.seq) });
    expect(await world.redrivesOf('a')).toBe(1);
    // A repeat of what took effect is answered as it was.
    expect(await world.test.run(world.client().redrive('a', first))).toMatchObject({ repeated: true });
    const now = await world.test.run(world.client().get('a'));
    await world.test.run(world.client().redrive('a', { commandId: 'r-3', expectedSeq: now.seq }));
    expect(await world.redrivesOf('a')).toBe(2);
  });

  it('NOT_ALLOWED I31: that comes late is refused by the next owner, who has read the task anew', async () => {
    const world = await RedriveWorld.withDeadLetters(['a']);
    const { seq: expectedSeq } = await world.test.run(world.client().get('a'));
    world.isBroken = true;
    await world.test.run(world.client().redrive('a', { commandId: 'r-1', expectedSeq }));
    await expect(world.test.result(world.pipeline, 'a' as never)).rejects.toMatchObject({ code: 'TASK_FAILED' });
    await world.test.kill();
    // Sent while nobody serves the shard: it waits for the next owner.
    const late = world.client().redrive('a', { commandId: 'r-2', expectedSeq });
    const outcome = expect(late).rejects.toMatchObject({ code: 'NOT_ALLOWED', field: 'expectedSeq' });
    await world.test.restart();
    await world.test.run(outcome);
    expect(await world.redrivesOf('a')).toBe(1);
  });

  it('I31: of all dead letters whose command is held up sends none back that has failed anew', async () => {
    const world = await RedriveWorld.withDeadLetters(['a', 'b']);
    let letGo = (): void => {};
    world.redrivesWaitFor = new Promise((resolve) => (letGo = resolve));
    const held = world.client().deadLetters.redrive({ all: true }, { deadlineMs: 300_000 });
    await world.test.clock.runUntil(() => world.waitingRedrives === 2);
    world.redrivesWaitFor = null;
    world.isBroken = true;
    await world.test.run(world.client().redrive('a', { commandId: 'r-1' }));
    await expect(world.test.result(world.pipeline, 'a' as never)).rejects.toMatchObject({ code: 'TASK_FAILED' });
    letGo();
    expect(await world.test.run(held)).toMatchObject([
      { kind: 'error', taskId: 'a', error: { code: 'NOT_ALLOWED', field: 'expectedSeq' } },
      { kind: 'done', taskId: 'b' },
    ]);
    expect(await world.redrivesOf('a')).toBe(1);
    expect(await world.redrivesOf('b')).toBe(1);
  });

  it('R-IDEM-1 I31: of all dead letters by two clients at once, over an end of the owner in the middle, sends each back once', async () => {
    const taskIds = Array.from({ length: 60 }, (_, index) => `t-${index}`);
    const world = await RedriveWorld.withDeadLetters(taskIds);
    const bulks = Promise.all(
      [world.client(), world.client()].map((client) =>
        client.deadLetters.redrive({ all: true }, { deadlineMs: 300_000 }),
      ),
    );
    await world.test.clock.runUntil(() => world.runs.length >= 20);
    await world.test.kill();
    await world.test.restart();
    const outcomes = (await world.test.run(bulks)).flat();
    expect(outcomes.filter(({ kind }) => kind === 'error')).toEqual([]);
    for (const taskId of taskIds) {
      await world.test.result(world.pipeline, taskId as never);
      expect([taskId, await world.redrivesOf(taskId)]).toEqual([taskId, 1]);
    }
  });
});
