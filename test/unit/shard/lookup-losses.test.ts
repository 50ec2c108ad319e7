import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { EngineConfig } from '../../../src/core/config.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { definePipeline, type StageContext } from '../../../src/index.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import type { Engine } from '../../../src/supervisor/engine.ts';
import { checkJournal, type JournalReport } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { ShardWorld } from '../../support/shard-world.ts';

/** How long the lookup of an innocent takes. */
const lookupMs = 3_000;
const innocents = Array.from({ length: 6 }, (_, index) => `innocent-${index}`);

/** A node whose stages never end, and whose driver is asked about them when it is started again. */
class AskingNode {
  readonly world: ShardWorld;
  readonly pipeline = definePipeline({
    name: 'card',
    version: 1,
    input: z.string(),
    stages: (pipeline) =>
      pipeline.stage('work', {
        output: z.any(),
        driver: {
          execute: (ctx: unknown) => this.#work(ctx as StageContext),
          lookup: (ctx: unknown) => this.#lookUp(ctx as StageContext),
        } as never,
        retry: { maxAttempts: 3 },
        timeoutMs: 600_000,
      }),
  }) as unknown as PipelineDefinition;
  /** Tasks about which the driver was asked, in order. */
  readonly asked: string[] = [];
  deaths = 0;
  /** Whether a lookup of the poison kills its node. */
  isPoisonous = true;
  answer: 'done' | 'unknown' = 'done';
  #process: { readonly engine: Engine; isDead: boolean } | null = null;

  constructor(config: Partial<EngineConfig> = {}) {
    this.world = new ShardWorld({ pipelines: [this.pipeline], config: { maxInterruptions: 3, ...config } });
  }

  get engine(): Engine {
    if (this.#process === null) throw new Error('no process runs');
    return this.#process.engine;
  }

  async start(): Promise<void> {
    const process = {
      engine: this.world.engine('node-1', { ports: { die: () => this.#die(process) } }),
      isDead: false,
    };
    this.#process = process;
    await this.world.test.run(process.engine.start());
  }

  async kill(): Promise<void> {
    await this.engine.abandon();
    await this.start();
  }

  /** Lets it run, and be started again whenever it has died, for so long without a death. */
  async untilQuiet(ms = 60_000): Promise<void> {
    let quietMs = 0;
    while (quietMs < ms) {
      await this.world.test.advance(100);
      quietMs += 100;
      if (this.#process?.isDead !== true) continue;
      if (this.deaths > 50) throw new Error('the node dies and dies');
      await this.start();
      quietMs = 0;
    }
  }

  async report(): Promise<JournalReport> {
    const { journal, config } = this.world.test;
    return checkJournal(await this.world.test.run(readWholeJournal(journal, config.shardCount)), [this.pipeline]);
  }

  #die(process: { readonly engine: Engine; isDead: boolean }): void {
    if (process.isDead) return;
    process.isDead = true;
    this.deaths += 1;
    void process.engine.abandon();
  }

  #work(ctx: StageContext): Promise<unknown> {
    return new Promise((_resolve, reject) => {
      ctx.signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  }

  async #lookUp(ctx: StageContext): Promise<{ kind: 'done'; output: string } | { kind: 'unknown' }> {
    const { taskId } = ctx;
    this.asked.push(taskId);
    if (taskId === 'poison' && this.isPoisonous) (ctx.ports as { readonly die: () => void }).die();
    await new Promise<void>((resolve) => void this.world.clock.setTimer(lookupMs, resolve));
    return this.answer === 'done' ? { kind: 'done', output: 'found' } : { kind: 'unknown' };
  }
}

/** A node with running stages, which is killed: the next one asks about all of them. */
async function begun(
  config: Partial<EngineConfig> = { maxInterruptions: 3, suspectAfterInterruptions: 2 },
): Promise<AskingNode> {
  const node = new AskingNode(config);
  await node.start();
  for (const [index, id] of innocents.entries()) {
    if (index === 2) node.world.submit('poison');
    node.world.submit(id);
  }
  await node.world.test.advance(100);
  await node.kill();
  return node;
}

const lossesOf = (records: readonly TaskRecord[], task: string): readonly unknown[] =>
  records.flatMap((record) =>
    record.task === task && record.event.type === 'owner.changed' ? [record.event.decision.kind] : [],
  );

describe('a lookup that kills its node', { timeout: 60_000 }, () => {
  it('R-FAIL-1, R-IDEM-3, I32: is asked four times, and then the outcome stays unknown until an operator knows it', async () => {
    const node = await begun();
    await node.untilQuiet();
    expect(node.deaths).toBe(4);
    const { tasks, records, violations } = await node.report();
    expect(violations).toEqual([]);
    expect(lossesOf(records, 'poison')).toEqual(['lookup', 'lookup', 'lookup', 'lookup', 'park']);
    expect(tasks.get('poison' as never)?.machine.value).toBe('work.unknown');
    // Restarts ask no more.
    const { length } = node.asked.filter((id) => id === 'poison');
    for (let time = 0; time < 3; time += 1) await node.kill();
    await node.untilQuiet();
    expect(node.deaths).toBe(4);
    expect(node.asked.filter((id) => id === 'poison')).toHaveLength(length);
    expect((await node.report()).violations).toEqual([]);
    expect(node.engine.status.owned).toHaveLength(1);
  });

  it('I33: takes no innocent lookup along: each is answered, and none of them is given up', async () => {
    const node = await begun();
    await node.untilQuiet();
    const { tasks, records } = await node.report();
    for (const id of innocents) {
      expect(tasks.get(id as never)?.machine.value).toBe('completed');
      expect(lossesOf(records, id)).not.toContain('park');
    }
    // Those that are suspected are asked one at a time: each death takes the poison's lookup alone.
    expect(node.asked.slice(-1 - innocents.length)).toContain('poison');
  });

  it('R-IDEM-3: is asked again when an operator sends its task back to work and it is cut off again', async () => {
    const node = await begun();
    await node.untilQuiet();
    node.isPoisonous = false;
    expect(await node.world.answer(node.world.control('redrive', 'poison'))).toMatchObject({ kind: 'done' });
    await node.world.test.advance(100);
    await node.kill();
    await node.untilQuiet();
    const { tasks, violations } = await node.report();
    expect(tasks.get('poison' as never)?.machine.value).toBe('completed');
    expect(violations).toEqual([]);
  });
});

describe('a lookup that is cut off', { timeout: 60_000 }, () => {
  it('R-IDEM-3: by handovers in good order is asked anew each time, and nothing is held against it', async () => {
    const node = await begun({ maxInterruptions: 1, suspectAfterInterruptions: 1 });
    node.isPoisonous = false;
    for (let time = 0; time < 6; time += 1) {
      await node.world.test.run(node.engine.stop({ graceMs: 0 }));
      await node.start();
      await node.world.test.advance(1_000);
    }
    await node.untilQuiet();
    const { tasks, records } = await node.report();
    expect([...tasks.values()].map(({ machine }) => machine.value)).toEqual(
      tasks.size === 7 ? Array(7).fill('completed') : [],
    );
    expect(lossesOf(records, 'poison')).toEqual(['lookup']);
  });

  it('R-IDEM-3: begins its count anew with every answer, also with one that knows nothing', async () => {
    const node = await begun({ maxInterruptions: 1, suspectAfterInterruptions: 1 });
    node.isPoisonous = false;
    node.answer = 'unknown';
    for (let time = 0; time < 4; time += 1) {
      await node.untilQuiet(120_000);
      await node.kill();
    }
    node.answer = 'done';
    await node.untilQuiet(120_000);
    const { tasks, records, violations } = await node.report();
    expect([...tasks.values()].every(({ machine }) => machine.value === 'completed')).toBe(true);
    expect(lossesOf(records, 'poison')).not.toContain('park');
    expect(violations).toEqual([]);
  });
});
