// Does the harness bite? Makes each mistake of `test/mutants/mutants.ts` in a copy of the repository and demands that its test fails:
// `npm run mutants -- [--only id,id] [--jobs J]`. Its last line is JSON; exit code 1 when a mutant survives.
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { mutants, type Mutant } from '../test/mutants/mutants.ts';

const repository = resolve(import.meta.dirname, '..');
/** Not copied: what is large, or made. */
const leftOut = new Set(['node_modules', '.git', 'dist', 'results', '.cabinet', 'screenshots']);
/** A mutant that hangs its test is caught by it. */
const longestRunMs = 180_000;

type Verdict =
  | { readonly kind: 'caught'; readonly failedTests: number; readonly by: string }
  | { readonly kind: 'hung' }
  | { readonly kind: 'survived' }
  | { readonly kind: 'broken'; readonly output: string };

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write('npm run mutants -- [--only id,id] [--jobs J]\n');
  process.exit(0);
}
const names = values.only?.split(',');
const unknown = names?.filter((name) => !mutants.some(({ id }) => id === name)) ?? [];
if (unknown.length > 0) {
  process.stderr.write(
    `there is no mutant ${unknown.join(', ')}; known are ${mutants.map(({ id }) => id).join(', ')}\n`,
  );
  process.exit(2);
}
const chosen = mutants.filter(({ id }) => names === undefined || names.includes(id));

const queue = [...chosen];
const verdicts = new Map<Mutant, Verdict>();
const workers = Array.from({ length: Math.min(Number(values.jobs), queue.length) }, async () => {
  const copy = await copyRepository();
  try {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const verdict = await tryMutant(copy, mutant);
      verdicts.set(mutant, verdict);
      process.stdout.write(
        `${wordsOf(verdict).padEnd(24)} ${mutant.id}: ${mutant.breaks} → test/${mutant.caughtBy.file}\n`,
      );
      if (verdict.kind === 'broken') process.stdout.write(`${verdict.output}\n`);
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
});
await Promise.all(workers);
const isCaught = (mutant: Mutant): boolean => ['caught', 'hung'].includes(verdicts.get(mutant)?.kind ?? '');
const survived = chosen.filter((mutant) => !isCaught(mutant)).map(({ id }) => id);
process.stdout.write(
  `${JSON.stringify({ mutants: chosen.length, caught: chosen.length - survived.length, survived })}\n`,
);
process.exit(survived.length === 0 ? 0 : 1);

async function copyRepository(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'cabinet-mutant-'));
  await cp(repository, copy, { recursive: true, filter: (path) => !leftOut.has(basename(path)) });
  await symlink(join(repository, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Runs the mutant's test with its one edit, and takes the edit back. */
async function tryMutant(copy: string, mutant: Mutant): Promise<Verdict> {
  const path = join(copy, mutant.file);
  const original = await readFile(path, 'utf8');
  if (original.split(mutant.from).length !== 2) {
    return {
      kind: 'broken',
      output: `${mutant.file} has its line ${original.split(mutant.from).length - 1} times, not once`,
    };
  }
  await writeFile(
    path,
    original.replace(mutant.from, () => mutant.to),
  );
  try {
    return await runTest(copy, mutant);
  } finally {
    await writeFile(path, original);
  }
}

async function runTest(copy: string, { caughtBy }: Mutant): Promise<Verdict> {
  const report = join(copy, 'mutant-report.json');
  await rm(report, { force: true });
  const args = ['vitest', 'run', '--project', caughtBy.project, `test/${caughtBy.file}`];
  const child = spawn('npx', [...args, '--reporter=json', `--outputFile=${report}`], {
    cwd: copy,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  let hasHung = false;
  const timer = setTimeout(() => {
    hasHung = true;
    // The whole group: vitest runs tests in processes of its own.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, longestRunMs);
  await new Promise((ended) => child.once('close', ended));
  clearTimeout(timer);
  if (hasHung) return { kind: 'hung' };
  const text = await readFile(report, 'utf8').catch(() => null);
  if (text === null) return { kind: 'broken', output: output.slice(-2_000) };
  const { numTotalTests, numFailedTests, testResults } = JSON.parse(text) as {
    readonly numTotalTests: number;
    readonly numFailedTests: number;
    readonly testResults: readonly {
      readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
    }[];
  };
  // A file that does not even load proves nothing.
  if (numTotalTests === 0) return { kind: 'broken', output: output.slice(-2_000) };
  if (numFailedTests === 0) return { kind: 'survived' };
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed');
  return { kind: 'caught', failedTests: numFailedTests, by: failed?.fullName ?? '' };
}

function wordsOf(verdict: Verdict): string {
  return verdict.kind === 'caught' ? `caught by ${verdict.failedTests}` : verdict.kind.toUpperCase();
}
