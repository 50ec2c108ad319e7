// Does the harness bite? Makes each mistake of `test/mutants/mutants.ts` in a copy of the repository and demands that its test fails:
// `npm run mutants -- [--only id,id] [--jobs J] [--seeds N] [--write]`. With --seeds the simulator looks for each mistake that it can see, in
// N seeds at most; --write puts the table of all into docs/PROOF.md and keeps there what was not searched now. Its last line is JSON; exit code 1 when a mutant survives.
// `--outputFile.json` as vitest has it, so that `npm test` adds it up like its other stages.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { mutants, type Mutant } from '../test/mutants/mutants.ts';
import { writeMutantsTable } from '../test/mutants/mutants-table.ts';
import { PlantedCopy } from '../test/mutants/planted-copy.ts';
import { searchSeeds, type SeedSearch } from '../test/mutants/search-seeds.ts';
import { runTest, type Verdict } from '../test/mutants/run-test.ts';

/** Seeds that must be good without a mistake before the simulator is asked for any. */
const soundSeeds = 20;
const usage = 'npm run mutants -- [--only id,id] [--jobs J] [--seeds N] [--write]\n';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    seeds: { type: 'string' },
    write: { type: 'boolean', default: false },
    reporter: { type: 'string', multiple: true },
    'outputFile.json': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) end(0, usage);
const jobs = wholeNumber('jobs', values.jobs);
const maximumSeeds = wholeNumber('seeds', values.seeds ?? '0', 0);
const names = values.only?.split(',');
const unknown = names?.filter((name) => !mutants.some(({ id }) => id === name)) ?? [];
if (unknown.length > 0) {
  end(2, `there is no mutant ${unknown.join(', ')}; known are ${mutants.map(({ id }) => id).join(', ')}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const startedMs = performance.now();
if (maximumSeeds > 0) await demandSoundSimulator();
const chosen = mutants.filter(({ id }) => names === undefined || names.includes(id));
const queue = chosen.toSorted((left, right) => costOf(right) - costOf(left));
const verdicts = new Map<Mutant, Verdict>();
const searches = new Map<Mutant, SeedSearch>();
let written = Promise.resolve();
await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, () => work()));

const isCaught = (mutant: Mutant): boolean => ['caught', 'hung'].includes(verdicts.get(mutant)?.kind ?? '');
const survived = chosen.filter((mutant) => !isCaught(mutant)).map(({ id }) => id);
const caught = chosen.length - survived.length;
const report = values['outputFile.json'];
if (report !== undefined) {
  await writeFile(
    report,
    JSON.stringify({
      numPassedTests: caught,
      numFailedTests: survived.length,
      numPendingTests: 0,
      numTodoTests: 0,
    }),
  );
}
process.stdout.write(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s\n`);
process.stdout.write(`${JSON.stringify({ mutants: chosen.length, caught, survived })}\n`);
process.exitCode = survived.length === 0 ? 0 : 1;

/** A simulator that fails without a mistake would see every one. */
async function demandSoundSimulator(): Promise<void> {
  const copy = await PlantedCopy.make();
  try {
    const { seeds, says } = await searchSeeds(copy.path, Math.min(maximumSeeds, soundSeeds));
    if (seeds !== null) end(1, `the simulator fails without a mistake: ${says}\n`);
  } finally {
    await copy.remove();
  }
}

/** Tries mutants in a copy of its own until none is left. */
async function work(): Promise<void> {
  const copy = await PlantedCopy.make();
  try {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const beganMs = performance.now();
      const verdict = await copy.withMutant(mutant, async () => {
        const found = await runTest(copy.path, mutant.caughtBy);
        const isSearched = maximumSeeds > 0 && mutant.isSimulated === true;
        if (isSearched) searches.set(mutant, await searchSeeds(copy.path, maximumSeeds));
        return found;
      });
      verdicts.set(mutant, verdict);
      // After each: a long search that is ended early has told what it had found.
      if (values.write) await (written = written.then(() => writeMutantsTable({ mutants, searches, maximumSeeds })));
      tell(mutant, verdict, performance.now() - beganMs);
    }
  } finally {
    await copy.remove();
  }
}

function tell(mutant: Mutant, verdict: Verdict, tookMs: number): void {
  const word = verdict.kind === 'caught' ? 'caught' : verdict.kind.toUpperCase();
  const by = verdict.kind === 'caught' ? `: ${verdict.by}` : '';
  const search = searches.get(mutant);
  const seeds = search === undefined ? '' : `; simulator: ${search.says}`;
  process.stdout.write(
    `${word.padEnd(9)}${(tookMs / 1_000).toFixed(1).padStart(5)} s  ${mutant.id} → test/${mutant.caughtBy.file}${by}${seeds}\n`,
  );
  if (verdict.kind === 'broken') process.stdout.write(`${verdict.output}\n`);
}

/** What takes longest begins first: the simulator's searches, then tests against real servers. */
function costOf({ isSimulated, caughtBy }: Mutant): number {
  return (maximumSeeds > 0 && isSimulated ? 2 : 0) + (caughtBy.project === 'contract' ? 1 : 0);
}

function wholeNumber(name: string, text: string, least = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  return end(2, `--${name} must be a whole number from ${least}, not ${text}\n${usage}`);
}

function end(code: number, text: string): never {
  (code === 0 ? process.stdout : process.stderr).write(text);
  process.exit(code);
}
