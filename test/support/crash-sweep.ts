import type { CrashPoint } from './crash-points.ts';
import type { CrashScenario } from './crash-scenarios.ts';
import { verdictOf } from './crash-verdict.ts';
import { CrashWorld, type CrashProcess } from './crash-world.ts';

/** One run of a scenario under processes that die. */
export interface CrashRun {
  readonly points: readonly CrashPoint[];
  /** The call at each point. */
  readonly calls: readonly string[];
  /** The process that came in place of the last that died at a point, by its place among all; null when there was none. */
  readonly replacement: { readonly process: number; readonly calls: readonly string[] } | null;
  /** Every call of the scenario's processes, in the order of their starts; those that come up afterwards are left out. */
  readonly callsByProcess: readonly (readonly string[])[];
  /** Points that no process came to: the scenario had ended before. */
  readonly missed: number;
  /** Every broken promise, with the run that broke it. */
  readonly violations: readonly string[];
}

/** Two deaths, one after the other: the second of the process that came in place of the first. */
export type CrashPair = readonly [CrashPoint, CrashPoint];

/** Both sides of a call. */
export const sides = ['before', 'after'] as const;

/**
 * Runs a scenario under processes that die at these points, then ends all that live and lets new ones come up, and holds the
 * journal, the effects, the answers and what the new processes show against each other.
 */
export async function runCrashes(scenario: CrashScenario, points: readonly CrashPoint[]): Promise<CrashRun> {
  const world = new CrashWorld(points, scenario.config);
  const violations: string[] = [];
  for (const nodeId of scenario.nodes ?? ['node-1']) world.launch(nodeId);
  const dead = new Set<number>();
  let callsByProcess: readonly (readonly string[])[] = [];
  try {
    await world.survive(scenario.run(world));
    world.spare();
    callsByProcess = world.processes.map(({ mortal }) => [...mortal.calls]);
    for (const [process, { mortal }] of world.processes.entries()) if (mortal.isDead) dead.add(process);
    world.restartAll();
    violations.push(...(await verdictOf(world, scenario)));
  } catch (error) {
    violations.push(...world.failures, `it did not end: ${String(error)}`);
  }
  const calls = points.map(({ process, at }) => world.processes[process]?.mortal.calls[at - 1] ?? 'never made');
  const replacement = replacementOf(world, points, callsByProcess);
  const missed = points.filter(({ process }) => !dead.has(process)).length;
  for (const { mortal } of world.processes) mortal.kill();
  const where = points
    .map(({ process, when }, index) => `${when} ${calls[index]} of process ${process}`)
    .join(', then ');
  return {
    points,
    calls,
    replacement,
    callsByProcess,
    missed,
    violations: violations.map(
      (what) => `${scenario.name}, crash ${where || 'nowhere'}: ${what} ${JSON.stringify(points)}`,
    ),
  };
}

function replacementOf(
  world: CrashWorld,
  points: readonly CrashPoint[],
  callsByProcess: CrashRun['callsByProcess'],
): CrashRun['replacement'] {
  const last = points.at(-1);
  const died: CrashProcess | undefined = last === undefined ? undefined : world.processes[last.process];
  const process = world.processes.findIndex(({ replaces }) => died !== undefined && replaces === died);
  const calls = callsByProcess[process];
  return calls === undefined ? null : { process, calls };
}

/** Every single point of a scenario, in the order of the calls of the run that nobody interrupts. */
export async function pointsOf(scenario: CrashScenario): Promise<readonly CrashPoint[]> {
  const { callsByProcess, violations } = await runCrashes(scenario, []);
  if (violations.length > 0) throw new Error(violations.join('\n'));
  return callsByProcess.flatMap((calls, process) =>
    calls.flatMap((_call, index) => sides.map((when): CrashPoint => ({ process, at: index + 1, when }))),
  );
}

/** Every second death after the single ones: at each call of the process that came in place of the first. */
export function* pairsOf(singles: readonly CrashRun[]): Generator<CrashPair> {
  for (const { points, replacement } of singles) {
    const [first] = points;
    if (first === undefined || replacement === null) continue;
    for (let at = 1; at <= replacement.calls.length; at += 1) {
      for (const when of sides) yield [first, { process: replacement.process, at, when }];
    }
  }
}

/** Pairs that were chosen to be run, and what share of all kinds of pairs they are. */
export interface PairSample {
  readonly pairs: readonly CrashPair[];
  readonly kinds: number;
  readonly allKinds: number;
  readonly allPairs: number;
}

/**
 * A sample of the pairs, the same each time: one of each kind first, as far as `size` goes, the rest evenly over all. Two pairs are of
 * one kind when both deaths are on the same side of a call of the same name.
 */
export function samplePairs(singles: readonly CrashRun[], size: number): PairSample {
  const all = [...pairsOf(singles)];
  const nameOf = new Map(singles.map((run) => [run.points[0], run]));
  const byKind = new Map<string, CrashPair>();
  // A stride that shares no factor with most counts, so that each kind is taken from somewhere else in the scenario.
  for (const pair of scattered(all)) {
    const [first, second] = pair;
    const run = nameOf.get(first);
    const kind = `${first.when} ${run?.calls[0]} ${second.when} ${run?.replacement?.calls[second.at - 1]}`;
    if (!byKind.has(kind)) byKind.set(kind, pair);
  }
  const ofKinds = evenly([...byKind.values()], size);
  const chosen = new Set(ofKinds);
  for (const pair of evenly(all, Math.max(0, size - ofKinds.length))) chosen.add(pair);
  return { pairs: [...chosen], kinds: ofKinds.length, allKinds: byKind.size, allPairs: all.length };
}

const scatterStride = 7_919;

function* scattered<Item>(items: readonly Item[]): Generator<Item> {
  const stride = items.length % scatterStride === 0 ? 1 : scatterStride;
  for (let index = 0; index < items.length; index += 1) yield items[(index * stride) % items.length] as Item;
}

function evenly<Item>(items: readonly Item[], count: number): readonly Item[] {
  if (count >= items.length) return items;
  return Array.from({ length: count }, (_, index) => items[Math.floor((index * items.length) / count)] as Item);
}
