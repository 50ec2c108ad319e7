import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { FatalError } from '../../../src/index.ts';
import { metricCatalog } from '../../../src/ports/metric-catalog.ts';
import type { SnapshotStore } from '../../../src/ports/snapshots.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { Engine } from '../../../src/supervisor/engine.ts';
import { Gate, tapSnapshots } from '../../support/port-taps.ts';
import { aPipeline, taskOf } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld, type Sent } from '../../support/shard-world.ts';

const minute = 60_000;

type Reading = ReadonlyMap<TaskId, Uint8Array>;

/** A shard whose tasks fail until the outside is mended, and leave memory a second after their snapshot is stored. */
class World {
  readonly shard: ShardWorld;
  readonly writes = new Gate();
  readonly reads = new Gate();
  /** What the store makes of a read; throws when it cannot be had. */
  alter: (found: Reading) => Reading = (found) => found;
  /** Ids in each read so far. */
  readonly readSizes: number[] = [];
  mostReads = 0;
  isBroken = true;
  #reading = 0;

  constructor(config: Partial<EngineConfig> = {}) {
    const pipeline = aPipeline({
      delayMs: 10 * minute,
      maxAttempts: 5,
      run: ({ stage, input }) => {
        if (!this.isBroken) return `${stage}-${String(input)}`;
        if (input === 'fatal') throw new FatalError('never');
        throw new Error('out of order');
      },
    });
    this.shard = new ShardWorld({
      pipelines: [pipeline],
      config: { passivateAfterMs: 1_000, snapshotIntervalMs: 100, ...config },
    });
  }

  async start(nodeId = 'node-1'): Promise<Engine> {
    const engine = this.shard.engine(nodeId, { snapshots: this.#tapped() });
    await this.shard.test.run(engine.start());
    return engine;
  }

  /** Ends the engine as a kill would, and starts another one in its place. */
  async replace(engine: Engine): Promise<Engine> {
    await this.shard.test.run(engine.abandon());
    return this.start();
  }

  async submit(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.shard.answer(this.shard.submit(id));
  }

  /** Tasks that failed and wait, in memory no more. */
  async submitPassive(...ids: readonly string[]): Promise<void> {
    await this.submit(...ids);
    await this.shard.clock.advance(5_000);
    expect(this.gauge('passiveTasks')).toBe(ids.length);
  }

  async state(id: string): Promise<string> {
    const reply = await this.shard.answer(this.shard.get(id));
    return reply.kind === 'task' ? reply.task.state : reply.kind;
  }

  /** Pages of a list of the shard, each as its ids. */
  async pages(query: {
    readonly limit: number;
    readonly status?: 'held' | 'backingOff';
  }): Promise<readonly string[][]> {
    const pages: string[][] = [];
    for (let after: string | null | undefined; after !== null;) {
      const more = after === undefined ? {} : { after };
      const reply = await this.shard.answer(this.shard.send({ type: 'task.list', ...query, ...more }));
      if (reply.kind !== 'page') throw new Error(reply.kind);
      pages.push(reply.tasks.map(({ taskId }) => taskId));
      after = reply.next;
    }
    return pages;
  }

  gauge(name: 'residentTasks' | 'passiveTasks'): number {
    return this.shard.test.metrics.value(metricCatalog[name].name);
  }

  live(status: string): number {
    return this.shard.test.metrics.value(metricCatalog.liveTasks.name, { status });
  }

  count(name: 'passivations' | 'activations' | 'activationFailures', labels = {}): number {
    return this.shard.test.metrics.value(metricCatalog[name].name, labels);
  }

  #tapped(): SnapshotStore {
    const store = tapSnapshots(this.shard.test.snapshots, async (call, make) => {
      if (call === 'snapshots.write') await this.writes.pass();
      return make();
    });
    return {
      maximumSnapshotBytes: store.maximumSnapshotBytes,
      checkpoint: (shard) => store.checkpoint(shard),
      loadLive: (shard, into) => store.loadLive(shard, into),
      findFinished: (shard, ids) => store.findFinished(shard, ids),
      finishedIds: (shard) => store.finishedIds(shard),
      writer: (shard, epoch) => {
        const writer = store.writer(shard, epoch);
        return {
          write: (writes) => writer.write(writes),
          checkpoint: (sequence) => writer.checkpoint(sequence),
          dropEarlierEpochs: () => writer.dropEarlierEpochs(),
          forget: (taskId) => writer.forget(taskId),
          read: async (ids, from) => {
            this.readSizes.push(ids.length);
            this.#reading += 1;
            this.mostReads = Math.max(this.mostReads, this.#reading);
            await this.reads.pass();
            this.#reading -= 1;
            return this.alter(await writer.read(ids, from));
          },
        };
      },
    };
  }
}

const outcomes = (...sent: readonly Sent[]): readonly (string | undefined)[] => sent.map(outcomeOf);

function unavailable(): never {
  throw new EngineError('UNAVAILABLE', 'the store is down');
}

describe('a task that waits', () => {
  it('R-CORE-3: leaves memory, and comes back at its due time, neither early nor late', async () => {
    const world = new World();
    await world.start();
    await world.submitPassive('a');
    expect([world.gauge('residentTasks'), world.live('backingOff')]).toEqual([0, 1]);
    world.isBroken = false;
    await world.shard.clock.advance(10 * minute - 5_001);
    expect(world.count('activations', { by: 'timer' })).toBe(0);
    await world.shard.clock.advance(1);
    expect(world.count('activations', { by: 'timer' })).toBe(1);
    await world.shard.clock.advance(100);
    expect(await world.state('a')).toBe('completed');
    expect([world.live('backingOff'), world.gauge('residentTasks'), world.gauge('passiveTasks')]).toEqual([0, 0, 0]);
  });

  it('stays in memory until its snapshot is acknowledged', async () => {
    const world = new World();
    await world.start();
    world.writes.shut();
    await world.submit('a');
    await world.shard.clock.advance(minute);
    expect([world.gauge('residentTasks'), world.count('passivations')]).toEqual([1, 0]);
    world.writes.open();
    await world.shard.clock.advance(1_001);
    expect([world.gauge('residentTasks'), world.count('passivations')]).toEqual([0, 1]);
  });

  it('stays in memory when it has moved on since its snapshot, until there is one of that', async () => {
    const world = new World();
    await world.start();
    await world.submit('a');
    await world.shard.clock.advance(500);
    world.writes.shut();
    await world.shard.answer(world.shard.control('pause', 'a'));
    await world.shard.clock.advance(minute);
    expect(world.count('passivations')).toBe(0);
    world.writes.open();
    await world.shard.clock.advance(2_000);
    expect([world.count('passivations'), await world.state('a')]).toEqual([1, 'parse.held']);
  });

  it('stays in memory while somebody waits for its result', async () => {
    const world = new World();
    await world.start();
    await world.submit('a');
    const result = world.shard.result('a', 5 * minute);
    await world.shard.clock.advance(4 * minute);
    expect(world.count('passivations')).toBe(0);
    await world.shard.clock.advance(3 * minute);
    expect([outcomeOf(result), world.count('passivations')]).toEqual(['pending', 1]);
  });

  it('goes at once when there are more than maxResidentTasks, the longest waiting first', async () => {
    const world = new World({ passivateAfterMs: 60 * minute, maxResidentTasks: 2 });
    await world.start();
    await world.submit('a', 'b');
    await world.shard.clock.advance(1_000);
    expect(world.gauge('residentTasks')).toBe(2);
    await world.submit('c');
    await world.shard.clock.advance(1_000);
    expect([world.gauge('residentTasks'), world.gauge('passiveTasks')]).toEqual([2, 1]);
    // Whoever is in memory is found without a read.
    expect([await world.state('c'), await world.state('b'), world.readSizes]).toEqual([
      'parse.backingOff',
      'parse.backingOff',
      [],
    ]);
  });
});

describe('a command to a passive task', () => {
  it('R-LOCK-1: waits while the task is loaded, and those behind it keep their order', async () => {
    const world = new World();
    await world.start();
    await world.submitPassive('a');
    world.reads.shut();
    const sent = [world.shard.control('pause', 'a'), world.shard.get('a'), world.shard.control('pause', 'a')];
    await world.shard.clock.advance(1_000);
    expect(outcomes(...sent)).toEqual([undefined, undefined, undefined]);
    world.reads.open();
    await world.shard.clock.advance(100);
    expect(outcomes(...sent)).toEqual(['done', 'task', 'NOT_ALLOWED']);
    expect([world.readSizes, world.count('activations', { by: 'command' })]).toEqual([[1], 1]);
  });

  it('cancels it, and its timer wakes nothing any more', async () => {
    const world = new World();
    const engine = await world.start();
    await world.submitPassive('a');
    expect(await world.shard.answer(world.shard.control('cancel', 'a'))).toMatchObject({ kind: 'done' });
    await world.shard.clock.advance(60 * minute);
    expect([world.live('backingOff'), world.count('activations', { by: 'timer' })]).toEqual([0, 0]);
    await world.replace(engine);
    expect(await world.state('a')).toBe('canceled');
  });

  it('R-DLQ-1: redrives a dead letter', async () => {
    const world = new World();
    await world.start();
    await world.submit('fatal');
    await world.shard.clock.advance(5_000);
    expect([world.gauge('passiveTasks'), world.live('deadLettered')]).toEqual([1, 1]);
    world.isBroken = false;
    await world.shard.answer(world.shard.control('redrive', 'fatal'));
    await world.shard.clock.advance(1_000);
    expect([await world.state('fatal'), world.live('deadLettered')]).toEqual(['completed', 0]);
  });

  it('R-IDEM-1: that was repeated is answered from the commands that the snapshot remembers', async () => {
    const world = new World();
    await world.start();
    await world.submit('a');
    await world.shard.answer(world.shard.control('pause', 'a', 'c-pause' as never));
    await world.shard.clock.advance(5_000);
    expect(world.gauge('passiveTasks')).toBe(1);
    expect(await world.shard.answer(world.shard.control('pause', 'a', 'c-pause' as never))).toMatchObject({
      kind: 'done',
      repeated: true,
    });
    expect(outcomeOf(world.shard.submit('a', 'another input'))).toBe('TASK_CONFLICT');
  });

  it('that only looks leaves its timer as it was', async () => {
    const world = new World();
    await world.start();
    await world.submitPassive('a');
    world.isBroken = false;
    for (let look = 0; look < 3; look += 1) {
      expect(await world.state('a')).toBe('parse.backingOff');
      await world.shard.clock.advance(look * 5_000);
    }
    await world.shard.clock.advance(10 * minute);
    expect(await world.state('a')).toBe('completed');
  });
});

describe('a load that fails', () => {
  it('UNAVAILABLE: is what commands are told, and the due time is tried again until the store is back', async () => {
    const world = new World();
    await world.start();
    await world.submitPassive('a');
    world.alter = unavailable;
    world.isBroken = false;
    expect(await world.shard.answer(world.shard.control('pause', 'a'))).toMatchObject({
      error: { code: 'UNAVAILABLE', retryable: true },
    });
    await world.shard.clock.advance(10 * minute + 5_000);
    expect([world.gauge('passiveTasks'), world.live('backingOff')]).toEqual([1, 1]);
    expect(world.count('activationFailures', { reason: 'unavailable' })).toBeGreaterThan(5);
    world.alter = (found) => found;
    await world.shard.clock.advance(2_000);
    expect(await world.state('a')).toBe('completed');
  });

  it.each(['stale', 'missing', 'unreadable'] as const)(
    'UNAVAILABLE: a snapshot that is %s is never taken for the task, and is told loudly',
    async (reason) => {
      const world = new World();
      await world.start();
      let older: Reading = new Map();
      await world.submitPassive('a');
      world.alter = (found) => (older = found);
      await world.state('a');
      world.alter = (found) => found;
      await world.shard.answer(world.shard.control('pause', 'a'));
      await world.shard.clock.advance(5_000);
      expect(world.gauge('passiveTasks')).toBe(1);
      const readings = {
        stale: older,
        missing: new Map<TaskId, Uint8Array>(),
        unreadable: new Map([[taskOf('a'), Uint8Array.of(1, 2, 3)]]),
      };
      world.alter = () => readings[reason];
      expect(await world.shard.answer(world.shard.get('a'))).toMatchObject({ error: { code: 'UNAVAILABLE' } });
      expect(world.count('activationFailures', { reason })).toBe(1);
      expect(world.shard.test.logger.lines.filter(({ level }) => level === 'error')).toMatchObject([
        { fields: { taskId: 'a', reason } },
      ]);
      world.alter = (found) => found;
      expect(await world.state('a')).toBe('parse.held');
    },
  );
});

describe('many tasks that are due at once', () => {
  it('are loaded in few reads at a time, of many tasks each', { timeout: 60_000 }, async () => {
    const count = 3_000;
    const world = new World({ maxWaitingMessages: 10_000, maxRunningStages: 10_000 });
    await world.start();
    const ids = Array.from({ length: count }, (_, index) => `t-${index}`);
    for (const id of ids) world.shard.submit(id);
    await world.shard.clock.advance(30_000);
    expect(world.gauge('passiveTasks')).toBe(count);
    world.isBroken = false;
    world.reads.shut();
    await world.shard.clock.advance(10 * minute);
    expect([world.gauge('residentTasks') <= 1_024, world.readSizes.length, Math.max(...world.readSizes)]).toEqual([
      true,
      4,
      256,
    ]);
    world.reads.open();
    await world.shard.clock.advance(30_000);
    expect([world.gauge('passiveTasks'), world.live('backingOff'), world.mostReads]).toEqual([0, 0, 4]);
    expect(world.readSizes.length).toBeLessThan(40);
  });
});

describe('a shard with passive tasks', () => {
  it('counts and lists them beside those in memory, page by page, and loads no other', async () => {
    const world = new World();
    await world.start();
    await world.submit('a', 'c', 'e');
    await world.shard.answer(world.shard.control('pause', 'c'));
    await world.shard.clock.advance(5_000);
    await world.submit('b', 'd');
    await world.shard.clock.advance(10);
    expect([world.gauge('passiveTasks'), world.gauge('residentTasks')]).toEqual([3, 2]);
    expect([world.live('backingOff'), world.live('held')]).toEqual([4, 1]);
    expect(await world.pages({ limit: 2 })).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(await world.pages({ limit: 10, status: 'held' })).toEqual([['c']]);
    // A page and one more, to know whether there is another one.
    expect(world.readSizes.filter((size) => size > 2)).toEqual([]);
    expect([world.gauge('passiveTasks'), world.count('activations')]).toEqual([3, 0]);
  });

  it('UNAVAILABLE: is not listed in part when some of them cannot be loaded', async () => {
    const world = new World();
    await world.start();
    await world.submitPassive('a', 'b');
    world.alter = unavailable;
    const list = world.shard.send({ type: 'task.list', limit: 10 });
    expect(await world.shard.answer(list)).toMatchObject({ error: { code: 'UNAVAILABLE' } });
  });

  it('R-LIFE-1: is handed over with all of them', async () => {
    const world = new World();
    const engine = await world.start();
    await world.submitPassive('a', 'b');
    await world.shard.test.run(engine.stop({ graceMs: 0 }));
    await world.start('node-2');
    expect([world.gauge('passiveTasks'), world.live('backingOff')]).toEqual([2, 2]);
    world.isBroken = false;
    await world.shard.clock.advance(11 * minute);
    expect([await world.state('a'), await world.state('b')]).toEqual(['completed', 'completed']);
  });

  it('R-CORE-3: is recovered after a kill without their states, and again after the next one', async () => {
    const world = new World();
    let engine = await world.start();
    await world.submitPassive('a', 'b', 'c');
    for (let kill = 0; kill < 3; kill += 1) {
      engine = await world.replace(engine);
      expect([world.gauge('passiveTasks'), world.gauge('residentTasks'), world.live('backingOff')]).toEqual([3, 0, 3]);
      // Odd ones die before their first checkpoint, so that the next one begins where they did.
      await world.shard.clock.advance(kill % 2 === 0 ? 10 : 5_000);
    }
    world.isBroken = false;
    await world.shard.clock.advance(11 * minute);
    expect([await world.state('a'), await world.state('b'), await world.state('c')]).toEqual(
      Array.from({ length: 3 }, () => 'completed'),
    );
    expect(world.count('activationFailures')).toBe(0);
  });

  it('R-CORE-3: brings none back that ended before it was carried over', async () => {
    const world = new World();
    const first = await world.start();
    await world.submitPassive('a', 'b');
    await world.shard.test.run(first.abandon());
    world.writes.shut();
    const second = await world.start();
    // It is woken, and ends, while its snapshot is under the epoch before.
    await world.shard.answer(world.shard.control('cancel', 'a'));
    world.writes.open();
    await world.shard.clock.advance(5_000);
    await world.replace(second);
    expect([await world.state('a'), await world.state('b')]).toEqual(['canceled', 'parse.backingOff']);
    expect([world.live('backingOff'), world.gauge('residentTasks') + world.gauge('passiveTasks')]).toEqual([1, 1]);
  });

  it('writes no checkpoint before all of them are under its own epoch, and says what is in the way', async () => {
    const world = new World();
    const first = await world.start();
    await world.submitPassive('a', 'b');
    await world.shard.test.run(first.abandon());
    world.alter = (found) => new Map([...found].filter(([taskId]) => taskId !== 'a'));
    await world.start();
    await world.shard.clock.advance(5_000);
    const { snapshots } = world.shard.test;
    expect(await snapshots.checkpoint(0 as never)).toMatchObject({ epoch: 1 });
    expect(world.count('activationFailures', { reason: 'missing' })).toBeGreaterThan(0);
    world.alter = (found) => found;
    await world.shard.clock.advance(5_000);
    expect(await snapshots.checkpoint(0 as never)).toMatchObject({ epoch: 2 });
  });
});
