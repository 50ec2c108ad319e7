import { configDefaults } from '../../src/core/config.ts';
import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { ChaosWorld, type ScenarioOptions } from '../kit/chaos-world.ts';
import { percentile } from '../kit/percentiles.ts';
import type { Scenario, ScenarioResult } from '../kit/scenario.ts';
import { supervise } from '../kit/supervised.ts';
import type { SupervisorChild } from '../kit/supervisor-child.ts';
import { takeoverTimes } from '../kit/takeovers.ts';
import { joinParts } from '../kit/verdict.ts';
import { pause, until } from '../kit/wait.ts';

const shardCount = 16;
const nodes = 3;
const rounds = 20;
const tasksPerRound = 100;
const load = { tasksPerSecond: 30, maximumInFlight: 600, deadlineMs: 30_000 } as const;
const killIntervalMs = 2_000;
/** A shortened run has too few takeovers for a median, and gets three times that. */
const killBoundMs = 1_000;
/** The engine's own bound, which the other scenarios raise: no innocent stage may come to it. */
const config = { maxInterruptions: configDefaults.maxInterruptions };
const patienceMs = 60_000;

/** One freeze in so many kills, at least one. */
const killsPerFreeze = 7;
const machines = ['m1', 'm2', 'm3'] as const;
const freezeBoundMs = 6_000;
/** A machine sleeps until its shards are another's and a little longer, or for so long. */
const freezeMs = { beyond: 1_000, most: 15_000 } as const;

/** Node processes that are killed under their supervisor; then whole machines that freeze with their supervisors. */
export const kill: Scenario = {
  rounds,
  summary: 'a node process of a supervisor is killed every 2 s; then a machine is frozen with its supervisor',
  run: async (options, signal) => {
    const kills = await ChaosWorld.run(options, { servers: 1, shardCount, config }, signal, (world) =>
      killProcesses(world, options, signal),
    );
    signal.throwIfAborted();
    const freezes = await ChaosWorld.run(options, { servers: 1, shardCount, config }, signal, (world) =>
      freezeMachines(world, options, signal),
    );
    return joinParts({ kills, freezes });
  },
};

async function killProcesses(
  world: ChaosWorld,
  options: ScenarioOptions,
  signal: AbortSignal,
): Promise<ScenarioResult> {
  const running = await supervise(world, { baseId: 'n', nodes });
  await world.start([], load);
  for (let round = 1; round <= options.rounds; round += 1) {
    signal.throwIfAborted();
    const startedMs = performance.now();
    await until('a node process is ready', () => running.workers.length > 0, patienceMs);
    const victim = world.pick(running.workers);
    world.log.fault(
      'kill',
      victim.nodeId,
      `round ${round}, pid ${victim.pid}, of ${running.workers.length} ready`,
      victim.nodeId,
    );
    await running.kill(victim);
    await pause(Math.max(0, killIntervalMs - (performance.now() - startedMs)));
  }
  const tasks = tasksPerRound * options.rounds;
  await until(
    `${tasks} tasks are accepted`,
    async () => (await world.load.counts()).accepted.length >= tasks,
    patienceMs,
  );
  return finish(world, [running], options.rounds < rounds ? 3 * killBoundMs : killBoundMs);
}

async function freezeMachines(
  world: ChaosWorld,
  options: ScenarioOptions,
  signal: AbortSignal,
): Promise<ScenarioResult> {
  const running = await Promise.all(machines.map((baseId) => supervise(world, { baseId, nodes: 1 })));
  await world.start([], load);
  await untilBalanced(world);
  for (let round = 1; round <= Math.max(1, Math.floor(options.rounds / killsPerFreeze)); round += 1) {
    signal.throwIfAborted();
    await pause(world.between(500, 1_500));
    const victim = world.pick(running);
    const [worker] = victim.workers;
    world.log.fault('freeze', victim.baseId, `round ${round}, with its supervisor`, worker?.nodeId);
    victim.signalAll('SIGSTOP');
    const isTaken = async (): Promise<boolean> =>
      (await world.view.locks()).every(({ owner }) => owner !== null && owner.nodeId !== worker?.nodeId);
    const tookMs = await until('its shards are taken', isTaken, freezeMs.most);
    await pause(freezeMs.beyond);
    victim.signalAll('SIGCONT');
    world.log.tell('resume', victim.baseId, `its shards were taken after ${Math.round(tookMs)} ms`);
    await untilBalanced(world);
  }
  return finish(world, running, freezeBoundMs);
}

async function untilBalanced(world: ChaosWorld): Promise<void> {
  const nodeIds = machines.map((baseId) => `${baseId}-1`);
  const isBalanced = async (): Promise<boolean> =>
    (await world.view.imbalance(nodeIds).catch(() => 'not known')) === null &&
    (await world.view.unserved()).length === 0;
  await until('every machine has its part of the shards', isBalanced, patienceMs);
}

async function finish(
  world: ChaosWorld,
  running: readonly SupervisorChild[],
  boundMs: number,
): Promise<ScenarioResult> {
  const { verdict, facts } = await world.judge();
  const ended = running.filter(({ hasExited }) => hasExited).map(({ baseId }) => baseId);
  const losses = lossesOf(facts.entries);
  const { takeoverMsP50 } = verdict;
  const violations = [
    ...verdict.violations,
    ...(losses.deadLettered > 0 ? [`${losses.deadLettered} innocent tasks were dead-lettered as interrupted`] : []),
    ...ended.map((baseId) => `the supervisor ${baseId} has ended`),
    ...(takeoverMsP50 === null ? ['no task was taken over while it ran'] : []),
    ...(takeoverMsP50 !== null && takeoverMsP50 > boundMs ? [`half of the takeovers took over ${boundMs} ms`] : []),
  ];
  const ok = violations.length === 0;
  world.keep(ok, facts);
  return {
    ...verdict,
    takeoverMsP90: percentile(takeoverTimes(facts.entries, facts.faults), 0.9),
    interruptions: losses.interruptions,
    interruptionsOfOneMax: losses.most,
    cleared: losses.cleared,
    interruptedTooOften: losses.deadLettered,
    deaths: running.map(({ deaths }) => deaths),
    violations,
    ok,
  };
}

/** What the losses of owners meant for the stages that ran. Pure. */
function lossesOf(entries: readonly JournalEntry[]): {
  readonly interruptions: number;
  readonly most: number;
  readonly cleared: number;
  readonly deadLettered: number;
} {
  const counts = new Map<string, number>();
  let cleared = 0;
  let deadLettered = 0;
  for (const { task, event } of entries.flatMap(({ body }) => decodeCommit(body).records)) {
    if (event.type === 'stage.cleared') cleared += 1;
    if (event.type !== 'owner.changed') continue;
    const key = `${task}/${event.stage}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (event.decision.kind === 'deadLetter') deadLettered += 1;
  }
  const all = [...counts.values()];
  return {
    interruptions: all.reduce((sum, count) => sum + count, 0),
    most: Math.max(0, ...all),
    cleared,
    deadLettered,
  };
}
