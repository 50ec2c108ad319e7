import { connectConsole, type Client } from '../../src/client.ts';
import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { Sequence } from '../../src/core/ids.ts';
import type { Journal } from '../../src/ports/journal.ts';
import type { BenchServer } from '../bench-server.ts';
import { ask, killChild, messageOf, startChild, stopChild } from '../child-process.ts';
import { pause, startEngines } from '../engines.ts';
import { onFreshServers } from '../fresh-servers.ts';
import type { BenchOptions } from '../options.ts';
import type { RateFigures } from '../rate-process.ts';
import type { Measured } from '../result-file.ts';
import { resumptionsOf, type SeenCommit } from '../resumption.ts';
import { percentile, type Figures } from '../statistics.ts';
import { workload, workloadInput } from '../workload.ts';

/** Tasks of one envelope of submits. */
const chunkSize = 500;
/** The node that is killed owns as much as any other. */
const victimIndex = 0;

interface FailoverPlan {
  readonly nodes: number;
  readonly shards: number;
  readonly tasks: number;
  readonly stageMs: number;
  readonly seconds: number;
  readonly rate: number;
}

/** Kills one of several nodes in the middle of many tasks, while others come in: when its tasks run again, when all are done, who noticed. */
export async function failover(options: BenchOptions): Promise<Measured> {
  const plan: FailoverPlan = {
    nodes: options.nodes?.[0] ?? 3,
    shards: options.shards?.[0] ?? 24,
    tasks: options.tasks ?? 2_000,
    stageMs: options.stageMs ?? 200,
    seconds: options.seconds ?? 10,
    rate: options.rates?.[0] ?? 100,
  };
  const { sync, replicas } = options;
  const measured = await onFreshServers(options, (server, run) => failOver(server, `failover${run}`, plan, options));
  return { settings: { sync, replicas, ...plan }, ...measured };
}

async function failOver(
  server: BenchServer,
  namespace: string,
  plan: FailoverPlan,
  options: BenchOptions,
): Promise<Figures> {
  const servers = server.urls;
  const { nodes, shards, stageMs, seconds, rate } = plan;
  const engines = await startEngines({ servers, namespace, nodes, shards, replicas: options.replicas, stageMs });
  const others = startChild('rate-process.js', { servers, namespace, ratePerSecond: rate, seconds, warmUpSeconds: 1 });
  const { client, journal } = await connectConsole({ servers, namespace, name: 'bench-failover' });
  try {
    await messageOf(others);
    const othersDone = ask(others, 'go') as Promise<RateFigures>;
    const { owned, taskIds } = await submitAll(client, plan);
    // In the middle of their second stage, of five.
    await pause(stageMs * 1.5);
    const victim = engines.children[victimIndex];
    if (victim === undefined) throw new Error('there is no node to kill');
    const killedAt = Date.now();
    await killChild(victim);
    let errors = 0;
    await Promise.all(
      taskIds.map((taskId) =>
        client.result(workload, taskId, { timeoutMs: 120_000 }).catch(() => {
          errors += 1;
        }),
      ),
    );
    const doneMs = Date.now() - killedAt;
    const other = await othersDone;
    const commits = await readAll(journal);
    const resumedMs = resumptionsOf(commits, { killedAt, shards: owned });
    await stopChild(others);
    return {
      tasksOfTheNode: resumedMs.length,
      runAgainMedianMs: percentile(resumedMs, 0.5),
      runAgainMostMs: resumedMs.at(-1) ?? Number.NaN,
      allDoneMs: doneMs,
      callerErrors: errors,
      othersFailed: other.failed + other.unsent,
      othersP50Ms: other.p50Ms,
      othersP99Ms: other.p99Ms,
      othersMostMs: other.mostMs,
    };
  } finally {
    await client.close();
    await killChild(others);
    await engines.stop();
  }
}

/** Submits all at once, and tells which shards the node to be killed has then. */
async function submitAll(
  client: Client,
  { tasks }: FailoverPlan,
): Promise<{ readonly owned: ReadonlySet<number>; readonly taskIds: readonly string[] }> {
  const status = await client.cluster.status();
  const owned = new Set<number>(
    status.shards.filter(({ from }) => from === `bench-${victimIndex}`).map(({ shard }) => shard),
  );
  const items = Array.from({ length: tasks }, (_, index) => ({ input: workloadInput(index) }));
  const chunks = Array.from({ length: Math.ceil(tasks / chunkSize) }, (_, index) =>
    items.slice(index * chunkSize, (index + 1) * chunkSize),
  );
  const outcomes = (await Promise.all(chunks.map((chunk) => client.submitMany(workload, chunk)))).flat();
  const taskIds = outcomes.map((outcome) => {
    if (outcome.kind === 'error') throw outcome.error;
    return outcome.taskId;
  });
  return { owned, taskIds };
}

async function readAll(journal: Journal): Promise<readonly SeenCommit[]> {
  const { last } = await journal.bounds();
  const commits: SeenCommit[] = [];
  const enough = new AbortController();
  for await (const { shard, sequence, body } of journal.follow({ after: 0 as Sequence, signal: enough.signal })) {
    const { epoch, at, records } = decodeCommit(body);
    commits.push({ shard, epoch, at, records: records.map(({ task, to }) => ({ task, to })) });
    if (sequence >= last) break;
  }
  enough.abort();
  return commits;
}
