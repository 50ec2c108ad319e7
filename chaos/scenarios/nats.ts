import { ChaosWorld, type ScenarioOptions } from '../kit/chaos-world.ts';
import { beginOutage, longestAcceptGapMs, reportOutages, type Outage } from '../kit/outages.ts';
import { percentile } from '../kit/percentiles.ts';
import type { Scenario, ScenarioResult } from '../kit/scenario.ts';
import { joinParts } from '../kit/verdict.ts';
import { pause, until } from '../kit/wait.ts';

const shardCount = 16;
const nodeIds = ['n-1', 'n-2'] as const;
const load = { tasksPerSecond: 25, maximumInFlight: 400, deadlineMs: 8_000 } as const;
const rounds = 20;
/** From one fault to the next; a shortened run goes on as soon as all is healed. */
const intervalMs = { cluster: 15_000, single: 10_000 } as const;
const syncTimeoutMs = 90_000;
/** How soon after the servers are ready something must be accepted (I44). */
const resumeBoundMs = 10_000;

/** Servers that are killed, frozen and restarted under the engine. */
export const nats: Scenario = {
  rounds,
  summary: 'three servers whose leader is killed or frozen, or whose majority is; then one server that restarts',
  run: async (options, signal) => {
    const cluster = await playPart(options, signal, 3);
    signal.throwIfAborted();
    const single = await playPart(options, signal, 1);
    return together(cluster, single);
  },
};

function playPart(options: ScenarioOptions, signal: AbortSignal, servers: 1 | 3): Promise<ScenarioResult> {
  return ChaosWorld.run(options, { servers, shardCount }, signal, async (world) => {
    await world.start(nodeIds, load);
    const outages: Outage[] = [];
    for (let round = 1; round <= options.rounds; round += 1) {
      signal.throwIfAborted();
      const startedMs = performance.now();
      await pause(world.between(500, 2_000));
      const outage = servers === 3 ? await hurtCluster(world, round) : await restartSingle(world, round);
      if (outage !== null) outages.push(outage);
      const isFull = options.rounds >= rounds;
      const every = servers === 3 ? intervalMs.cluster : intervalMs.single;
      if (isFull) await pause(Math.max(0, every - (performance.now() - startedMs)));
    }
    await world.untilServed(syncTimeoutMs);
    await pause(world.between(500, 2_000));
    const { verdict, facts } = await world.judge();
    const { acceptedInOutage, committedInOutage, resumeMs } = reportOutages(outages, facts.load, facts.entries);
    const lateResumes = resumeMs.filter((oneMs) => oneMs > resumeBoundMs).length;
    const ended = nodeIds.length - world.fleet.running.length;
    const leasesLost = world.fleet.running
      .flatMap(({ log }) => log)
      .filter(({ message }) => message.startsWith('the node lease was not renewed in time')).length;
    const violations = [
      ...verdict.violations,
      ...(acceptedInOutage > 0 ? [`I44: ${acceptedInOutage} tasks were accepted without a majority of servers`] : []),
      ...(committedInOutage > 0 ? [`I44: ${committedInOutage} commits were stored without a majority of servers`] : []),
      ...(lateResumes > 0
        ? [`I44: ${lateResumes} times nothing was accepted for ${resumeBoundMs} ms after the outage`]
        : []),
      ...(ended > 0 ? [`${ended} nodes have ended`] : []),
    ];
    const ok = violations.length === 0;
    world.keep(ok, facts);
    return {
      ...verdict,
      outages: outages.length,
      acceptedInOutage,
      committedInOutage,
      resumeMsMax: percentile(resumeMs, 1),
      leasesLost,
      acceptGapMsMax: longestAcceptGapMs(facts.load),
      shardAcceptGapMsMax: longestAcceptGapMs(facts.load, shardCount),
      violations,
      ok,
    };
  });
}

/** Kills or freezes the leader of the journal's stream, or kills it with another server so that no majority is left. */
async function hurtCluster(world: ChaosWorld, round: number): Promise<Outage | null> {
  const { nats: servers, log } = world;
  const leader = await findLeader(world);
  const kind = (['kill', 'freeze', 'majority'] as const)[(round - 1 + Math.floor(world.random.next() * 2)) % 3];
  const downMs = world.between(2_000, 6_000);
  const name = `nats-${leader}`;
  let outage: Outage | null = null;
  if (kind === 'freeze') {
    log.fault('freeze', name, `round ${round}, leader of the journal, for ${Math.round(downMs)} ms`);
    await servers.freeze(leader);
    await pause(downMs);
    await servers.resume(leader);
    log.tell('resume', name);
  } else if (kind === 'kill') {
    log.fault('kill', name, `round ${round}, leader of the journal, for ${Math.round(downMs)} ms`);
    await servers.kill(leader);
    await pause(downMs);
    await servers.restart(leader);
    log.tell('restart', name);
  } else {
    const other = world.pick([0, 1, 2].filter((index) => index !== leader));
    log.fault('kill', name, `round ${round}, leader of the journal, with nats-${other}, for ${Math.round(downMs)} ms`);
    await Promise.all([servers.kill(leader), servers.kill(other)]);
    const begun = beginOutage();
    await pause(downMs);
    const over = begun.end();
    await Promise.all([servers.restart(leader), servers.restart(other)]);
    outage = over.healed();
    log.tell('restart', name, `with nats-${other}`);
  }
  const tookMs = await until(
    'the stream has all its replicas again',
    async () => {
      const state = await world.view.journalLeader().catch(() => null);
      return state?.leader != null && state.isInSync;
    },
    syncTimeoutMs,
  );
  log.tell('in sync', 'all', `round ${round}, ${Math.round(tookMs)} ms`);
  return outage;
}

async function findLeader(world: ChaosWorld): Promise<number> {
  let leader: string | null = null;
  await until(
    'the journal has a leader',
    async () => {
      leader = (await world.view.journalLeader().catch(() => null))?.leader ?? null;
      return leader !== null;
    },
    syncTimeoutMs,
  );
  return Number(String(leader).slice(1));
}

/** Restarts the only server in good order, or kills it and starts it again on its store. */
async function restartSingle(world: ChaosWorld, round: number): Promise<Outage> {
  const { nats: servers, log } = world;
  if (world.random.next() < 0.5) {
    log.fault('restart', 'nats-0', `round ${round}, SIGTERM`);
    const begun = beginOutage();
    const over = begun.end();
    await servers.restart(0);
    log.tell('ready', 'nats-0');
    return over.healed();
  }
  const downMs = world.between(500, 4_000);
  log.fault('kill', 'nats-0', `round ${round}, for ${Math.round(downMs)} ms`);
  await servers.kill(0);
  const begun = beginOutage();
  await pause(downMs);
  const over = begun.end();
  await servers.restart(0);
  log.tell('ready', 'nats-0');
  return over.healed();
}

function together(cluster: ScenarioResult, single: ScenarioResult): ScenarioResult {
  const sum = (name: string): number => Number(cluster[name]) + Number(single[name]);
  return {
    ...joinParts({ cluster, single }),
    outages: sum('outages'),
    leasesLost: sum('leasesLost'),
    acceptedInOutage: sum('acceptedInOutage'),
    committedInOutage: sum('committedInOutage'),
  };
}
