import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { connectClient, type Client } from '../../src/client.ts';
import { readState } from '../../src/platform/embedded-nats-state.ts';
import { identifyProcess, isRunning, type ProcessIdentity } from '../../src/platform/process-identity.ts';
import { CliFolder, until, type RunningDev } from '../support/cli.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';

interface ReadyNode {
  readonly nodeId: string;
  readonly pid: number;
}

interface LogLine {
  readonly msg: string;
  readonly node?: string;
  readonly child?: number;
  readonly reason?: string;
}

function nodesOf(running: RunningDev): readonly ReadyNode[] {
  return running.ready['nodes'] as readonly ReadyNode[];
}

function logOf(running: RunningDev, msg: string): readonly LogLine[] {
  return running.stderr
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes(`"msg":"${msg}`) && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LogLine);
}

/** The lines `task stage pid` that drivers wrote into a file. */
function notes(
  folder: CliFolder,
  file: string,
): readonly { readonly task: string; readonly stage: string; readonly pid: number }[] {
  const path = join(folder.path, file);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [task = '', stage = '', pid] = line.split(' ');
      return { task, stage, pid: Number(pid) };
    });
}

function identify(pid: number): ProcessIdentity {
  const identity = identifyProcess(pid);
  if (identity === undefined) throw new Error(`process ${pid} does not run`);
  return identity;
}

describe('cabinet start --nodes on a given NATS server', () => {
  let nats: NatsFixture;
  let folder: CliFolder;
  let running: RunningDev;
  let client: Client;
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    nats = await startNats();
    folder = await CliFolder.create('supervised-pipelines.mjs');
    env = { NATS_URL: nats.url, CABINET_LOG_FORMAT: 'json' };
    const args = ['start', '--nodes', '3', '--node-id', 'n', '--hung-after', '3s', '-o', 'json'];
    running = await folder.startCommand(args, env);
    client = await connectClient({ servers: nats.url });
  });

  afterAll(async () => {
    await client.close();
    await folder.remove();
    await nats.stop();
  });

  async function submit(pipeline: string, ids: readonly string[], gate = ''): Promise<void> {
    await Promise.all(ids.map((taskId) => client.submit(pipeline, { gate }, { taskId, deadlineMs: 30_000 })));
  }

  /** Pids of the nodes now: each node's newest process that became ready. */
  function pids(): ReadonlyMap<string, number> {
    return new Map(logOf(running, 'a node process is ready').map(({ node = '', child = 0 }) => [node, child]));
  }

  /** Every node's newest process runs and is ready. */
  async function waitUntilAllRun(): Promise<void> {
    const all = (): boolean => [...pids().values()].every((pid) => identifyProcess(pid) !== undefined);
    await until('every node runs', all, 30_000);
  }

  async function waitUntilReadyAgain(node: string, before: number): Promise<void> {
    await until(`${node} is ready again`, () => pids().get(node) !== before, 30_000);
  }

  async function waitUntilCompleted(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      await until(`${id} is completed`, async () => (await client.get(id))?.status === 'completed', 30_000);
    }
  }

  it('tells in one JSON document its own pid and those of its nodes, once all are ready', () => {
    expect(running.ready).toMatchObject({
      ready: true,
      nodeId: 'n',
      pid: running.child.pid,
      dataDir: null,
      nodes: ['n-1', 'n-2', 'n-3'].map((nodeId) => ({ nodeId, pid: expect.any(Number) as number })),
    });
    expect(pids()).toEqual(new Map(nodesOf(running).map(({ nodeId, pid }) => [nodeId, pid])));
  });

  it('R-WRK-2 R-FAIL-1: a killed node is told to the others at once, who go on with its tasks; it is started again', async () => {
    const ids = Array.from({ length: 6 }, (_, index) => `gated-${index}`);
    await submit('gated', ids, 'open');
    await until('every task runs', () => new Set(notes(folder, 'starts').map(({ task }) => task)).size === ids.length);
    const { pid, task } = notes(folder, 'starts')[0] ?? { pid: 0, task: '' };
    const [node = ''] = [...pids()].find(([, child]) => child === pid) ?? [];
    process.kill(pid, 'SIGKILL');
    const killedAt = performance.now();
    await until('another process runs the task', () =>
      notes(folder, 'starts').some((one) => one.task === task && one.pid !== pid),
    );
    const tookMs = performance.now() - killedAt;
    expect(tookMs).toBeLessThan(3_000);
    console.log(`a killed node's task ran again after ${Math.round(tookMs)} ms`);
    expect(logOf(running, 'a node process has ended')).toContainEqual(
      expect.objectContaining({ node, reason: 'SIGKILL' }),
    );
    await waitUntilReadyAgain(node, pid);
    await folder.write('open', '');
    await waitUntilCompleted(ids);
  });

  it('a frozen node is killed when it gave no sign of life for the bound, and started again', async () => {
    const before = pids().get('n-2') ?? 0;
    process.kill(before, 'SIGSTOP');
    await waitUntilReadyAgain('n-2', before);
    expect(logOf(running, 'a node process gives no sign of life')).toMatchObject([{ node: 'n-2', child: before }]);
    expect(logOf(running, 'a node process has ended').at(-1)).toMatchObject({ node: 'n-2', reason: 'hung' });
    expect(identifyProcess(before)).toBeUndefined();
  });

  it('an error that nobody catches is in the log with what it was, and costs its process only', async () => {
    const before = logOf(running, 'a node process is ready').length;
    await submit('stray', ['stray-1']);
    await until('the error is logged', () => running.stderr.includes('a stray error of stray-1'));
    await folder.write('mended', '');
    expect(logOf(running, 'an error that nobody caught ends the node process').length).toBeGreaterThan(0);
    await until('the node is back', () => logOf(running, 'a node process is ready').length > before, 30_000);
    await waitUntilCompleted(['stray-1']);
  });

  it('signals that a terminal sends to every process of the command do not stop a node', async () => {
    await waitUntilAllRun();
    const before = pids();
    for (const pid of before.values()) for (const signal of ['SIGINT', 'SIGHUP'] as const) process.kill(pid, signal);
    await submit('work', ['after-signals']);
    await waitUntilCompleted(['after-signals']);
    expect(pids()).toEqual(before);
  });

  it('SIGTERM to one node drains that node alone, and it is started again', async () => {
    const before = pids().get('n-3') ?? 0;
    process.kill(before, 'SIGTERM');
    await waitUntilReadyAgain('n-3', before);
    expect(logOf(running, 'a node process has ended').at(-1)).toMatchObject({ node: 'n-3', reason: 'exit-0' });
    expect(running.child.exitCode).toBeNull();
  });

  it('R-WRK-2: SIGUSR2 starts one node after the other anew; work meanwhile is neither lost nor done twice', async () => {
    await waitUntilAllRun();
    await until('the shards are settled', async () => (await client.cluster.status()).isBalanced, 30_000);
    const before = pids();
    const done = logOf(running, 'the rolling restart is done').length;
    running.signal('SIGUSR2');
    const ids: string[] = [];
    while (logOf(running, 'the rolling restart is done').length === done) {
      const batch = Array.from({ length: 5 }, (_, index) => `rolled-${ids.length + index}`);
      await submit('work', batch);
      ids.push(...batch);
      await waitUntilCompleted(batch);
    }
    await waitUntilCompleted(ids);
    for (const [node, pid] of pids()) expect(pid).not.toBe(before.get(node));
    const effects = notes(folder, 'effects').filter(({ task }) => task.startsWith('rolled-'));
    expect(effects).toHaveLength(2 * ids.length);
    expect(new Set(effects.map(({ task, stage }) => `${task} ${stage}`)).size).toBe(2 * ids.length);
  });

  it('CONFIG_INVALID: what no restart can mend ends a start at once, with its exit code', async () => {
    const run = await folder.run(['start', '--nodes', '2', '--node-id', 'other'], {
      env: { ...env, CABINET_SHARD_COUNT: '5' },
    });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('error CONFIG_INVALID: shardCount is 12 for this namespace, not 5');
    expect(run.stderr).not.toContain('will be started again');
  });

  it('SIGTERM drains every node: exit code 0, and no lease is left', async () => {
    expect(await running.stop()).toBe(0);
    expect(running.stderr).toContain('all nodes have drained');
    expect((await client.cluster.status()).nodes).toEqual([]);
  });
});

describe('cabinet start --nodes with a NATS server of its own', () => {
  let folder: CliFolder;

  beforeAll(async () => {
    folder = await CliFolder.create('supervised-pipelines.mjs');
  });

  afterAll(async () => {
    await folder.remove();
  });

  const left: ProcessIdentity[] = [];
  afterEach(() => {
    for (const one of left.splice(0)) if (isRunning(one)) process.kill(one.pid, 'SIGKILL');
  });

  /** A supervisor with two nodes, and every process that must not outlive it. */
  async function start(): Promise<{ readonly running: RunningDev; readonly others: readonly ProcessIdentity[] }> {
    const args = ['start', '--nodes', '2', '--node-id', 'n', '-o', 'json', '--log-format', 'json'];
    const running = await folder.startCommand(args);
    const server = readState(join(folder.path, '.cabinet'));
    const others = [...nodesOf(running).map(({ pid }) => identify(pid)), identify(server?.pid ?? 0)];
    left.push(...others);
    return { running, others };
  }

  async function waitUntilGone(others: readonly ProcessIdentity[]): Promise<void> {
    await until('no process is left', () => !others.some((one) => isRunning(one)), 20_000);
  }

  it('a killed supervisor takes its nodes and its server along, once they have drained', async () => {
    const { running, others } = await start();
    expect((await folder.run(['task', 'submit', 'work', '--input', '{}', '--id', 'kept', '--wait'])).code).toBe(0);
    running.signal('SIGKILL');
    await waitUntilGone(others);
    expect(logOf(running, 'the supervisor has died')).toHaveLength(2);
    expect(readState(join(folder.path, '.cabinet'))).toBeUndefined();
  });

  it('CONFIG_INVALID: a second supervisor on the data folder exits 7; a second signal ends everything at once', async () => {
    const { running, others } = await start();
    expect((await folder.run(['task', 'get', 'kept', '--json'])).json()).toMatchObject({ state: 'completed' });
    const second = await folder.run(['start', '--nodes', '2']);
    expect(second.code).toBe(7);
    expect(second.stderr).toContain('error CONFIG_INVALID: the data folder is in use');
    await folder.run(['task', 'submit', 'gated', '--input', '{"gate":"never"}', '--id', 'held']);
    await until('the task runs', () => notes(folder, 'starts').some(({ task }) => task === 'held'));
    const ended = once(running.child, 'close');
    running.signal('SIGTERM');
    await until('the drain begins', () => running.stderr.includes('the nodes drain'));
    const signaledAt = performance.now();
    running.signal('SIGINT');
    expect((await ended)[0]).toBe(130);
    expect(performance.now() - signaledAt).toBeLessThan(3_000);
    await waitUntilGone(others);
  });

  it('RESTART_INTENSITY_EXCEEDED: a node that keeps crashing is given up: one line, exit code 1', async () => {
    await folder.write('strict', '');
    const args = ['start', '--nodes', '1', '--node-id', 'n', '--log-format', 'json', '-o', 'json'];
    const running = await folder.startCommand(args);
    for (const id of ['a', 'b', 'c'])
      await folder.run(['task', 'submit', 'poison', '--input', '{}', '--id', `poison-${id}`]);
    expect(await running.ended()).toBe(1);
    const lines = running.stderr
      .trimEnd()
      .split('\n')
      .filter((line) => line.startsWith('error '));
    expect(lines).toEqual([
      expect.stringMatching(/^error RESTART_INTENSITY_EXCEEDED: node n-1 ended 2 times in 300 s, last by exit-7/),
    ]);
    expect(readState(join(folder.path, '.cabinet'))).toBeUndefined();
  });

  it('NATS_UNREACHABLE: a server that is not there is told once, with exit code 6', async () => {
    const run = await folder.run(['start', '--nodes', '2', '--nats', 'nats://127.0.0.1:9']);
    expect(run.code).toBe(6);
    expect(run.stderr).toMatch(/^error NATS_UNREACHABLE: /m);
  });

  it.each([
    [['--nodes', '0'], {}, 'INVALID_ARGUMENT'],
    [['--nodes', 'x'], {}, 'INVALID_ARGUMENT'],
    [['--nodes', '2', '--hung-after', '1s'], {}, 'INVALID_ARGUMENT'],
    [['--nodes', '2', '--node-id', 'not good'], {}, 'INVALID_ARGUMENT'],
    [[], { CABINET_PROCESSES: '0' }, 'CONFIG_INVALID'],
  ])('start %j with %j exits 2: %s', async (args, env, code) => {
    const run = await folder.run(['start', ...args], { env });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(`error ${code}: `);
  });
});
