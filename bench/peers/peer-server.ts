import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ended } from '../bench-server.ts';

/** A system's server, on loopback, with an empty store. */
export interface PeerServer {
  /** Of the process that all of its processes descend from. */
  readonly pid: number;
  readonly version: string;
  /** The arguments of its worker and of its load client. */
  readonly workerArgs: readonly string[];
  readonly clientArgs: readonly string[];
  stop(): Promise<void>;
}

/** A temp folder for a server's files, which is gone at the latest when this process ends. */
export interface ServerFolder {
  readonly path: string;
  remove(): void;
}

/** Makes a folder for a server of that name. */
export function makeServerFolder(name: string): ServerFolder {
  const path = mkdtempSync(join(tmpdir(), `cabinet-peer-${name}-`));
  const remove = (): void => rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  process.once('exit', remove);
  return {
    path,
    remove: () => {
      process.off('exit', remove);
      remove();
    },
  };
}

/** How long a server may take to start. */
const startTimeoutMs = 60_000;

/**
 * Starts a server and waits until it is ready.
 *
 * @param isReady - is told what the server has written of late
 * @throws Error with the server's last words
 */
export async function startServer(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
  isReady: (words: string) => Promise<boolean>,
): Promise<ChildProcess> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const killAtExit = (): void => {
    child.kill('SIGKILL');
  };
  process.prependOnceListener('exit', killAtExit);
  child.once('exit', () => process.off('exit', killAtExit));
  let words = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      words = `${words}${chunk.toString()}`.slice(-2_000);
    });
  }
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`${program} ended with ${code ?? signal}: ${words}`)));
  });
  failed.catch(() => undefined);
  const deadlineMs = performance.now() + startTimeoutMs;
  while (!(await Promise.race([isReady(words), failed]))) {
    if (performance.now() > deadlineMs) {
      await ended(child, () => child.kill('SIGKILL'));
      throw new Error(`${program} is not ready after ${startTimeoutMs} ms: ${words}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  return child;
}

/** Stops a server in good order, and kills it when it takes too long. */
export async function stopServer(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs);
  await ended(child, () => child.kill(signal));
  clearTimeout(timer);
}

/** Whether somebody listens there. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Whether a URL answers with success. */
export function isAnswering(url: string): Promise<boolean> {
  return fetch(url).then(
    (answer) => answer.ok,
    () => false,
  );
}
