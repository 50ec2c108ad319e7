import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { Mutant } from './mutants.ts';
import { runNode } from './run-node.ts';

/** A mutant that hangs its test is caught by it. */
const longestRunMs = 180_000;

/** What a test came to that must fail. */
export type Verdict =
  | { readonly kind: 'caught'; readonly by: string }
  | { readonly kind: 'hung' }
  | { readonly kind: 'survived' }
  | { readonly kind: 'broken'; readonly output: string };

interface Report {
  readonly numTotalTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Runs the one test file, in that copy of the repository, until its first failure. */
export async function runTest(copy: string, { project, file }: Mutant['caughtBy']): Promise<Verdict> {
  const reportFile = join(copy, 'mutant-report.json');
  await rm(reportFile, { force: true });
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, `test/${file}`];
  const report = ['--reporter=json', `--outputFile=${reportFile}`];
  const { output, hasHung } = await runNode(copy, [...vitest, '--bail=1', '--maxWorkers=1', ...report], longestRunMs);
  if (hasHung) return { kind: 'hung' };
  const text = await readFile(reportFile, 'utf8').catch(() => null);
  if (text === null) return { kind: 'broken', output: output.slice(-2_000) };
  const { numTotalTests, numFailedTests, testResults } = JSON.parse(text) as Report;
  // A file that does not even load proves nothing.
  if (numTotalTests === 0) return { kind: 'broken', output: output.slice(-2_000) };
  if (numFailedTests === 0) return { kind: 'survived' };
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed');
  return { kind: 'caught', by: failed?.fullName ?? 'a test' };
}
