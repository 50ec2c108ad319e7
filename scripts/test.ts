// The whole test run, as CI does it: stage after stage until one is red. Its last line is `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { startDockerEngine, type DockerEngine } from './docker-daemon.ts';

const repository = resolve(import.meta.dirname, '..');

/** A script of package.json. `counts`: it runs vitest, whose tests are added up. */
interface Stage {
  readonly script: string;
  readonly counts: boolean;
  /** It has tests of NATS in containers. */
  readonly needsContainers?: boolean;
}

const stages: readonly Stage[] = [
  { script: 'format:check', counts: false },
  { script: 'lint', counts: false },
  { script: 'typecheck', counts: false },
  { script: 'knip', counts: false },
  { script: 'test:unit', counts: true },
  { script: 'test:models', counts: true },
  { script: 'test:contract', counts: true },
  { script: 'test:simulation', counts: true },
  { script: 'build', counts: false },
  { script: 'test:integration', counts: true, needsContainers: true },
  { script: 'test:browser', counts: true },
];

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

/** Runs a script of package.json with its output on ours; gives its exit status. */
function runScript(script: string, extra: readonly string[], environment: NodeJS.ProcessEnv): number {
  const { status } = spawnSync('npm', ['run', '--silent', script, ...(extra.length === 0 ? [] : ['--', ...extra])], {
    cwd: repository,
    env: environment,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status ?? 1;
}

/** Finds, or fetches, the nats-server that contract and integration tests run against. */
function fetchNats(): string | undefined {
  const { status, stdout } = spawnSync('npm', ['run', '--silent', 'fetch-nats'], {
    cwd: repository,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Starts a container engine of our own, where that is possible; elsewhere the tests use what engine they find.
 *
 * @throws Error when one could be had and does not start
 */
async function startEngine(binary: string): Promise<DockerEngine | undefined> {
  const engine = await startDockerEngine(binary);
  switch (engine.kind) {
    case 'started':
      process.stdout.write(`container engine: ${engine.detail}\n`);
      return engine;
    case 'impossible':
      process.stdout.write(`no container engine of our own: ${engine.reason}\n`);
      return undefined;
    case 'failed':
      throw new Error(`the container engine does not start: ${engine.reason}`);
    default:
      return engine satisfies never;
  }
}

/** Finds, or installs, the browser of the browser tests. Without one they fail by themselves, and say what to do. */
function fetchChromium(): Readonly<Record<string, string>> {
  const { status, stdout } = spawnSync('npm', ['run', '--silent', 'fetch-chromium'], {
    cwd: repository,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return status === 0 ? { CHROMIUM_BIN: stdout.trim() } : {};
}

async function readCounts(file: string): Promise<Counts> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return nothing;
  const report = JSON.parse(text) as {
    readonly numPassedTests: number;
    readonly numFailedTests: number;
    readonly numPendingTests: number;
    readonly numTodoTests: number;
  };
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** A stage's counts. A red stage without a failed test (a linter, a file that cannot be loaded) counts as one failure. */
async function runStage(stage: Stage, environment: NodeJS.ProcessEnv, folder: string): Promise<Counts> {
  const file = join(folder, `${stage.script.replace(':', '-')}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const status = runScript(stage.script, stage.counts ? reporters : [], environment);
  const counts = stage.counts ? await readCounts(file) : nothing;
  const isBlind = stage.counts && status === 0 && counts.passed === 0;
  return { ...counts, failed: status !== 0 || isBlind ? Math.max(1, counts.failed) : counts.failed };
}

/** A stage with a container engine around it. An engine that fails, or that leaves something behind, is a failure of its own. */
async function runStageWithContainers(stage: Stage, environment: NodeJS.ProcessEnv, folder: string): Promise<Counts> {
  let engine: DockerEngine | undefined;
  let engineFailures = 0;
  const countFailure = (error: unknown): void => {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
    // Elsewhere than in CI a machine may have its reasons, and the tests say by themselves that they did not run.
    if (process.env['CI'] === 'true') engineFailures += 1;
  };
  try {
    engine = await startEngine(environment['NATS_SERVER_BIN'] ?? '');
  } catch (error) {
    countFailure(error);
  }
  const promised = engine === undefined ? {} : { ...engine.environment, CABINET_TEST_DOCKER: 'required' };
  const counts = await runStage(stage, { ...environment, ...promised }, folder);
  await engine?.stop().catch(countFailure);
  return { ...counts, failed: counts.failed + engineFailures };
}

async function runAll(): Promise<Counts> {
  process.stdout.write('── fetch-nats\n');
  const binary = fetchNats();
  if (binary === undefined) return { ...nothing, failed: 1 };
  process.stdout.write('── fetch-chromium\n');
  const environment = { ...process.env, NATS_SERVER_BIN: binary, ...fetchChromium(), CI: 'true' };
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-test-'));
  let total = nothing;
  try {
    for (const stage of stages) {
      process.stdout.write(`\n── ${stage.script}\n`);
      const run = stage.needsContainers === true ? runStageWithContainers : runStage;
      const counts = await run(stage, environment, folder);
      total = {
        passed: total.passed + counts.passed,
        failed: total.failed + counts.failed,
        skipped: total.skipped + counts.skipped,
      };
      if (counts.failed > 0) {
        process.stdout.write(`\n${stage.script} failed\n`);
        break;
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return total;
}

const { passed, failed, skipped } = await runAll();
if (skipped > 0) process.stdout.write(`\n${skipped} skipped\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
