import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { ChaosWorld, type ScenarioOptions } from '../kit/chaos-world.ts';
import { handoversOf } from '../kit/handovers.ts';
import { percentile } from '../kit/percentiles.ts';
import type { Scenario, ScenarioResult } from '../kit/scenario.ts';
import { supervise } from '../kit/supervised.ts';
import type { SupervisedLine, SupervisorChild } from '../kit/supervisor-child.ts';
import { joinParts } from '../kit/verdict.ts';
import { pause, until } from '../kit/wait.ts';

const shardCount = 16;
const nodes = 3;
const rounds = 8;
const load = { tasksPerSecond: 15, maximumInFlight: 600, deadlineMs: 30_000 } as const;

interface Pace {
  readonly intervalMs: number;
  /** Longest that a driver takes; most of them take little. */
  readonly longestMs: number;
  /** More than any driver takes, with what a busy machine adds. */
  readonly longGraceMs: number;
  /** So little that it cuts long drivers off. */
  readonly shortGraceMs: number;
}

const fullPace: Pace = { intervalMs: 8_000, longestMs: 10_000, longGraceMs: 20_000, shortGraceMs: 1_000 };
/** Of a shortened run. */
const shortPace: Pace = { intervalMs: 2_000, longestMs: 1_500, longGraceMs: 10_000, shortGraceMs: 100 };
/** From an owner's return of a shard to the next owner's first answer; of a shortened run for half of them, of a full one for all. */
const takeoverBoundMs = 1_000;
const patienceMs = 180_000;
const rolledLine = 'the rolling restart is done';

/** Restarts in good order, again and again, of nodes under one supervisor and of supervisors in turn. */
export const rolling: Scenario = {
  rounds,
  summary:
    'rolling restarts every 8 s with drivers of up to 10 s: SIGUSR2 with a long and a short grace, SIGTERM in turn',
  run: async (options, signal) => {
    const pace = options.rounds < rounds ? shortPace : fullPace;
    const part = (graceMs: number, restart: Restart): Promise<ScenarioResult> =>
      ChaosWorld.run(options, worldOptions(graceMs), signal, (world) =>
        restart(world, { graceMs, pace, options, signal }),
      );
    const roll = await part(pace.longGraceMs, rollNodes);
    signal.throwIfAborted();
    const shortGrace = await part(pace.shortGraceMs, rollNodes);
    signal.throwIfAborted();
    const turns = await part(pace.longGraceMs, restartInTurn);
    return joinParts({ roll, shortGrace, turns });
  },
};

interface RestartOptions {
  readonly graceMs: number;
  readonly pace: Pace;
  readonly options: ScenarioOptions;
  readonly signal: AbortSignal;
}

type Restart = (world: ChaosWorld, options: RestartOptions) => Promise<ScenarioResult>;

function worldOptions(graceMs: number): Parameters<typeof ChaosWorld.run>[1] {
  return { servers: 1, shardCount, config: { drainGraceMs: graceMs, abortGraceMs: 1_000 } };
}

const env = { CABINET_LOG_LEVEL: 'debug' };

/** SIGUSR2 every 8 s: a roll that is asked for while one goes on follows it. */
async function rollNodes(world: ChaosWorld, restart: RestartOptions): Promise<ScenarioResult> {
  const { pace, options, signal } = restart;
  const running = await supervise(world, { baseId: 'n', nodes, env });
  await world.start([], { ...load, longestMs: pace.longestMs });
  await pause(world.between(1_000, 2_000));
  for (let round = 1; round <= options.rounds; round += 1) {
    signal.throwIfAborted();
    world.log.fault('roll', running.baseId, `round ${round}; ${running.count(rolledLine)} rolls are done`);
    running.signal('SIGUSR2');
    if (round < options.rounds) await pause(pace.intervalMs);
  }
  const begun = (): number => running.count('a rolling restart begins');
  await until('the last roll is done', () => begun() > 0 && running.count(rolledLine) === begun(), patienceMs);
  const stopped = running.lines.filter(({ msg }) => msg === 'a node process has drained').length;
  return finish(world, { ...restart, all: [running], exitCodes: [], rolls: begun(), stopped });
}

/** SIGTERM to one supervisor of one node every 8 s, and another start, as an orchestrator does. */
async function restartInTurn(world: ChaosWorld, restart: RestartOptions): Promise<ScenarioResult> {
  const { pace, options, signal } = restart;
  const names = ['m1', 'm2', 'm3'];
  const running = new Map<string, SupervisorChild>();
  const all: SupervisorChild[] = [];
  const exitCodes: (number | null)[] = [];
  const start = async (baseId: string): Promise<void> => {
    const started = await supervise(world, { baseId, nodes: 1, env });
    running.set(baseId, started);
    all.push(started);
  };
  for (const baseId of names) await start(baseId);
  await world.start([], { ...load, longestMs: pace.longestMs });
  await pause(world.between(2_000, 3_000));
  for (let round = 1; round <= options.rounds; round += 1) {
    signal.throwIfAborted();
    const startedMs = performance.now();
    const baseId = names[(round - 1) % names.length] as string;
    world.log.fault('terminate', baseId, `round ${round}`);
    const code = await (running.get(baseId) as SupervisorChild).terminate();
    exitCodes.push(code);
    world.log.tell('ended', baseId, `exit code ${code}, ${Math.round(performance.now() - startedMs)} ms`);
    await start(baseId);
    await pause(Math.max(0, pace.intervalMs - (performance.now() - startedMs)));
  }
  return finish(world, { ...restart, all, exitCodes, rolls: 0, stopped: exitCodes.length });
}

async function finish(
  world: ChaosWorld,
  restarts: RestartOptions & {
    readonly all: readonly SupervisorChild[];
    readonly exitCodes: readonly (number | null)[];
    readonly rolls: number;
    readonly stopped: number;
  },
): Promise<ScenarioResult> {
  const { verdict, facts } = await world.judge();
  const { graceMs, pace, all, exitCodes, rolls, stopped } = restarts;
  // The last stop is judged as every other.
  const lastCodes = await Promise.all(all.filter(({ hasExited }) => !hasExited).map((one) => one.terminate()));
  const lines = all.flatMap((one) => one.lines);
  const handovers = handoversOf(lines);
  const takeoverMs = handovers.map((one) => one.takeoverMs);
  const cut = cutOff(facts.entries);
  const codes = [...exitCodes, ...lastCodes];
  const unclean = uncleanLines(lines);
  const isLong = graceMs >= pace.longestMs;
  const takeoverMsP50 = percentile(takeoverMs, 0.5);
  const takeoverMsMax = percentile(takeoverMs, 1);
  const boundedMs = pace === fullPace ? takeoverMsMax : takeoverMsP50;
  const violations = [
    ...verdict.violations,
    ...codes.filter((code) => code !== 0).map((code) => `a supervisor ended with ${code} after SIGTERM`),
    ...unclean.map(({ msg, node, reason }) => `${node}: ${msg}: ${reason}`),
    ...(stopped === 0 ? ['nothing was started anew'] : []),
    ...(cut.lost > 0 ? [`${cut.lost} running stages were lost at a handover`] : []),
    ...(isLong && cut.released > 0 ? [`${cut.released} stages were cut off within the grace`] : []),
    ...(!isLong && cut.released === 0 ? ['no stage was cut off by the short grace'] : []),
    ...(takeoverMsP50 === null ? ['no shard was handed over'] : []),
    ...(boundedMs !== null && boundedMs > takeoverBoundMs
      ? [`a released shard was served again only after ${boundedMs} ms`]
      : []),
  ];
  const ok = violations.length === 0;
  world.keep(ok, facts);
  return {
    ...verdict,
    takeovers: handovers.length,
    takeoverMsP50,
    takeoverMsP99: percentile(takeoverMs, 0.99),
    takeoverMsMax,
    drainMsP50: percentile(
      handovers.map(({ drainMs }) => drainMs),
      0.5,
    ),
    drainMsMax: percentile(
      handovers.map(({ drainMs }) => drainMs),
      1,
    ),
    graceMs,
    rolls,
    restarts: stopped,
    exitCodes: codes,
    released: cut.released,
    ownerChanged: cut.lost,
    violations,
    ok,
  };
}

/** Running stages that an owner released in good order, and those that the next owner found running. Pure. */
function cutOff(entries: readonly JournalEntry[]): { readonly released: number; readonly lost: number } {
  const events = entries.flatMap(({ body }) => decodeCommit(body).records.map(({ event }) => event.type));
  return {
    released: events.filter((type) => type === 'stage.released').length,
    lost: events.filter((type) => type === 'owner.changed').length,
  };
}

/** Node processes that ended otherwise than drained. */
function uncleanLines(lines: readonly SupervisedLine[]): readonly SupervisedLine[] {
  return lines.filter(
    ({ msg }) => msg === 'a node process has ended' || msg.startsWith('the rolling restart has stopped'),
  );
}
