// The whole test run, as CI does it: group after group of stages until one is red. Its last line is `N passed, N failed`.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { startDockerEngine, type DockerEngine } from './docker-daemon.ts';

const repository = resolve(import.meta.dirname, '..');
const closeTimeoutMs = 10_000;

/** A script of package.json. */
interface Stage {
  readonly script: string;
  /** Arguments for it. */
  readonly args?: readonly string[];
  /** It runs vitest, whose tests are added up. */
  readonly counts?: boolean;
  /** It has tests of NATS in containers. */
  readonly needsContainers?: boolean;
  /** It only computes: it takes what the tests beside it, which mostly wait, leave of the machine. */
  readonly isPolite?: boolean;
}

/** Stages one after the other. */
type Lane = readonly Stage[];

/** As many as two cores simulate in three minutes; from 400 on every situation of the list must have come. */
const simulatedSeeds = ['--seeds', '1100', '--minutes', '1', '--tasks', '25'];

/** Lanes beside each other, made for two cores. The next group begins when all have ended, and only if all are green. */
const groups: readonly (readonly Lane[])[] = [
  [
    [{ script: 'format:check' }, { script: 'knip' }],
    [{ script: 'lint' }, { script: 'typecheck' }],
  ],
  // One computes on both cores, the other waits for servers.
  [[{ script: 'test:unit', counts: true }], [{ script: 'test:contract', counts: true }]],
  [[{ script: 'build' }], [{ script: 'test:simulation', counts: true }]],
  [
    [{ script: 'test:integration', counts: true, needsContainers: true }],
    [
      { script: 'test:models', counts: true, isPolite: true },
      { script: 'test:mutants', counts: true, isPolite: true },
      { script: 'sim', args: simulatedSeeds, isPolite: true },
    ],
  ],
  [[{ script: 'test:browser', counts: true }]],
];

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

function sum(all: readonly Counts[]): Counts {
  return all.reduce(
    (total, one) => ({
      passed: total.passed + one.passed,
      failed: total.failed + one.failed,
      skipped: total.skipped + one.skipped,
    }),
    nothing,
  );
}

/** Where the output of a stage goes: straight on where it runs alone, else whole at its end. */
type Output = 'live' | 'whole';

/** Runs a script of package.json; gives its exit status. */
function runScript(
  { script, args = [], isPolite = false }: Stage,
  extra: readonly string[],
  environment: NodeJS.ProcessEnv,
  output: Output,
): Promise<number> {
  const given = [...args, ...extra];
  const command = ['npm', 'run', '--silent', script, ...(given.length === 0 ? [] : ['--', ...given])];
  const [file = '', ...rest] = isPolite ? ['nice', '-n', '19', ...command] : command;
  const pipe = output === 'live' ? 'inherit' : 'pipe';
  const startedMs = performance.now();
  process.stdout.write(output === 'live' ? `\n── ${script}\n` : `── ${script} begins\n`);
  const child = spawn(file, rest, { cwd: repository, env: environment, stdio: ['ignore', pipe, pipe] });
  const parts: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part: Buffer) => parts.push(part));
  return new Promise((settle, reject) => {
    let closing: NodeJS.Timeout | undefined;
    const end = (status: number): void => {
      clearTimeout(closing);
      if (output === 'whole') process.stdout.write(Buffer.concat([Buffer.from(`\n── ${script}\n`), ...parts]));
      process.stdout.write(`── ${script}: ${Math.round((performance.now() - startedMs) / 1_000)} s\n`);
      settle(status);
    };
    child.once('error', reject);
    child.once('close', (code) => end(code ?? 1));
    // What a stage leaves running may hold its output open.
    child.once('exit', (code) => {
      closing = setTimeout(() => {
        child.removeAllListeners('close');
        for (const stream of [child.stdout, child.stderr]) stream?.destroy();
        end(code ?? 1);
      }, closeTimeoutMs);
    });
  });
}

/** Finds, or fetches, what tests need, by a script that prints its path. */
function fetchPath(script: string): string | undefined {
  process.stdout.write(`── ${script}\n`);
  const { status, stdout } = spawnSync('npm', ['run', '--silent', script], {
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

interface Run {
  readonly environment: NodeJS.ProcessEnv;
  /** For the reports of vitest. */
  readonly folder: string;
  readonly output: Output;
}

/** A stage's counts. A red stage without a failed test (a linter, a file that cannot be loaded) counts as one failure. */
async function runStage(stage: Stage, { environment, folder, output }: Run): Promise<Counts> {
  const file = join(folder, `${stage.script.replace(':', '-')}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const status = await runScript(stage, stage.counts === true ? reporters : [], environment, output);
  const counts = stage.counts === true ? await readCounts(file) : nothing;
  const isBlind = stage.counts === true && status === 0 && counts.passed === 0;
  const failed = status !== 0 || isBlind ? Math.max(1, counts.failed) : counts.failed;
  if (failed > 0) process.stdout.write(`\n${stage.script} failed\n`);
  return { ...counts, failed };
}

/** A stage with a container engine around it. An engine that fails, or that leaves something behind, is a failure of its own. */
async function runStageWithContainers(stage: Stage, run: Run): Promise<Counts> {
  const { environment } = run;
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
  const counts = await runStage(stage, { ...run, environment: { ...environment, ...promised } });
  await engine?.stop().catch(countFailure);
  return { ...counts, failed: counts.failed + engineFailures };
}

/** A lane's stages until one is red. */
async function runLane(lane: Lane, run: Run): Promise<Counts> {
  let total = nothing;
  for (const stage of lane) {
    const counts = await (stage.needsContainers === true ? runStageWithContainers : runStage)(stage, run);
    total = sum([total, counts]);
    if (counts.failed > 0) break;
  }
  return total;
}

async function runAll(): Promise<Counts> {
  const nats = fetchPath('fetch-nats');
  if (nats === undefined) return { ...nothing, failed: 1 };
  // Without a browser its tests fail by themselves, and say what to do.
  const chromium = fetchPath('fetch-chromium');
  const environment = {
    ...process.env,
    NATS_SERVER_BIN: nats,
    ...(chromium === undefined ? {} : { CHROMIUM_BIN: chromium }),
    CI: 'true',
  };
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-test-'));
  let total = nothing;
  try {
    for (const lanes of groups) {
      const output = lanes.length === 1 ? 'live' : 'whole';
      const counts = await Promise.all(lanes.map((lane) => runLane(lane, { environment, folder, output })));
      total = sum([total, ...counts]);
      if (total.failed > 0) break;
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
