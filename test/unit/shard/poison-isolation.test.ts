import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import type { StageContext } from '../../../src/index.ts';
import type { Engine } from '../../../src/supervisor/engine.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

/** How long an innocent stage works. */
const innocentMs = 60_000;
const innocents = Array.from({ length: 20 }, (_, index) => `innocent-${index}`);

/** A node that is started again whenever a stage has killed it. */
class MortalNode {
  readonly world: ShardWorld;
  readonly pipelines = [aPipeline({ stages: ['work'], run: (ctx) => this.#drive(ctx), timeoutMs: 600_000 })];
  deaths = 0;
  /** How long each poison takes to kill, by task. */
  readonly #poisons: ReadonlyMap<string, number>;
  #process: { readonly engine: Engine; isDead: boolean } | null = null;

  constructor(poisons: Readonly<Record<string, number>>, config: Partial<EngineConfig> = {}) {
    this.#poisons = new Map(Object.entries(poisons));
    this.world = new ShardWorld({ pipelines: this.pipelines, config: { maxInterruptions: 3, ...config } });
  }

  /** Starts the first process and hands it the poisons among the innocents. */
  async begin(): Promise<void> {
    await this.#start();
    const poisons = [...this.#poisons.keys()];
    // In one turn, so that all run before the first of them kills.
    for (const [index, id] of innocents.entries()) {
      this.world.submit(id);
      const poison = index % 7 === 3 ? poisons.shift() : undefined;
      if (poison !== undefined) this.world.submit(poison);
    }
  }

  /** Lets it run, and be started again, until every task has ended. */
  async untilEnd(): Promise<void> {
    for (let round = 0; round < 200; round += 1) {
      await this.world.clock.runUntil(() => this.#process?.isDead === true || this.#isQuiet, {
        maxVirtualMs: 7_200_000,
      });
      if (this.#process?.isDead !== true) return;
      await this.#start();
    }
    throw new Error('the node dies and dies');
  }

  get #isQuiet(): boolean {
    const [owned] = this.#process?.engine.status.owned ?? [];
    return owned !== undefined && this.#isSubmitted && owned.running === 0 && this.#waiting === 0;
  }

  get #isSubmitted(): boolean {
    return this.world.test.metrics.value('tasks_accepted_total', { pipeline: 'card' }) > 0;
  }

  get #waiting(): number {
    return this.world.test.metrics.value('queued_stages');
  }

  async #start(): Promise<void> {
    const die = (): void => {
      if (process.isDead) return;
      process.isDead = true;
      this.deaths += 1;
      void process.engine.abandon();
    };
    const process = { engine: this.world.engine('node-1', { ports: { die } }), isDead: false };
    this.#process = process;
    await this.world.test.run(process.engine.start());
  }

  #drive(ctx: StageContext): Promise<unknown> {
    const killMs = this.#poisons.get(ctx.taskId);
    const { die } = ctx.ports as { readonly die: () => void };
    if (killMs === 0) die();
    return new Promise((resolve, reject) => {
      const end = (): void => (killMs === undefined ? resolve('done') : die());
      const timer = this.world.clock.setTimer(killMs ?? innocentMs, end);
      ctx.signal.addEventListener('abort', () => {
        timer.cancel();
        reject(new Error('aborted'));
      });
    });
  }
}

/** How many losses were held against each task at the worst moment. */
function worstSuspicions(records: readonly TaskRecord[]): ReadonlyMap<string, number> {
  const now = new Map<string, number>();
  const worst = new Map<string, number>();
  for (const { task, event } of records) {
    const change = event.type === 'owner.changed' ? 1 : event.type === 'stage.cleared' ? -1 : 0;
    const held = (now.get(task) ?? 0) + change;
    now.set(task, held);
    worst.set(task, Math.max(worst.get(task) ?? 0, held));
  }
  return worst;
}

async function outcome(node: MortalNode) {
  await node.begin();
  await node.untilEnd();
  const { journal, config } = node.world.test;
  const report = checkJournal(await node.world.test.run(readWholeJournal(journal, config.shardCount)), node.pipelines);
  expect(report.violations).toEqual([]);
  const worst = worstSuspicions(report.records);
  const states = [...report.tasks.values()];
  return {
    completed: states.filter(({ machine }) => machine.value === 'completed').map(({ taskId }) => taskId as string),
    dead: states.filter(({ machine }) => machine.value === 'deadLettered.work'),
    worstOfInnocents: Math.max(...innocents.map((id) => worst.get(id) ?? 0)),
    deaths: node.deaths,
    metrics: node.world.test.metrics,
  };
}

describe('a stage that kills its node whenever it starts', { timeout: 60_000 }, () => {
  it.each([
    ['at once', { poison: 0 }, 4],
    ['after 2 s', { poison: 2_000 }, 4],
    ['and another one that does the same', { poison: 0, 'poison-2': 0 }, 6],
    ['and two others, at different times', { poison: 0, 'poison-2': 2_000, 'poison-3': 4_000 }, 8],
  ])('R-FAIL-1, I32, I33: %s ends alone: no innocent neighbor is lost with it', async (_what, poisons, mostDeaths) => {
    const { completed, dead, worstOfInnocents, deaths } = await outcome(new MortalNode(poisons));
    expect(completed.toSorted()).toEqual(innocents.toSorted());
    expect(dead.map(({ taskId }) => taskId as string).toSorted()).toEqual(Object.keys(poisons).toSorted());
    for (const { failure } of dead) {
      expect(failure).toMatchObject({ class: 'interrupted', code: 'INTERRUPTED_TOO_OFTEN' });
      expect(failure?.message).toBe('stage work was running at 4 losses of its owner');
    }
    expect(deaths).toBeLessThanOrEqual(mostDeaths);
    expect(worstOfInnocents).toBe(2);
  });

  it('R-FAIL-1, I32: later than a probation lasts ends too, for a stage is cleared only so often', async () => {
    const { completed, dead, deaths, worstOfInnocents } = await outcome(new MortalNode({ poison: 6_000 }));
    expect(completed.toSorted()).toEqual(innocents.toSorted());
    expect(dead.map(({ taskId }) => taskId as string)).toEqual(['poison']);
    expect(dead[0]?.failure?.message).toBe(
      'stage work was running at 7 losses of its owner, 3 of which a passed probation has cleared',
    );
    expect(deaths).toBe(7);
    expect(worstOfInnocents).toBeLessThanOrEqual(3);
  });

  it('counts who started in probation and who came through it, and shows nobody waiting at the end', async () => {
    const { metrics } = await outcome(new MortalNode({ poison: 0 }));
    const labels = { pipeline: 'card', stage: 'work' };
    const started = metrics.value('suspect_starts_total', labels);
    // The poison's two starts, at which the node died.
    expect(metrics.value('suspects_cleared_total', labels)).toBe(started - 2);
    expect(metrics.value('suspects_waiting')).toBe(0);
  });

  it('I33: a neighbor waits for its turn no longer than one probation for each suspect before it', async () => {
    const node = new MortalNode({ poison: 0 });
    await outcome(node);
    // Two losses at once, then two rounds of at most 21 probations, and the work itself.
    expect(node.world.clock.monotonicMs()).toBeLessThan(2 * 21 * 5_000 + innocentMs + 10_000);
  });
});
