// Builds what `npm run sim` runs, and writes beside it the commit that it was built from.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { builtFromFile } from '../test/simulation/built-from.ts';

const root = join(import.meta.dirname, '..');
const sources = ['src', 'test/simulation', 'tsconfig.json', 'tsconfig.simulation.json'];

function git(...argv: readonly string[]): string {
  return execFileSync('git', argv, { cwd: root, encoding: 'utf8' }).trim();
}

/** The commit, with what is not of it; empty outside of a repository. */
function commitName(): string {
  try {
    const commit = git('rev-parse', '--short', 'HEAD');
    return git('status', '--porcelain', '--', ...sources) === '' ? commit : `${commit} with uncommitted changes`;
  } catch {
    return 'unknown';
  }
}

const builtInto = join(root, 'test/simulation/dist/test/simulation');
const before = commitName();
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.simulation.json'], {
  cwd: root,
  stdio: 'inherit',
});
const after = commitName();
writeFileSync(
  join(builtInto, builtFromFile),
  before === after ? before : `${before} or ${after}: it changed meanwhile`,
);
