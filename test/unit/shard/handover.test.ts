import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { EngineConfig } from '../../../src/core/config.ts';
import { definePipeline, RetryableError, type StageContext } from '../../../src/index.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { Gate, tapJournal } from '../../support/port-taps.ts';
import { ShardWorld } from '../../support/shard-world.ts';

/** How a driver takes its abort. */
type OnAbort = 'throws' | 'ignores' | 'returns' | 'saysNothingDone' | 'rethrowsReason';

/** A stage that works until a test ends it. */
class LongStage {
  readonly started: string[] = [];
  readonly keys = new Set<string>();
  onAbort: OnAbort = 'throws';
  /** What the driver says about an attempt that was cut off. */
  answer: 'notDone' | 'done' = 'notDone';
  asked = 0;
  #finish: (() => void)[] = [];

  readonly run = (ctx: StageContext): Promise<unknown> => {
    this.started.push(`${ctx.taskId}/${ctx.attempt}`);
    this.keys.add(ctx.idempotencyKey);
    return new Promise((resolve, reject) => {
      this.#finish.push(() => resolve('done'));
      ctx.signal.addEventListener('abort', () => {
        if (this.onAbort === 'throws') reject(new Error('aborted'));
        if (this.onAbort === 'returns') resolve('half done');
        if (this.onAbort === 'saysNothingDone') reject(new RetryableError('not begun'));
        if (this.onAbort === 'rethrowsReason') reject(ctx.signal.reason as Error);
      });
    });
  };

  readonly lookup = (): Promise<{ kind: 'notDone' } | { kind: 'done'; output: string }> => {
    this.asked += 1;
    return Promise.resolve(this.answer === 'done' ? { kind: 'done', output: 'found' } : { kind: 'notDone' });
  };

  finish(): void {
    for (const end of this.#finish.splice(0)) end();
  }
}

type Kind = 'idempotent' | 'atMostOnce' | 'lookup';

function pipelineOf(stage: LongStage, kind: Kind) {
  const { run, lookup } = stage;
  const driver = { execute: (ctx: unknown) => run(ctx as StageContext), ...(kind === 'lookup' ? { lookup } : {}) };
  return definePipeline({
    name: 'card',
    version: 1,
    input: z.string(),
    stages: (pipeline) =>
      pipeline.stage('work', {
        output: z.any(),
        driver: driver as never,
        retry: { maxAttempts: 1 },
        timeoutMs: 600_000,
        effect: kind === 'atMostOnce' ? 'atMostOnce' : 'idempotent',
        // A stage's own view of its errors says nothing about the abort, which is the engine's.
        classify: (error) => (error.message.includes('handed over') ? { class: 'retryable' } : undefined),
      }),
  });
}

async function working(kind: Kind, config: Partial<EngineConfig> = {}) {
  const stage = new LongStage();
  const pipelines = [pipelineOf(stage, kind)];
  const world = new ShardWorld({ pipelines, config: { abortGraceMs: 1_000, ...config } });
  const gate = new Gate();
  const journal = tapJournal(world.test.journal, async (call, make) => {
    if (call === 'journal.append') await gate.pass();
    return make();
  });
  let engine = world.engine('node-1', { journal });
  await world.test.run(engine.start());
  await world.answer(world.submit('a'));
  let nodes = 1;
  return {
    stage,
    world,
    gate,
    engine: () => engine,
    /** Ends the node in good order, its grace over at once, and starts the next one. */
    handOver: async () => {
      await world.test.run(engine.stop({ graceMs: 0 }));
      nodes += 1;
      engine = world.engine(`node-${nodes}`);
      await world.test.run(engine.start());
      await world.clock.advance(10);
    },
    task: async () => {
      const reply = await world.answer(world.get('a'));
      if (reply.kind !== 'task') throw new Error(`got ${reply.kind}`);
      return reply.task;
    },
    report: async () => {
      const { test } = world;
      return checkJournal(await test.run(readWholeJournal(test.journal, test.config.shardCount)), pipelines);
    },
  };
}

describe('a stage that a handover cuts off', () => {
  it('R-IDEM-1, R-RETRY-2, I20: goes on with the next owner as a new attempt with the same key, and nothing is counted against it', async () => {
    const { stage, world, handOver, task, report } = await working('idempotent');
    for (let round = 0; round < 6; round += 1) await handOver();
    expect(stage.started).toEqual(['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/6', 'a/7']);
    expect(stage.keys.size).toBe(1);
    // More handovers than attempts and interruptions are allowed.
    expect(await task()).toMatchObject({
      state: 'work.running',
      stages: [{ attempts: 7, interruptions: 0, handovers: 6 }],
    });
    stage.finish();
    await world.untilState('a', 'completed');
    const { violations, records } = await report();
    expect(violations).toEqual([]);
    expect(records.map(({ event }) => event.type).filter((type) => type === 'owner.changed')).toEqual([]);
    const labels = { pipeline: 'card', stage: 'work', decision: 'rerun' };
    expect(world.test.metrics.value('stages_released_total', labels)).toBe(6);
  });

  it('R-CORE-3: starts with its next owner at once', async () => {
    const { stage, world, engine } = await working('idempotent');
    await world.test.run(engine().stop({ graceMs: 0 }));
    const startedMs = world.clock.monotonicMs();
    await world.test.run(world.engine('node-2').start());
    await world.clock.advance(0);
    expect(stage.started).toEqual(['a/1', 'a/2']);
    expect(world.clock.monotonicMs()).toBe(startedMs);
  });

  it.each<[OnAbort]>([['throws'], ['returns'], ['rethrowsReason']])(
    'R-IDEM-3: is parked when it is atMostOnce and its driver %s: its effect may have happened',
    async (onAbort) => {
      const { stage, handOver, task } = await working('atMostOnce');
      stage.onAbort = onAbort;
      await handOver();
      expect(await task()).toMatchObject({ state: 'work.unknown', stages: [{ interruptions: 0, handovers: 1 }] });
      expect(stage.started).toEqual(['a/1']);
    },
  );

  it('R-IDEM-1: goes on although it is atMostOnce, when its driver says by its error that nothing was done', async () => {
    const { stage, handOver, task } = await working('atMostOnce');
    stage.onAbort = 'saysNothingDone';
    await handOver();
    expect(await task()).toMatchObject({ state: 'work.running', attempt: 2, stages: [{ handovers: 1 }] });
  });

  it.each([
    ['notDone', 'work.running', ['a/1', 'a/2']],
    ['done', 'completed', ['a/1']],
  ] as const)('R-IDEM-1: is asked about by its next owner when it has a lookup: %s', async (answer, state, started) => {
    const { stage, handOver, task } = await working('lookup');
    stage.answer = answer;
    await handOver();
    expect(await task()).toMatchObject({ state, stages: [{ interruptions: 0, handovers: 1 }] });
    expect(stage.started).toEqual(started);
    expect(stage.asked).toBe(1);
  });

  it('R-FAIL-1: is a loss of unknown outcome when its driver ignores the abort, for it may still run', async () => {
    const { stage, handOver, task } = await working('idempotent');
    stage.onAbort = 'ignores';
    await handOver();
    expect(await task()).toMatchObject({ attempt: 2, stages: [{ interruptions: 1, handovers: 0 }] });
  });

  it('R-FAIL-1: is a loss when the process dies between the abort and its record', async () => {
    const { stage, world, gate, engine, task } = await working('idempotent');
    gate.shut();
    void engine().stop({ graceMs: 0 });
    await world.clock.advance(10);
    await engine().abandon();
    await world.test.run(world.engine('node-1').start());
    await world.clock.advance(10);
    expect(stage.started).toEqual(['a/1', 'a/2']);
    expect(await task()).toMatchObject({ attempt: 2, stages: [{ interruptions: 1, handovers: 0 }] });
  });

  it('R-RETRY-2: counts as an interruption after maxHandovers, so that nothing is cut off without end', async () => {
    const { handOver, task } = await working('idempotent', { maxHandovers: 2, maxInterruptions: 1 });
    for (let round = 0; round < 3; round += 1) await handOver();
    expect(await task()).toMatchObject({ state: 'work.running', stages: [{ interruptions: 1, handovers: 2 }] });
    await handOver();
    expect(await task()).toMatchObject({
      state: 'deadLettered.work',
      failure: { class: 'interrupted', message: 'stage work was running at 2 losses of its owner' },
    });
  });

  it('R-SUM-1: is released untouched when its start was on the way to the journal as the grace ran out', async () => {
    const { world, stage, gate, engine, task } = await working('atMostOnce');
    gate.shut();
    world.submit('b');
    await world.clock.advance(10);
    void engine().stop({ graceMs: 100 });
    await world.clock.advance(200);
    gate.open();
    await world.clock.advance(2_000);
    await world.test.run(world.engine('node-2').start());
    await world.clock.advance(10);
    // `a` ran, and its effect may have happened; `b` was never called, so that it goes on.
    expect((await task()).state).toBe('work.unknown');
    expect(stage.started).toEqual(['a/1', 'b/2']);
  });

  it('that is to pause is held', async () => {
    const { world, handOver, task } = await working('idempotent');
    await world.answer(world.control('pause', 'a'));
    await handOver();
    expect(await task()).toMatchObject({ state: 'work.held', stages: [{ handovers: 1 }] });
  });
});
