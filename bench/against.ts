import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from './options.ts';
import { commitOf, resultLine, type ResultLine } from './result-file.ts';
import { ratiosOf, type Figures } from './statistics.ts';

/** The tree that this bench belongs to: it is compiled to `bench/dist/bench`. */
const root = fileURLToPath(new URL('../../../', import.meta.url));
/** What measures, and what it needs of the tests: of both sides this tree's, so that only the engine differs. */
const measuring = ['bench', 'test/support', 'tsconfig.bench.json'] as const;
/** Longest line of a run that is read. */
const mostOutputBytes = 64 * 1024 * 1024;

/**
 * The same measurement of this tree and of another commit, run by run in turn, in one session: what the machine does meanwhile
 * meets both. The other commit's engine is built in a worktree of its own, under this tree's bench.
 *
 * @throws Error for an unknown commit, or one that this bench does not compile with
 */
export async function compare(options: BenchOptions, ref: string, loadAverage: number): Promise<ResultLine> {
  const worktree = mkdtempSync(join(tmpdir(), 'cabinet-bench-ref-'));
  // Heard when the run that it ends has thrown: what was made is removed first.
  process.once('SIGINT', () => process.exit(130));
  try {
    buildRef(ref, worktree);
    const own: ResultLine[] = [];
    const others: ResultLine[] = [];
    const sides = [
      { tree: root, lines: own },
      { tree: worktree, lines: others },
    ] as const;
    for (let run = 0; run < options.runs; run += 1) {
      // Each side goes first as often as second.
      for (const { tree, lines } of run % 2 === 0 ? sides : sides.toReversed()) lines.push(runOnce(tree, options.args));
    }
    const [first] = own;
    if (first === undefined) throw new Error('nothing was run');
    const runs = runsOf(own);
    const theirs = runsOf(others);
    const { settings, natsServer } = first;
    return {
      ...resultLine(options, { settings, natsServer, runs }, loadAverage),
      command: `npm run bench -- ${[...options.args, '--against', ref].join(' ')}`,
      against: { ref, commit: commitOf(ref), runs: theirs, ratios: ratiosOf(runs, theirs) },
    };
  } finally {
    removeWorktree(worktree);
  }
}

function removeWorktree(worktree: string): void {
  try {
    git('worktree', 'remove', '--force', worktree);
  } catch {
    // It was never added: git has said why.
    rmSync(worktree, { recursive: true, force: true });
  }
}

function runsOf(lines: readonly ResultLine[]): readonly Figures[] {
  return lines.flatMap(({ runs }) => runs);
}

function buildRef(ref: string, worktree: string): void {
  git('worktree', 'add', '--quiet', '--detach', worktree, `${ref}^{commit}`);
  for (const path of measuring) {
    rmSync(join(worktree, path), { recursive: true, force: true });
    cpSync(join(root, path), join(worktree, path), {
      recursive: true,
      filter: (source) => !/bench\/(dist|results|peers\/node_modules)(\/|$)/.test(source),
    });
  }
  symlinkSync(join(root, 'node_modules'), join(worktree, 'node_modules'));
  // Without a check of types: an older engine may lack one that the bench names, and still have all that it calls.
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.bench.json', '--noCheck'], {
    cwd: worktree,
    stdio: 'inherit',
  });
}

function runOnce(tree: string, args: readonly string[]): ResultLine {
  const main = join(tree, 'bench/dist/bench/main.js');
  const output = execFileSync(process.execPath, [main, ...args, '--runs', '1', '--json'], {
    cwd: tree,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: mostOutputBytes,
  });
  return JSON.parse(output) as ResultLine;
}

function git(...args: readonly string[]): void {
  execFileSync('git', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
}
