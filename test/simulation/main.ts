// Many seeds, one after the other on each core: `npm run sim -- --seeds N [--seed S] [--minutes M] [--jobs J]`.
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';

import { formatFault, plannedKinds, type PlannedKind } from '../../src/simulation/fault-plan.ts';
import { shrinkFaults } from '../../src/simulation/shrink.ts';
import { simulate } from '../../src/simulation/simulate.ts';
import type { SimulationOptions } from '../../src/simulation/simulation-options.ts';
import { SeedSums, type SeedResult } from './seed-result.ts';
import { neverHappened, sometimesAfterSeeds } from './sometimes.ts';

/** Failing seeds that are made small and told at length; the rest is only counted. */
const maximumToldFailures = 5;
/** Seeds that a child is given at one time. */
const seedsPerOrder = 4;
const progressEveryMs = 10_000;

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '2' },
    nodes: { type: 'string' },
    tasks: { type: 'string' },
    faults: { type: 'string' },
    mask: { type: 'string' },
    log: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    counters: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
});

function optionsOf(seed: number): SimulationOptions {
  const { nodes, tasks, faults, mask, minutes } = given;
  return {
    seed,
    minutes: Number(minutes),
    ...(nodes === undefined ? {} : { nodes: Number(nodes) }),
    ...(tasks === undefined ? {} : { tasks: Number(tasks) }),
    ...(faults === undefined
      ? {}
      : { faults: plannedKinds.filter((kind) => faults.split(',').includes(kind)) satisfies PlannedKind[] }),
    ...(mask === undefined || mask === '' ? {} : { maskedFaults: mask.split(',').map(Number) }),
  };
}

async function runSeed(seed: number): Promise<SeedResult> {
  const startedMs = performance.now();
  const { history: _history, lines: _lines, plan: _plan, ...result } = await simulate(optionsOf(seed));
  return { ...result, realMs: performance.now() - startedMs };
}

/** A child runs the seeds that it is given and tells what they came to. */
function serveSeeds(): void {
  process.on('message', (seeds: readonly number[]) => {
    void (async () => {
      for (const seed of seeds) {
        try {
          process.send?.(await runSeed(seed));
        } catch (thrown) {
          process.send?.({
            seed,
            crashed: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
          });
        }
      }
      process.send?.('idle');
    })();
  });
  process.on('disconnect', () => process.exit(0));
}

type FromChild = SeedResult | { readonly seed: number; readonly crashed: string } | 'idle';

/** Every seed's result, from as many processes as jobs. */
async function runSeeds(
  first: number,
  count: number,
  jobs: number,
  onResult: (result: SeedResult) => void,
): Promise<number> {
  let next = first;
  let crashes = 0;
  const work = (child: ChildProcess): Promise<void> =>
    new Promise((resolve, reject) => {
      const order = (): void => {
        const seeds: number[] = [];
        for (; seeds.length < seedsPerOrder && next < first + count; next += 1) seeds.push(next);
        if (seeds.length > 0) child.send(seeds);
        else {
          child.disconnect();
          resolve();
        }
      };
      child.on('message', (message: FromChild) => {
        if (message === 'idle') order();
        else if ('crashed' in message) {
          crashes += 1;
          process.stdout.write(`seed ${message.seed} crashed: ${message.crashed}\n`);
        } else onResult(message);
      });
      child.on('error', reject);
      child.on('exit', (code) => {
        if (code !== 0 && code !== null) reject(new Error(`a process of the simulation ended with ${code}`));
      });
      order();
    });
  const argv = [...process.argv.slice(2), '--child'];
  const children = Array.from({ length: Math.min(jobs, count) }, () => fork(process.argv[1] ?? '', argv));
  await Promise.all(children.map((child) => work(child)));
  return crashes;
}

function commitName(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

/** Tells of a failing seed: what is broken, the fewest faults that break it, and how to run it again. */
async function tellFailure(seed: number): Promise<void> {
  const options = optionsOf(seed);
  const failed = await simulate(options);
  const shrunk = given['no-shrink']
    ? { report: failed, maskedFaults: [], runs: 0 }
    : await shrinkFaults(options, failed);
  const { report, maskedFaults } = shrunk;
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  write(`\nseed ${seed} of commit ${commitName()}: ${failed.violations.length} violations`);
  for (const { text } of report.violations.slice(0, 10)) write(`  ${text}`);
  const kept = report.plan.filter(({ id }) => !maskedFaults.includes(id));
  write(`  ${kept.length} of ${report.plan.length} faults are enough:`);
  for (const fault of kept) write(`    ${formatFault(fault)}`);
  const mask = maskedFaults.length === 0 ? '' : ` --mask ${maskedFaults.join(',')}`;
  write(`  again: npm run sim -- --seeds 1 --seed ${seed} --minutes ${given.minutes}${mask}`);
  if (!given.log) return;
  for (const { atMs, process: name, level, message, fields } of report.lines) {
    write(`  ${(atMs / 1_000).toFixed(3)} ${name} ${level} ${message} ${describe(fields)}`);
  }
}

function describe(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.message : value));
}

async function main(): Promise<void> {
  const first = Number(given.seed);
  const count = Number(given.seeds);
  const jobs = Number(given.jobs);
  const sums = new SeedSums();
  const failing: number[] = [];
  const startedMs = performance.now();
  let toldMs = startedMs;
  const note = (result: SeedResult): void => {
    sums.add(result);
    if (result.violations.length > 0) {
      failing.push(result.seed);
      process.stdout.write(
        `seed ${result.seed}: ${result.violations
          .map(({ text }) => text)
          .slice(0, 2)
          .join('; ')}\n`,
      );
    }
    if (performance.now() - toldMs < progressEveryMs) return;
    toldMs = performance.now();
    process.stdout.write(`${sums.seeds} seeds, ${failing.length} failing\n`);
  };
  let crashes = 0;
  if (jobs <= 1 || count === 1) {
    for (let seed = first; seed < first + count; seed += 1) note(await runSeed(seed));
  } else crashes = await runSeeds(first, count, jobs, note);
  const realSeconds = (performance.now() - startedMs) / 1_000;
  for (const seed of failing.toSorted((left, right) => left - right).slice(0, maximumToldFailures))
    await tellFailure(seed);
  const missing = sums.seeds >= sometimesAfterSeeds ? neverHappened(sums.counters) : [];
  for (const situation of missing) process.stdout.write(`never: ${situation}\n`);
  if (given.counters) {
    for (const [name, value] of [...sums.counters].toSorted(([left], [right]) => (left < right ? -1 : 1)))
      process.stdout.write(`${name}: ${value}\n`);
  }
  const speed = Math.round(sums.simulatedMs / sums.realMs);
  process.stdout.write(
    `commit ${commitName()}, ${realSeconds.toFixed(1)} s, ${speed} simulated seconds a second of a core, ${sums.events} events\n`,
  );
  process.stdout.write(`${JSON.stringify(sums.summary)}\n`);
  if (failing.length > 0 || missing.length > 0 || crashes > 0) process.exitCode = 1;
}

if (given.child) serveSeeds();
else await main();
