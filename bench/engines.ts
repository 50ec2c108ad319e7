import type { ChildProcess } from 'node:child_process';
import { connectClient } from '../src/client.ts';
import { ask, killChild, messageOf, startChild, stopChild } from './child-process.ts';
import type { EngineMemory, EngineSettings, EngineTasks } from './engine-process.ts';

/** How long shards may take to find their owners. */
const spreadTimeoutMs = 120_000;

/** Engine nodes, each a process. */
export interface Engines {
  readonly children: readonly ChildProcess[];
  readonly pids: readonly number[];
  /** Tasks that all nodes hold, and those that run now. */
  tasks(): Promise<EngineTasks>;
  /** After a collection of garbage. */
  memory(): Promise<EngineMemory>;
  stop(): Promise<void>;
}

/** What {@link startEngines} starts. */
export interface EnginesPlan extends Omit<EngineSettings, 'nodeId'> {
  readonly nodes: number;
  readonly isProfiled?: boolean;
}

/** Starts so many nodes and waits until every shard has the owner that it falls to. */
export async function startEngines({ nodes, isProfiled = false, ...settings }: EnginesPlan): Promise<Engines> {
  const children: ChildProcess[] = [];
  try {
    // One by one: the first creates the streams.
    for (let index = 0; index < nodes; index += 1) {
      const child = startEngine({ ...settings, nodeId: `bench-${index}` }, isProfiled);
      children.push(child);
      await messageOf(child);
    }
    await untilSpread(settings, nodes);
  } catch (error) {
    await Promise.all(children.map(killChild));
    throw error;
  }
  const living = (): readonly ChildProcess[] =>
    children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  return {
    children,
    pids: children.flatMap(({ pid }) => pid ?? []),
    tasks: async () => {
      const all = (await Promise.all(living().map((child) => ask(child, 'tasks')))) as EngineTasks[];
      const sum = (of: keyof EngineTasks): number => all.reduce((total, one) => total + one[of], 0);
      return { shards: sum('shards'), tasks: sum('tasks'), running: sum('running') };
    },
    memory: async () => {
      const all = (await Promise.all(living().map((child) => ask(child, 'memory')))) as EngineMemory[];
      const sum = (of: keyof EngineMemory): number => all.reduce((total, one) => total + one[of], 0);
      return { heapBytes: sum('heapBytes'), residentBytes: sum('residentBytes') };
    },
    stop: async () => {
      await Promise.all(living().map(stopChild));
    },
  };
}

/** One node; says `ready` when it serves. */
export function startEngine(settings: EngineSettings, isProfiled = false): ChildProcess {
  return startChild('engine-process.js', settings, { isProfiled, flags: ['--expose-gc'] });
}

async function untilSpread(settings: Omit<EngineSettings, 'nodeId'>, nodes: number): Promise<void> {
  const { servers, namespace } = settings;
  const client = await connectClient({ servers, namespace });
  try {
    await until('all shards have their owners', spreadTimeoutMs, async () => {
      const { nodes: rows, moves, takeovers, free } = await client.cluster.status();
      return rows.filter(({ status }) => status === 'up').length === nodes && moves + takeovers + free === 0;
    });
  } finally {
    await client.close();
  }
}

/** Asks again and again, with a short pause between, until it is so. @throws Error after the timeout */
export async function until(
  what: string,
  timeoutMs: number,
  isSo: () => Promise<boolean>,
  pauseMs = 50,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(pauseMs);
  }
}

/** Resolves so many milliseconds later. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
