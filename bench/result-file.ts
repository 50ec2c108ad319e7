import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { engineVersion } from '../src/platform/package-version.ts';
import type { BenchOptions, Mode } from './options.ts';
import { spreadsOf, type Figures, type Spread } from './statistics.ts';

/** Where results are kept, beside the sources; ignored by git. */
export const resultsFolder = new URL('../../results/', import.meta.url);

/** What a mode has measured. */
export interface Measured {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly natsServer: string | null;
  readonly runs: readonly Figures[];
  /** What else is to be known: sentences. */
  readonly notes?: readonly string[];
}

/** One line of a results file. */
export interface ResultLine extends Measured {
  readonly at: string;
  readonly mode: Mode;
  readonly command: string;
  readonly engine: string;
  readonly commit: string;
  readonly node: string;
  readonly machine: string;
  /** Processes that wanted to run when it began, in the mean of a minute: what the figures share the machine with. */
  readonly loadAverage: number;
  readonly figures: Readonly<Record<string, Spread>>;
  /** Of a comparison: the other commit, its runs, and this tree's medians divided by its own. */
  readonly against?: {
    readonly ref: string;
    readonly commit: string;
    readonly runs: readonly Figures[];
    readonly ratios: Figures;
  };
}

/** The line of what was measured, with all that is needed to measure it again. */
export function resultLine(options: BenchOptions, measured: Measured, loadAverage: number): ResultLine {
  return {
    at: new Date().toISOString(),
    mode: options.mode,
    command: ['npm run bench --', ...options.args].join(' '),
    engine: engineVersion,
    commit: treeCommit(),
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    loadAverage,
    ...measured,
    figures: spreadsOf(measured.runs),
  };
}

/** The machine's load of the last minute. */
export function loadAverageNow(): number {
  return Math.round((loadavg()[0] ?? 0) * 10) / 10;
}

/** The abbreviated commit of a ref; `unknown` outside of a repository. */
export function commitOf(ref: string): string {
  return git('rev-parse', '--short=12', `${ref}^{commit}`) ?? 'unknown';
}

/** The commit of this tree, with `+` where what is measured has changes. */
function treeCommit(): string {
  const isChanged = (git('status', '--porcelain', '--', 'src', 'bench') ?? '') !== '';
  return isChanged ? `${commitOf('HEAD')}+` : commitOf('HEAD');
}

function git(...args: readonly string[]): string | null {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

/** Keeps the line in the mode's file and prints it, as JSON or as a table. */
export function report(line: ResultLine, isJson: boolean): void {
  mkdirSync(resultsFolder, { recursive: true });
  appendFileSync(new URL(`${line.mode}.jsonl`, resultsFolder), `${JSON.stringify(line)}\n`);
  process.stdout.write(isJson ? `${JSON.stringify(line)}\n` : `${tableOf(line)}\n`);
}

function tableOf(line: ResultLine): string {
  const { mode, command, engine, commit, node, natsServer, machine, loadAverage, settings, figures, against } = line;
  const names = Object.keys(figures);
  const width = Math.max(...names.map((name) => name.length));
  const rows = names.map((name) => {
    const { median, least, most } = figures[name] as Spread;
    const ratio = against?.ratios[name];
    const compared = ratio === undefined ? '' : `   ${ratio} × ${against?.ref}`;
    return `${name.padEnd(width)}  ${String(median).padStart(10)}   (${least} – ${most})${compared}`;
  });
  return [
    command,
    `${mode} ${JSON.stringify(settings)}`,
    `engine ${engine} at ${commit}, Node ${node}, nats-server ${natsServer ?? 'none'}, ${machine}, load average ${loadAverage}`,
    `median (least – most) of ${line.runs.length} runs`,
    ...rows,
    ...(line.notes ?? []),
  ].join('\n');
}
