import type { Client } from '../../src/client.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { Behavior, CrashWorld } from './crash-world.ts';

/** What clients do while a process may die; resolves when all that they asked for has come true. */
export interface CrashScenario {
  readonly name: string;
  /** Effects that its tasks have, all in all. */
  readonly effects: number;
  readonly run: (world: CrashWorld) => Promise<void>;
}

function clientOf(world: CrashWorld): Client {
  return world.test.client;
}

function submit(world: CrashWorld, taskId: string, behavior: Behavior): Promise<unknown> {
  return clientOf(world).submit(world.pipeline, behavior, { taskId });
}

async function end(world: CrashWorld, taskId: string): Promise<void> {
  await clientOf(world).result(world.pipeline, taskId, { timeoutMs: 3_000_000 });
}

/** Virtual time of the scenario's own. */
function pause(world: CrashWorld, delayMs: number): Promise<void> {
  return new Promise((resolve) => world.test.clock.setTimer(delayMs, resolve));
}

/** @throws Error unless the promise rejects with that code */
async function demandError(promise: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await promise.then(
    () => new Error(`expected ${code}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError && error.code === code)) throw error;
}

/** The scenarios of which every port call is a crash point. */
export const crashScenarios: readonly CrashScenario[] = [
  {
    name: 'a task that goes through',
    effects: 2,
    run: async (world) => {
      await submit(world, 'a', 'plain');
      await end(world, 'a');
    },
  },
  {
    name: 'a retry',
    effects: 2,
    run: async (world) => {
      await submit(world, 'a', 'flaky');
      await end(world, 'a');
    },
  },
  {
    name: 'checkpoints of a stage',
    effects: 2,
    run: async (world) => {
      await submit(world, 'a', 'checkpoints');
      await end(world, 'a');
    },
  },
  {
    name: 'a dead letter and its redrive',
    effects: 2,
    run: async (world) => {
      await submit(world, 'a', 'broken');
      await demandError(end(world, 'a'), 'TASK_FAILED');
      world.ledger.isBroken = false;
      await clientOf(world).redrive('a');
      await end(world, 'a');
    },
  },
  {
    name: 'a cancel during a backoff',
    effects: 0,
    run: async (world) => {
      await submit(world, 'a', 'stuck');
      await clientOf(world).cancel('a');
      await demandError(end(world, 'a'), 'TASK_FAILED');
    },
  },
  {
    name: 'a pause and a resume',
    effects: 2,
    run: async (world) => {
      await submit(world, 'a', 'stuck');
      await clientOf(world).pause('a');
      await pause(world, 20_000);
      world.ledger.isBroken = false;
      await clientOf(world).resume('a');
      await end(world, 'a');
    },
  },
  {
    name: 'snapshot rounds under several tasks',
    effects: 6,
    run: async (world) => {
      await Promise.all([submit(world, 'a', 'flaky'), submit(world, 'b', 'plain'), submit(world, 'c', 'checkpoints')]);
      await pause(world, 1_000);
      await Promise.all(['a', 'b', 'c'].map((taskId) => end(world, taskId)));
    },
  },
  {
    name: 'a drain',
    effects: 4,
    run: async (world) => {
      await Promise.all([submit(world, 'a', 'flaky'), submit(world, 'b', 'plain')]);
      void world.stop();
      await Promise.all(['a', 'b'].map((taskId) => end(world, taskId)));
    },
  },
];
