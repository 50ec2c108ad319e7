import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';

import { natsConfigFile, natsPidFile } from './nats-config.ts';
import { readNatsServerInfo, type NatsServerInfo } from './nats-monitor.ts';
import { identifyProcess, isRunning, readCommandLine, type ProcessIdentity } from './process-identity.ts';

const stateFileName = 'nats.state.json';
const stateFormat = 1;

/** What is known of the nats-server that was last started on a data folder; kept in the folder. */
export interface EmbeddedNatsState {
  readonly pid: number;
  /** See `ProcessIdentity`. */
  readonly startMark: string;
  readonly port: number;
  readonly monitorPort: number;
  /** The server's own id, new at each start; empty until it is healthy. */
  readonly serverId: string;
}

/** Where clients of the nats-server on a data folder connect. */
export interface RunningEmbeddedNats {
  readonly url: string;
  readonly monitorUrl: string;
  readonly pid: number;
  readonly version: string;
}

/** Writes the state so that a reader finds the old or the new one, whole. Synchronous: nothing may come between a start and its record. */
export function writeState(dataDir: string, state: EmbeddedNatsState): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, stateFileName);
  writeFileSync(`${file}.new`, `${JSON.stringify({ format: stateFormat, ...state })}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The recorded state, or undefined when there is none that can be read. */
export function readState(dataDir: string): EmbeddedNatsState | undefined {
  try {
    const value = JSON.parse(readFileSync(join(dataDir, stateFileName), 'utf8')) as Record<string, unknown>;
    const { format, pid, startMark, port, monitorPort, serverId } = value;
    const isUsable =
      format === stateFormat &&
      typeof pid === 'number' &&
      typeof startMark === 'string' &&
      typeof port === 'number' &&
      typeof monitorPort === 'number' &&
      typeof serverId === 'string';
    return isUsable ? { pid, startMark, port, monitorPort, serverId } : undefined;
  } catch {
    return undefined;
  }
}

/** Forgets the recorded state: its server was stopped. */
export function removeState(dataDir: string): void {
  rmSync(join(dataDir, stateFileName), { force: true });
}

/**
 * Whether the recorded server still runs. `foreign`: the process is gone, or its number or port is another's now.
 * `silent`: the process is ours, but does not answer; it starts, hangs or is frozen.
 */
export type StateCheck =
  { readonly kind: 'ours'; readonly info: NatsServerInfo } | { readonly kind: 'silent' } | { readonly kind: 'foreign' };

/** Compares the record with what runs: process, server id and store folder must all be the recorded ones. */
export async function checkState(dataDir: string, state: EmbeddedNatsState): Promise<StateCheck> {
  if (!isRunning(state)) return { kind: 'foreign' };
  const info = await readNatsServerInfo(monitorUrlOf(state));
  if (info === undefined) return { kind: 'silent' };
  const isOurs =
    (state.serverId === '' || info.serverId === state.serverId) &&
    info.storeDir !== undefined &&
    (await resolveFolder(info.storeDir)) === (await resolveFolder(join(dataDir, 'jetstream')));
  // The recorded process lives, but its port answers with another identity: it never got the port, and hangs.
  return isOurs ? { kind: 'ours', info } : { kind: 'silent' };
}

/**
 * A server that runs on the folder without a record, because the record was lost: nats-server itself lets two of its kind
 * work on one store without a word. Told by the server's own process file and the words it was started with.
 */
export function findUnrecorded(dataDir: string): ProcessIdentity | undefined {
  try {
    const pid = Number(readFileSync(natsPidFile(dataDir), 'utf8').trim());
    const isOurs = readCommandLine(pid)?.includes(` ${natsConfigFile(dataDir)}`) === true;
    return isOurs ? identifyProcess(pid) : undefined;
  } catch {
    return undefined;
  }
}

/** The server that runs on a data folder now, for clients on this machine; undefined when none does. */
export async function findEmbeddedNats(dataDir: string): Promise<RunningEmbeddedNats | undefined> {
  const state = readState(dataDir);
  if (state === undefined) return undefined;
  const check = await checkState(dataDir, state);
  if (check.kind !== 'ours') return undefined;
  return { url: urlOf(state), monitorUrl: monitorUrlOf(state), pid: state.pid, version: check.info.version };
}

/** Client address of a recorded server. */
export function urlOf(state: { readonly port: number }): string {
  return `nats://127.0.0.1:${state.port}`;
}

/** Monitoring address of a recorded server. */
export function monitorUrlOf(state: { readonly monitorPort: number }): string {
  return `http://127.0.0.1:${state.monitorPort}`;
}

async function resolveFolder(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
