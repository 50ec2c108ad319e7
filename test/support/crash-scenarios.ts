import type { EngineConfig } from '../../src/core/config.ts';
import { EngineError } from '../../src/core/errors.ts';
import { askedPipeline, oncePipeline, padding } from './crash-pipelines.ts';
import type { CrashWorld } from './crash-world.ts';

/** What clients do while processes may die; resolves when all that they asked for has come true. */
export interface CrashScenario {
  readonly name: string;
  /** The nodes that run at first; one when left out. */
  readonly nodes?: readonly string[];
  readonly config?: Partial<EngineConfig>;
  /** Effects that its tasks have, all in all. */
  readonly effects: number | { readonly least: number; readonly most: number };
  /** The outside is asked for each effect once: nothing may be done a second time, whatever died. */
  readonly isBlind?: true;
  readonly run: (world: CrashWorld) => Promise<void>;
}

/** Two nodes that share two shards, and look after each other as real ones do. */
const pair = {
  nodes: ['node-1', 'node-2'],
  config: { shardCount: 2, clusterPollMs: 2_000, leaseTtlMs: 20_000, leaseRenewMs: 5_000 },
} as const;

/** @throws Error unless the promise rejects with that code */
async function demandError(promise: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await promise.then(
    () => new Error(`expected ${code}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError && error.code === code)) throw error;
}

async function bothUp(world: CrashWorld): Promise<void> {
  await world.until(async () => (await world.test.leases.listNodes()).length === 2);
}

/** An operator who looks at the outside before saying what became of a stage. */
async function resolveTruthfully(world: CrashWorld, taskId: string): Promise<void> {
  for (let round = 1; ; round += 1) {
    const { status, stage, attempt } = await world.view(taskId);
    if (status === 'completed') return;
    if (status !== 'unknown') {
      await world.pause(500);
      continue;
    }
    const known = world.ledger.outputOf(`cabinet:${taskId}:${stage}`);
    const resolution =
      known === undefined ? ({ kind: 'notDone' } as const) : { kind: 'completed' as const, output: known };
    await world.resolve(taskId, resolution, `resolve-${taskId}-${stage}-${attempt}-${round}`);
  }
}

async function endAll(world: CrashWorld, ...taskIds: readonly string[]): Promise<void> {
  await Promise.all(taskIds.map((taskId) => world.end(taskId)));
}

/** The scenarios of which every port call is a crash point. */
export const crashScenarios: readonly CrashScenario[] = [
  {
    name: 'a task that goes through',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'plain');
      await world.end('a');
    },
  },
  {
    name: 'a retry',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'flaky');
      await world.end('a');
    },
  },
  {
    name: 'checkpoints of a stage',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'checkpoints');
      await world.end('a');
    },
  },
  {
    name: 'a dead letter and its redrive',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'broken');
      await demandError(world.end('a'), 'TASK_FAILED');
      world.ledger.isBroken = false;
      await world.command('redrive', 'a');
      await world.end('a');
    },
  },
  {
    name: 'one redrive by two clients',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'broken');
      await demandError(world.end('a'), 'TASK_FAILED');
      world.ledger.isBroken = false;
      await Promise.all([world.command('redrive', 'a', 'r-1'), world.command('redrive', 'a', 'r-1')]);
      await world.end('a');
      await world.command('redrive', 'a', 'r-1');
    },
  },
  {
    name: 'a cancel of a queued stage',
    config: { maxRunningStages: 1 },
    effects: { least: 2, most: 4 },
    run: async (world) => {
      await world.submit('a', 'slow');
      await world.submit('b', 'slow');
      await world.command('cancel', 'b');
      await demandError(world.end('b'), 'TASK_FAILED');
      await world.end('a');
    },
  },
  {
    name: 'a cancel of a running stage',
    effects: { least: 0, most: 2 },
    run: async (world) => {
      await world.submit('a', 'slow');
      await world.pause(500);
      await world.command('cancel', 'a').catch((error: unknown) => {
        // It was faster: a crash may have cost its client the whole of a stage.
        if (!(error instanceof EngineError && error.code === 'NOT_ALLOWED')) throw error;
      });
      await world.until(async () => ['canceled', 'completed'].includes((await world.view('a')).status));
    },
  },
  {
    name: 'a cancel during a backoff',
    effects: 0,
    run: async (world) => {
      await world.submit('a', 'stuck');
      await world.command('cancel', 'a');
      await demandError(world.end('a'), 'TASK_FAILED');
    },
  },
  {
    name: 'a pause and a resume',
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'stuck');
      await world.command('pause', 'a');
      await world.pause(20_000);
      world.ledger.isBroken = false;
      await world.command('resume', 'a');
      await world.end('a');
    },
  },
  {
    name: 'unknown outcomes that an operator resolves',
    effects: 4,
    isBlind: true,
    run: async (world) => {
      await world.submit('a', 'doomed', oncePipeline);
      await resolveTruthfully(world, 'a');
      await world.submit('b', 'doomedBefore', oncePipeline);
      await resolveTruthfully(world, 'b');
    },
  },
  {
    name: 'unknown outcomes that a lookup resolves',
    effects: 4,
    isBlind: true,
    run: async (world) => {
      await world.submit('a', 'doomed', askedPipeline);
      await world.end('a');
      await world.submit('b', 'doomedBefore', askedPipeline);
      await world.end('b');
    },
  },
  {
    name: 'snapshot rounds under several tasks',
    effects: 6,
    run: async (world) => {
      await Promise.all([world.submit('a', 'flaky'), world.submit('b', 'plain'), world.submit('c', 'checkpoints')]);
      await world.pause(1_000);
      await endAll(world, 'a', 'b', 'c');
    },
  },
  {
    name: 'tasks that leave memory while they wait',
    config: { passivateAfterMs: 0, auditWindowMs: 0 },
    effects: 6,
    run: async (world) => {
      await Promise.all([
        world.submit('a', 'flaky'),
        world.submit('b', 'stuck'),
        world.submit('c', 'broken'),
        world.submit('d', 'stuck'),
      ]);
      await Promise.all([world.command('pause', 'b'), world.command('pause', 'd')]);
      await world.until(async () => (await world.view('c')).status === 'deadLettered');
      await world.pause(130_000);
      await world.command('cancel', 'd');
      world.ledger.isBroken = false;
      await Promise.all([world.command('redrive', 'c'), world.command('resume', 'b')]);
      await endAll(world, 'a', 'b', 'c');
    },
  },
  {
    name: 'a journal that is trimmed behind its snapshots',
    config: { auditWindowMs: 0 },
    effects: 6,
    run: async (world) => {
      await Promise.all([world.submit('a', 'flaky'), world.submit('b', 'stuck')]);
      await world.command('pause', 'b');
      await world.end('a');
      await world.pause(130_000);
      await world.submit('c', 'plain');
      await world.end('c');
      world.ledger.isBroken = false;
      await world.command('resume', 'b');
      await world.end('b');
    },
  },
  {
    name: 'payloads that lie outside of the journal',
    config: { inlinePayloadBytes: 256 },
    effects: 2,
    run: async (world) => {
      await world.submit('a', 'large');
      await world.end('a');
      const { outputs = {} } = await world.view('a');
      for (const output of Object.values(outputs)) {
        if (typeof output !== 'string' || !output.startsWith(padding))
          throw new Error('an output has lost its payload');
      }
    },
  },
  {
    name: 'submits that are repeated',
    effects: 2,
    run: async (world) => {
      await Promise.all([world.submit('a', 'plain'), world.submit('a', 'plain')]);
      await demandError(world.submit('a', 'flaky'), 'TASK_CONFLICT');
      await world.end('a');
      await world.submit('a', 'plain');
    },
  },
  {
    name: 'a drain',
    effects: 4,
    run: async (world) => {
      await Promise.all([world.submit('a', 'flaky'), world.submit('b', 'slow')]);
      void world.stop('node-1');
      await endAll(world, 'a', 'b');
    },
  },
  {
    name: 'a handoff to a second node',
    ...pair,
    effects: 6,
    run: async (world) => {
      await bothUp(world);
      await Promise.all(['a', 'b', 'c'].map((taskId) => world.submit(taskId, 'slow')));
      void world.stop('node-1');
      await endAll(world, 'a', 'b', 'c');
    },
  },
  {
    name: 'shards that are moved while they work',
    ...pair,
    effects: 6,
    run: async (world) => {
      await bothUp(world);
      await Promise.all(['a', 'b', 'c'].map((taskId) => world.submit(taskId, 'slow')));
      for (const shard of [0, 1]) {
        const { owner } = await world.test.leases.readShard(shard as never);
        const target = owner?.nodeId === 'node-1' ? 'node-2' : 'node-1';
        await world.test.client.cluster.moveShard(shard, target, { deadlineMs: 300_000 });
      }
      await endAll(world, 'a', 'b', 'c');
    },
  },
];
