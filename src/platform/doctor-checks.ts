import { constants } from 'node:fs';
import { access, mkdir, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { asError, EngineError } from '../core/errors.ts';
import { findEmbeddedNats } from './embedded-nats-state.ts';
import type { Environment } from './environment.ts';
import { findNatsBinary } from './nats-binary.ts';
import { compareVersions, minimumNatsVersion } from '../core/server-version.ts';

const oldestNodeMajor = 20;
/** Oldest line of Node that still gets security fixes. */
const oldestSupportedNodeMajor = 22;
const gibibyte = 1024 ** 3;
const lowDiskBytes = 2 * gibibyte;
const tooLittleDiskBytes = gibibyte / 8;
/** JetStream API level that has fences, batches and TTLs. */
const minimumApiLevel = 4;
/** Clocks further apart make due times and records hard to compare. */
const largestClockOffsetMs = 1_000;

/** What one look at the machine came to. */
export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** What a connection to a NATS server found out. */
export interface NatsProbe {
  readonly version: string;
  readonly jetStream: boolean;
  /** JetStream's API level; undefined on a server too old to tell. */
  readonly apiLevel: number | undefined;
  /** Whether the server syncs each write; undefined when it cannot be asked (its monitoring port is closed). */
  readonly syncAlways: boolean | undefined;
  readonly roundTripMs: number;
  /** The server's wall clock less this machine's, when the server tells: its time against the middle of the round trip. */
  readonly clockOffsetMs: number | undefined;
}

/** Options of {@link runDoctorChecks}. */
export interface DoctorOptions {
  readonly dataDir: string;
  /** Undefined: the engine uses a server of its own. */
  readonly natsUrl: string | undefined;
  readonly durability: 'process-crash' | 'power-loss';
  /** Connects to a server and asks it. Rejects when it cannot be reached. */
  readonly probeNats: (url: string, monitorUrl: string | undefined) => Promise<NatsProbe>;
  /** This process's variables when left out. */
  readonly environment?: Environment;
  /** This process's version when left out, as `20.11.0`. */
  readonly nodeVersion?: string;
}

/** Looks at everything that an engine on this machine needs, and changes nothing but an absent data folder. Never rejects. */
export async function runDoctorChecks(options: DoctorOptions): Promise<readonly DoctorCheck[]> {
  return [
    checkNode(options.nodeVersion ?? process.versions.node),
    await checkBinary(options),
    await checkDataDir(options.dataDir),
    await checkDisk(options.dataDir),
    ...(await checkNats(options)),
  ];
}

function checkNode(version: string): DoctorCheck {
  const name = 'node version';
  const major = Number.parseInt(version, 10);
  if (major < oldestNodeMajor) {
    return { name, status: 'fail', detail: version, hint: `install Node ${oldestSupportedNodeMajor} or newer` };
  }
  if (major < oldestSupportedNodeMajor) {
    const hint = `it works, but Node ${major} gets no security fixes any more: move to ${oldestSupportedNodeMajor} or newer`;
    return { name, status: 'warn', detail: version, hint };
  }
  return { name, status: 'ok', detail: version };
}

async function checkBinary(options: DoctorOptions): Promise<DoctorCheck> {
  const name = 'nats-server binary';
  try {
    const { environment } = options;
    const binary = await findNatsBinary({ mayFetch: false, ...(environment === undefined ? {} : { environment }) });
    const passedOver = binary.passedOver.map(({ place, reason }) => `; ${place}: ${reason}`).join('');
    return { name, status: 'ok', detail: `${binary.version} at ${binary.path}, by ${binary.foundBy}${passedOver}` };
  } catch (error) {
    const { message, hint } = readError(error);
    // Not needed when a server is named, and fetched at the first start where that can be done.
    const isNeeded =
      options.natsUrl === undefined && !(error instanceof EngineError && error.code === 'NATS_BINARY_MISSING');
    return { name, status: isNeeded ? 'fail' : 'warn', detail: message, ...(hint === undefined ? {} : { hint }) };
  }
}

async function checkDataDir(dataDir: string): Promise<DoctorCheck> {
  const name = 'data folder';
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.W_OK | constants.X_OK);
    return { name, status: 'ok', detail: `${dataDir} can be written` };
  } catch (error) {
    const detail = `${dataDir} cannot be written: ${readError(error).message}`;
    return { name, status: 'fail', detail, hint: 'set CABINET_DATA_DIR to a folder that this user may write' };
  }
}

async function checkDisk(dataDir: string): Promise<DoctorCheck> {
  const name = 'free disk';
  try {
    const { bavail, bsize } = await statfs(dataDir).catch(() => statfs(dirname(dataDir)));
    const freeBytes = bavail * bsize;
    const detail = `${(freeBytes / gibibyte).toFixed(1)} GiB`;
    if (freeBytes >= lowDiskBytes) return { name, status: 'ok', detail };
    const hint = 'the journal stops when the disk is full: make room, or shorten auditWindowMs and finishedRetentionMs';
    return { name, status: freeBytes < tooLittleDiskBytes ? 'fail' : 'warn', detail, hint };
  } catch (error) {
    return { name, status: 'warn', detail: `not known: ${readError(error).message}` };
  }
}

async function checkNats(options: DoctorOptions): Promise<readonly DoctorCheck[]> {
  const name = 'nats server';
  const own = options.natsUrl === undefined ? await findEmbeddedNats(options.dataDir) : undefined;
  const url = options.natsUrl ?? own?.url;
  if (url === undefined) {
    return [{ name, status: 'ok', detail: 'none runs on the data folder; the engine starts its own' }];
  }
  let probe: NatsProbe;
  try {
    probe = await options.probeNats(url, own?.monitorUrl);
  } catch (error) {
    const { message, hint } = readError(error);
    return [{ name, status: 'fail', detail: message, hint: hint ?? 'start the server, or mend NATS_URL' }];
  }
  return [
    checkServerVersion(probe),
    checkJetStream(probe),
    checkDurability(probe, options.durability),
    ...checkClock(probe),
  ];
}

function checkServerVersion({ version, roundTripMs }: NatsProbe): DoctorCheck {
  const name = 'nats server';
  const detail = `${version}, round trip ${roundTripMs.toFixed(1)} ms`;
  if (compareVersions(version, minimumNatsVersion) >= 0) return { name, status: 'ok', detail };
  return {
    name,
    status: 'fail',
    detail,
    hint: `older servers ignore fences and TTLs: use ${minimumNatsVersion} or newer`,
  };
}

function checkJetStream({ jetStream, apiLevel }: NatsProbe): DoctorCheck {
  const name = 'jetstream';
  if (!jetStream) {
    return {
      name,
      status: 'fail',
      detail: 'not available',
      hint: 'enable JetStream for the server and for the account',
    };
  }
  const detail = `API level ${apiLevel ?? 'unknown'}`;
  if (apiLevel !== undefined && apiLevel >= minimumApiLevel) return { name, status: 'ok', detail };
  return {
    name,
    status: 'fail',
    detail,
    hint: `API level ${minimumApiLevel} is needed: nats-server ${minimumNatsVersion} or newer`,
  };
}

function checkDurability({ syncAlways }: NatsProbe, durability: DoctorOptions['durability']): DoctorCheck {
  const name = 'durability';
  if (syncAlways === true) {
    return { name, status: 'ok', detail: 'power-loss: the server syncs each write before it acknowledges' };
  }
  const detail =
    syncAlways === false
      ? 'process-crash: the server syncs every now and then; a power cut loses acknowledged writes'
      : 'process-crash assumed: the server does not tell whether it syncs';
  if (durability === 'process-crash') return { name, status: 'ok', detail };
  const hint = 'set sync_interval: always in the jetstream block of the server, or durability: process-crash';
  return { name, status: syncAlways === false ? 'fail' : 'warn', detail, hint };
}

function checkClock({ clockOffsetMs }: NatsProbe): readonly DoctorCheck[] {
  if (clockOffsetMs === undefined) return [];
  const name = 'clock offset';
  const offsetMs = Math.round(clockOffsetMs);
  const detail = `the server's clock is ${Math.abs(offsetMs)} ms ${offsetMs < 0 ? 'behind' : 'ahead'}`;
  if (Math.abs(offsetMs) <= largestClockOffsetMs) return [{ name, status: 'ok', detail }];
  return [{ name, status: 'warn', detail, hint: 'let both machines follow the same time service' }];
}

function readError(error: unknown): { readonly message: string; readonly hint: string | undefined } {
  if (error instanceof EngineError) return { message: `${error.code}: ${error.message}`, hint: error.hint };
  return { message: asError(error).message, hint: undefined };
}
