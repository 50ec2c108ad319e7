import type { LoadRequest } from './messages.ts';
import { PeerProcess, SilenceError } from './peer-process.ts';
import type { PeerServer } from './peer-server.ts';
import { treeCpuMicros } from './process-tree.ts';
import type { System } from './systems.ts';

/** How much is measured. */
export interface Extent {
  readonly inFlight: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly aloneTasks: number;
  readonly killTasks: number;
  /** After which an unfinished batch is given up. */
  readonly killLimitSeconds: number;
}

/** One run of one system, on a server of its own. */
export interface PeerRun {
  readonly version: string;
  readonly pipelinesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** All processes together, then each. */
  readonly cpuMicros: number;
  readonly workerCpuMicros: number;
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly aloneP50Ms: number;
  readonly aloneP99Ms: number;
  /** From `kill -9` of the worker until the whole batch was done; null where it was not done in time. */
  readonly recoverySeconds: number | null;
  /** How many of the batch were done by then. */
  readonly killTasksDone: number;
}

/** The worker is killed within this part of the time that the first half of its batch took. */
const latestKillPart = 4;

/** Time for what should take moments. */
const answerTimeoutMs = 60_000;

/** Throughput with many tasks in flight, then one alone, then a worker that is killed. */
export async function measureSystem(system: System, extent: Extent): Promise<PeerRun> {
  const server = await system.start();
  let worker: PeerProcess | null = null;
  let client: PeerProcess | null = null;
  try {
    worker = await started(system.worker, server.workerArgs);
    client = await started(system.client, server.clientArgs);
    const throughput = await measureThroughput({ server, worker, client }, extent);
    client.send({ type: 'alone', warmUpTasks: Math.ceil(extent.aloneTasks / 4), tasks: extent.aloneTasks });
    const alone = await client.next('aloneMeasured', answerTimeoutMs + extent.aloneTasks * 1_000);
    const kill = await measureKill({ system, server, worker, client }, extent, (next) => {
      worker = next;
    });
    return { version: server.version, ...throughput, aloneP50Ms: alone.p50Ms, aloneP99Ms: alone.p99Ms, ...kill };
  } finally {
    // The client first: some systems take work from their workers only when nobody waits.
    await client?.stop();
    await worker?.stop();
    await server.stop();
  }
}

async function measureThroughput(
  {
    server,
    worker,
    client,
  }: { readonly server: PeerServer; readonly worker: PeerProcess; readonly client: PeerProcess },
  { inFlight, warmUpSeconds, seconds }: Extent,
) {
  const cpuNow = () => ({
    worker: treeCpuMicros(worker.pid),
    server: treeCpuMicros(server.pid),
    client: treeCpuMicros(client.pid),
  });
  client.send({ type: 'load', inFlight, warmUpSeconds, seconds });
  await client.next('measuring', answerTimeoutMs + warmUpSeconds * 1_000);
  const before = cpuNow();
  const measured = await client.next('measured', answerTimeoutMs + seconds * 1_000);
  const after = cpuNow();
  if (measured.tasks === 0) throw new Error('no task was done in the measured time');
  await client.next('drained', answerTimeoutMs);
  const each = (part: keyof typeof before): number => (after[part] - before[part]) / measured.tasks;
  return {
    pipelinesPerSecond: measured.tasks / measured.seconds,
    p50Ms: measured.p50Ms,
    p99Ms: measured.p99Ms,
    cpuMicros: each('worker') + each('server') + each('client'),
    workerCpuMicros: each('worker'),
    serverCpuMicros: each('server'),
    clientCpuMicros: each('client'),
  };
}

/** Kills the worker soon after half of the batch is done, and starts another one at once. */
async function measureKill(
  {
    system,
    server,
    worker,
    client,
  }: {
    readonly system: System;
    readonly server: PeerServer;
    readonly worker: PeerProcess;
    readonly client: PeerProcess;
  },
  { inFlight, killTasks, killLimitSeconds }: Extent,
  onNewWorker: (worker: PeerProcess) => void,
): Promise<Pick<PeerRun, 'recoverySeconds' | 'killTasksDone'>> {
  const request: LoadRequest = { type: 'batch', tasks: killTasks, inFlight, noticeAt: Math.ceil(killTasks / 2) };
  const startMs = performance.now();
  client.send(request);
  await client.next('reached', answerTimeoutMs * 2);
  // Word of many tasks comes at once in some systems, and nothing is in a worker's hands at that moment: a later one is fair.
  await delay((Math.random() * (performance.now() - startMs)) / latestKillPart);
  const killedMs = performance.now();
  await worker.kill();
  onNewWorker(new PeerProcess(system.worker, server.workerArgs));
  try {
    await client.next('finished', killLimitSeconds * 1_000);
    return { recoverySeconds: (performance.now() - killedMs) / 1_000, killTasksDone: killTasks };
  } catch (error) {
    if (!(error instanceof SilenceError)) throw error;
    client.send({ type: 'count' });
    return { recoverySeconds: null, killTasksDone: (await client.next('counted', answerTimeoutMs)).done };
  }
}

async function started(file: string, args: readonly string[]): Promise<PeerProcess> {
  const child = new PeerProcess(file, args);
  try {
    await child.next('ready', answerTimeoutMs);
    return child;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
