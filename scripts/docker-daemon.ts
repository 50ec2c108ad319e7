import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { readNatsVersion } from '../src/platform/nats-version.ts';
import { askDocker } from './docker-api.ts';
import { importNatsImage } from './docker-image.ts';
import { findDockerPrograms, findOnPath } from './docker-packages.ts';

const readyTimeoutMs = 30_000;
const pollIntervalMs = 50;
const logLines = 15;
/** Capabilities without which nobody can mount file systems and make bridges: bit numbers of Linux. */
const neededCapabilities = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

const script = (name: string): string => resolve(import.meta.dirname, name);

/** A container engine of our own. */
export interface DockerEngine {
  readonly kind: 'started';
  /** What the tests are given to use it. */
  readonly environment: Readonly<Record<string, string>>;
  /** For people. */
  readonly detail: string;
  /** Ends it with all its containers, and removes everything that it made. @throws Error that tells what is left */
  stop(): Promise<void>;
}

/** An engine, or why there is none: the machine does not allow one, or one was there to be started and did not. */
export type DockerEngineStart =
  | DockerEngine
  | { readonly kind: 'impossible'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/**
 * Starts a container engine beside any other on the machine, with an image of a nats-server.
 *
 * It lives in mount and process namespaces of its own and has its data in a temp folder: its mounts, what it would write
 * to `/etc`, `/run` and `/opt`, and all its processes end with it. It has no default bridge and leaves firewall and
 * forwarding alone. When this process ends, however that happens, a guard ends the engine and cleans up.
 */
export async function startDockerEngine(natsBinary: string): Promise<DockerEngineStart> {
  const obstacle = await findObstacle();
  if (obstacle !== undefined) return { kind: 'impossible', reason: obstacle };
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-docker-'));
  const guard = new Guard(folder);
  const programs = await findDockerPrograms(folder);
  if (typeof programs === 'string') {
    await guard.release();
    return { kind: 'impossible', reason: programs };
  }
  const socketPath = join(folder, 'docker.sock');
  const daemon = await spawnDaemon(folder, programs, guard);
  try {
    await untilReady(socketPath, daemon);
    const answer = await readNatsVersion(natsBinary);
    const version = answer.kind === 'nats-server' ? answer.version : 'unknown';
    const image = await importNatsImage({ socketPath, binary: natsBinary, version, folder: join(folder, 'image') });
    return {
      kind: 'started',
      environment: {
        DOCKER_HOST: `unix://${socketPath}`,
        // Its image would have to come from a registry; the guard does its work.
        TESTCONTAINERS_RYUK_DISABLED: 'true',
        TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
        CABINET_TEST_NATS_IMAGE: image,
      },
      detail: `dockerd (${programs.origin}), image ${image}`,
      stop: async () => {
        await removeNetworks(socketPath);
        await guard.release();
      },
    };
  } catch (error) {
    const log = (await readFile(join(folder, 'dockerd.log'), 'utf8').catch(() => '')).trimEnd().split('\n');
    await guard.release();
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'failed', reason: [reason, 'the end of its log:', ...log.slice(-logLines)].join('\n') };
  }
}

/** Why no engine can run on this machine, or undefined. */
async function findObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `it needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'it needs root';
  const status = await readFile('/proc/self/status', 'utf8');
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  for (const [name, bit] of Object.entries(neededCapabilities)) {
    if ((held & (1n << BigInt(bit))) === 0n) return `this root lacks ${name}`;
  }
  for (const program of ['unshare', 'setpriv', 'tar']) {
    if ((await findOnPath(program)) === undefined) return `there is no ${program}`;
  }
  return undefined;
}

async function spawnDaemon(
  folder: string,
  programs: { readonly dockerd: string; readonly environment: NodeJS.ProcessEnv },
  guard: Guard,
): Promise<ChildProcess> {
  const inside = join(folder, 'inside');
  const dockerd = [
    programs.dockerd,
    `--host=unix://${join(folder, 'docker.sock')}`,
    `--data-root=${join(inside, 'data')}`,
    `--exec-root=${join(inside, 'exec')}`,
    `--pidfile=${join(inside, 'docker.pid')}`,
    `--cgroup-parent=/${basename(folder)}`,
    `--default-address-pool=base=${guard.addressPool},size=28`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-masq=false',
    '--ip-forward=false',
  ];
  // The first: when this process dies, so does the engine, although its own session keeps a terminal's interrupt from it.
  const namespaces = 'setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child --mount-proc --'.split(' ');
  const [program = '', ...words] = [...namespaces, 'sh', script('docker-inside.sh'), inside, ...dockerd];
  const log = openSync(join(folder, 'dockerd.log'), 'a');
  try {
    const daemon = spawn(program, words, {
      env: programs.environment,
      stdio: ['ignore', log, log],
      detached: true,
    });
    await once(daemon, 'spawn');
    guard.watch(daemon.pid ?? 0);
    return daemon;
  } finally {
    closeSync(log);
  }
}

async function untilReady(socketPath: string, daemon: ChildProcess): Promise<void> {
  const deadlineAt = Date.now() + readyTimeoutMs;
  for (;;) {
    const answer = await askDocker(socketPath, { method: 'GET', path: '/_ping' }).catch(() => undefined);
    if (answer !== undefined) return;
    if (daemon.exitCode !== null || daemon.signalCode !== null) {
      throw new Error(`dockerd ended at once with ${daemon.exitCode ?? daemon.signalCode}`);
    }
    if (Date.now() > deadlineAt) throw new Error(`dockerd does not answer within ${readyTimeoutMs} ms`);
    await sleep(pollIntervalMs);
  }
}

/** Bridges outlive their engine; without containers it removes them itself, also where there is no `ip`. */
async function removeNetworks(socketPath: string): Promise<void> {
  const ask = async <T>(path: string): Promise<readonly T[]> =>
    JSON.parse(await askDocker(socketPath, { method: 'GET', path })) as T[];
  try {
    for (const { Id } of await ask<{ readonly Id: string }>('/containers/json?all=true')) {
      await askDocker(socketPath, { method: 'POST', path: `/containers/${Id}/unpause` }).catch(() => undefined);
      await askDocker(socketPath, { method: 'DELETE', path: `/containers/${Id}?force=true&v=true` });
    }
    await askDocker(socketPath, { method: 'POST', path: '/networks/prune' });
  } catch (error) {
    process.stderr.write(`the engine did not remove its networks by itself: ${String(error)}\n`);
  }
}

/**
 * The shell script `docker-guard.sh`, in a session of its own. Its input is open as long as this process lives; when it
 * ends, for whatever reason, the guard cleans up.
 */
class Guard {
  /** A part of the range that is set apart for tests of network devices (RFC 2544); another one for each engine. */
  readonly addressPool: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  constructor(folder: string) {
    this.#folder = folder;
    this.addressPool = `198.19.${Math.floor(Math.random() * 256)}.0/24`;
    this.#process = spawn('sh', [script('docker-guard.sh'), folder, this.addressPool], {
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#process.stdin?.on('error', () => undefined);
  }

  watch(pid: number): void {
    this.#process.stdin?.write(`${pid}\n`);
  }

  async release(): Promise<void> {
    let complaint = '';
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    const ended = once(this.#process, 'close');
    this.#process.stdin?.end();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
    if (this.#process.exitCode !== 0) throw new Error(`the engine is not wholly gone: ${complaint.trim()}`);
  }
}
