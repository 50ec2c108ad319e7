// A container engine of our own, as root on Debian and Ubuntu, for the tests that need one:
//   tsx scripts/docker-engine.ts start             holds it until Ctrl-C, and prints what to export
//   tsx scripts/docker-engine.ts run <command>…    runs a command with it
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { findNatsBinary } from '../src/platform/nats-binary.ts';
import { startDockerEngine, type DockerEngine } from './docker-daemon.ts';

/** No engine can be had here. */
const impossibleExitCode = 3;

const [verb, ...command] = process.argv.slice(2);
if (verb === 'start' && command.length === 0) await withEngine(hold);
else if (verb === 'run' && command.length > 0) await withEngine(runCommand);
else {
  process.stderr.write('usage: docker-engine.ts start | run <command>…\n');
  process.exitCode = 2;
}

async function withEngine(use: (engine: DockerEngine) => Promise<number>): Promise<void> {
  const interrupted = Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal)));
  const engine = await startDockerEngine((await findNatsBinary()).path);
  if (engine.kind !== 'started') {
    process.stderr.write(`no container engine: ${engine.kind}: ${engine.reason}\n`);
    process.exitCode = engine.kind === 'impossible' ? impossibleExitCode : 1;
    return;
  }
  process.stderr.write(`container engine: ${engine.detail}\n`);
  try {
    process.exitCode = await Promise.race([use(engine), interrupted.then(() => 130)]);
  } finally {
    await engine.stop();
  }
  process.exit();
}

async function hold(engine: DockerEngine): Promise<number> {
  for (const [name, value] of Object.entries(engine.environment)) process.stdout.write(`export ${name}=${value}\n`);
  process.stdin.resume();
  await once(process.stdin, 'end');
  return 0;
}

async function runCommand(engine: DockerEngine): Promise<number> {
  const [program = '', ...words] = command;
  const child = spawn(program, words, {
    stdio: 'inherit',
    env: { ...process.env, ...engine.environment, CABINET_TEST_DOCKER: 'required' },
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return exitCode ?? 1;
}
