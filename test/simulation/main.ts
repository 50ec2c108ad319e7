// Many seeds, one after the other on each core: `npm run sim -- --seeds N [--seed S] [--minutes M] [--jobs J]`; for hours:
// `npm run sim -- --for MINUTES [--seed S]`. SIGINT and SIGTERM end a run early, with the same last lines.
import { parseArgs } from 'node:util';

import { plannedKinds, type PlannedKind } from '../../src/simulation/fault-plan.ts';
import { simulate } from '../../src/simulation/simulate.ts';
import type { SimulationOptions } from '../../src/simulation/simulation-options.ts';
import { builtFrom } from './built-from.ts';
import { FailureTeller } from './failure-teller.ts';
import { SeedPool } from './seed-pool.ts';
import { SeedSums, type SeedResult } from './seed-result.ts';
import { neverHappened, sometimesAfterSeeds } from './sometimes.ts';

const progressEveryMs = 60_000;
const usualSeeds = 100;

// Faults make thousands of errors a second, whose stacks nobody reads.
const usualStackDepth = Error.stackTraceLimit;
Error.stackTraceLimit = 0;

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '5' },
    for: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    nodes: { type: 'string' },
    tasks: { type: 'string' },
    faults: { type: 'string' },
    mix: { type: 'string', default: 'dense' },
    mask: { type: 'string' },
    log: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    counters: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
});

function numberOf(name: 'seeds' | 'seed' | 'minutes' | 'for' | 'jobs' | 'nodes' | 'tasks', least: number): number {
  const value = Number(given[name]);
  if (Number.isFinite(value) && value >= least) return value;
  throw new Error(`--${name} must be a number from ${least}, not ${given[name]}`);
}

function optionsOf(seed: number): SimulationOptions {
  const { nodes, tasks, faults, mask, mix } = given;
  if (mix !== 'dense' && mix !== 'sparse') throw new Error(`--mix must be dense or sparse, not ${mix}`);
  return {
    seed,
    minutes: numberOf('minutes', 0),
    mix,
    ...(nodes === undefined ? {} : { nodes: numberOf('nodes', 0) }),
    ...(tasks === undefined ? {} : { tasks: numberOf('tasks', 0) }),
    ...(faults === undefined
      ? {}
      : { faults: plannedKinds.filter((kind) => faults.split(',').includes(kind)) satisfies PlannedKind[] }),
    ...(mask === undefined || mask === '' ? {} : { maskedFaults: mask.split(',').map(Number) }),
  };
}

/** The arguments that make the same run of a seed. */
function againArguments(): string {
  const { minutes, mix, nodes, tasks, faults } = given;
  const named = Object.entries({ minutes, mix, nodes, tasks, faults });
  return named.flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${value}`])).join(' ');
}

async function runSeed(seed: number): Promise<SeedResult> {
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const { history: _history, lines: _lines, plan, ...result } = await simulate(optionsOf(seed));
  const { user, system } = process.cpuUsage(before);
  return {
    ...result,
    plannedFaults: plan.length,
    realMs: performance.now() - startedMs,
    cpuMs: (user + system) / 1_000,
  };
}

/** A child runs the seeds that it is given and tells what they came to. The end of the run is its parent's to decide. */
function serveSeeds(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.on('message', (seeds: readonly number[]) => {
    void (async () => {
      for (const seed of seeds) {
        try {
          process.send?.(await runSeed(seed));
        } catch {
          process.send?.({ seed, crashed: await crashOf(seed) });
        }
      }
      process.send?.('idle');
    })();
  });
  process.on('disconnect', () => process.exit(0));
}

/** Why a seed throws: it is run again, with stacks. */
async function crashOf(seed: number): Promise<string> {
  Error.stackTraceLimit = usualStackDepth;
  try {
    await simulate(optionsOf(seed));
    return 'and did not when it was run again';
  } catch (thrown) {
    return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  } finally {
    Error.stackTraceLimit = 0;
  }
}

/** Runs seeds in this process, one after the other. */
async function runHere(
  nextSeed: () => number | null,
  onResult: (result: SeedResult) => void,
  onCrash: (seed: number, how: string) => void,
): Promise<void> {
  for (let seed = nextSeed(); seed !== null; seed = nextSeed()) {
    try {
      onResult(await runSeed(seed));
    } catch {
      onCrash(seed, await crashOf(seed));
    }
  }
}

async function main(): Promise<void> {
  const first = numberOf('seed', 0);
  const count = given.seeds !== undefined ? numberOf('seeds', 1) : given.for === undefined ? usualSeeds : Infinity;
  const jobs = Math.min(numberOf('jobs', 1), count);
  const commit = builtFrom(import.meta.dirname);
  const sums = new SeedSums();
  const failures = new FailureTeller({
    commit,
    optionsOf,
    shrinks: !given['no-shrink'],
    logs: given.log,
    again: againArguments(),
    write: (line) => void process.stdout.write(`${line}\n`),
  });
  let crashes = 0;
  let next = first;
  let isStopped = false;
  const nextSeed = (): number | null => {
    if (isStopped || next >= first + count) return null;
    next += 1;
    return next - 1;
  };
  const onResult = (result: SeedResult): void => {
    if (isStopped) return;
    sums.add(result);
    if (result.violations.length > 0) failures.failed(result);
  };
  const onCrash = (seed: number, how: string): void => {
    crashes += 1;
    process.stdout.write(`seed ${seed} crashed: ${how}\n`);
  };
  const pool = new SeedPool({
    jobs,
    program: process.argv[1] ?? '',
    argv: [...process.argv.slice(2), '--child'],
    execArgv: process.execArgv,
    nextSeed,
    onResult,
    onCrash,
  });
  const stop = (): void => {
    isStopped = true;
    failures.hurry();
    pool.stop();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const limit = given.for === undefined ? undefined : setTimeout(stop, numberOf('for', 0) * 60_000);
  const startedMs = performance.now();
  const seconds = (): string => ((performance.now() - startedMs) / 1_000).toFixed(1);
  const progress = setInterval(() => {
    process.stderr.write(`${seconds()} s, ${failures.count} failing: ${JSON.stringify(sums.summary)}\n`);
  }, progressEveryMs);
  process.stderr.write(`commit ${commit}, seeds from ${first} on, ${jobs} at a time\n`);
  await (jobs > 1 ? pool.run() : runHere(nextSeed, onResult, onCrash));
  clearTimeout(limit);
  clearInterval(progress);
  await failures.told();
  const missing = sums.seeds >= sometimesAfterSeeds ? neverHappened(sums.counters) : [];
  for (const situation of missing) process.stdout.write(`never: ${situation}\n`);
  if (given.counters) {
    for (const [name, value] of [...sums.counters].toSorted(([left], [right]) => (left < right ? -1 : 1)))
      process.stdout.write(`${name}: ${value}\n`);
  }
  process.stdout.write(`${sums.mix}\ncommit ${commit}, seeds from ${first} on, ${seconds()} s\n`);
  process.stdout.write(`${JSON.stringify(sums.summary)}\n`);
  process.exitCode = failures.count > 0 || missing.length > 0 || crashes > 0 ? 1 : 0;
}

if (given.child) serveSeeds();
else await main();
