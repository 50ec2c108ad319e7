// Runs the properties of the unit, model and contract tests many times as often as `npm test` does, to meet what random values show
// seldom: `npm run properties -- [--times N] [test files]`.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const repository = resolve(import.meta.dirname, '..');
const folders = ['test/unit', 'test/models', 'test/contract', 'examples'];

const { values, positionals } = parseArgs({
  options: { times: { type: 'string', default: '20' } },
  allowPositionals: true,
});

/** Test files with properties, and those of contracts that they lean on. */
function files(): readonly string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((file) => /\.(test|contract)\.ts$/.test(file) && hasProperties(file))
    .map((file) => file.replace(/\.contract\.ts$/, '.test.ts'));
}

function hasProperties(file: string): boolean {
  return readFileSync(join(repository, file), 'utf8').includes("from 'fast-check'");
}

const projects = ['unit', 'models', 'contract'].flatMap((project) => ['--project', project]);
const chosen = positionals.length === 0 ? files() : positionals;
const { status } = spawnSync('npx', ['vitest', 'run', ...projects, ...chosen], {
  cwd: repository,
  env: { ...process.env, CABINET_RUNS_FACTOR: values.times },
  stdio: ['ignore', 'inherit', 'inherit'],
});
process.exitCode = status ?? 1;
