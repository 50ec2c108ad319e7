import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { EngineError } from '../core/errors.ts';
import { processEnvironment, type Environment } from './environment.ts';
import { fetchNats, type FetchedNats, type NatsFetchOptions } from './nats-fetch.ts';
import { compareVersions, minimumNatsVersion } from '../core/server-version.ts';
import { readNatsVersion } from './nats-version.ts';

/** A place that was looked at, and why what is there is not used. */
export interface PassedOver {
  readonly place: 'NATS_SERVER_BIN' | 'PATH' | 'cache' | 'fetch';
  readonly reason: string;
}

/** The nats-server that the engine would start. */
export interface NatsBinary {
  readonly path: string;
  readonly version: string;
  readonly foundBy: 'NATS_SERVER_BIN' | 'PATH' | 'cache' | 'fetch';
  /** For people: where it is from. */
  readonly detail: string;
  /** The places before it, in order. */
  readonly passedOver: readonly PassedOver[];
}

/** Options of {@link findNatsBinary}. */
export interface NatsBinaryOptions {
  /** This process's variables when left out. */
  readonly environment?: Environment;
  /** False: look, and change nothing. True when left out. */
  readonly mayFetch?: boolean;
  /** {@link fetchNats} when left out. */
  readonly fetch?: (options: NatsFetchOptions) => Promise<FetchedNats>;
}

/**
 * The first usable nats-server of: `NATS_SERVER_BIN`, `PATH`, the cache folder, a fetch into it.
 *
 * @throws EngineError `SERVER_VERSION_UNSUPPORTED` when `NATS_SERVER_BIN` is too old: what a person names is used or refused,
 *   never passed over; `NATS_BINARY_MISSING` when it cannot be run, or when no place has a usable one
 */
export async function findNatsBinary(options: NatsBinaryOptions = {}): Promise<NatsBinary> {
  const environment = options.environment ?? processEnvironment();
  const cacheDir = natsCacheDir(environment);
  const passedOver: PassedOver[] = [];

  const named = environment['NATS_SERVER_BIN'];
  if (named !== undefined && named !== '') return { ...(await checkNamed(named)), passedOver };
  passedOver.push({ place: 'NATS_SERVER_BIN', reason: 'not set' });

  const onPath = await findOnPath(environment['PATH'] ?? '');
  if (typeof onPath !== 'string') return { ...onPath, passedOver };
  passedOver.push({ place: 'PATH', reason: onPath });

  const cached = await findInCache(cacheDir);
  if (typeof cached !== 'string') return { ...cached, passedOver };
  passedOver.push({ place: 'cache', reason: cached });

  if (options.mayFetch === false) throw nothingFound([...passedOver, { place: 'fetch', reason: 'not asked for' }]);
  try {
    const fetched = await (options.fetch ?? fetchNats)({ cacheDir, environment });
    return { path: fetched.path, version: fetched.version, foundBy: 'fetch', detail: fetched.origin, passedOver };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw nothingFound([...passedOver, { place: 'fetch', reason: error.message }], error);
  }
}

/** Folder in which fetched servers are kept: `cabinet-pipeline` in the user's cache folder (XDG base directories). */
export function natsCacheDir(environment: Environment): string {
  const base = environment['XDG_CACHE_HOME'];
  // XDG: a relative path is invalid and to be ignored.
  return join(
    base?.startsWith('/') === true ? base : join(environment['HOME'] ?? homedir(), '.cache'),
    'cabinet-pipeline',
  );
}

type Found = Omit<NatsBinary, 'passedOver'>;

async function checkNamed(path: string): Promise<Found> {
  const answer = await readNatsVersion(path);
  if (answer.kind === 'unusable') {
    throw new EngineError('NATS_BINARY_MISSING', `NATS_SERVER_BIN cannot be used: ${answer.reason}`, {
      field: 'NATS_SERVER_BIN',
      got: path,
      hint: 'unset it to let the engine look elsewhere, or name a nats-server binary',
    });
  }
  if (!answer.newEnough) {
    throw new EngineError('SERVER_VERSION_UNSUPPORTED', `NATS_SERVER_BIN is nats-server ${answer.version}, too old`, {
      field: 'NATS_SERVER_BIN',
      limit: `${minimumNatsVersion} or newer`,
      got: answer.version,
      hint: 'older servers silently ignore fences and TTLs; unset the variable to let the engine look elsewhere',
    });
  }
  return { path, version: answer.version, foundBy: 'NATS_SERVER_BIN', detail: 'named by the environment' };
}

/** The first usable nats-server on the path, or why there is none. */
async function findOnPath(path: string): Promise<Found | string> {
  const reasons: string[] = [];
  for (const folder of path.split(delimiter).filter((entry) => entry !== '')) {
    const candidate = join(folder, 'nats-server');
    if (!(await isExecutable(candidate))) continue;
    const answer = await readNatsVersion(candidate);
    if (answer.kind === 'nats-server' && answer.newEnough) {
      return { path: candidate, version: answer.version, foundBy: 'PATH', detail: 'installed on this machine' };
    }
    reasons.push(`${candidate}: ${answer.kind === 'unusable' ? answer.reason : tooOld(answer.version)}`);
  }
  return reasons.length === 0 ? 'no nats-server on it' : reasons.join('; ');
}

/** The newest usable nats-server that was fetched before, or why there is none. */
async function findInCache(cacheDir: string): Promise<Found | string> {
  const versions = (await readdir(cacheDir).catch(() => []))
    .flatMap((name) => /^nats-server-(\d+\.\d+\.\d+\S*)$/.exec(name)?.[1] ?? [])
    .toSorted((left, right) => compareVersions(right, left));
  const reasons: string[] = [];
  for (const version of versions) {
    const candidate = join(cacheDir, `nats-server-${version}`);
    const answer = await readNatsVersion(candidate);
    if (answer.kind === 'nats-server' && answer.newEnough) {
      return { path: candidate, version: answer.version, foundBy: 'cache', detail: 'fetched before' };
    }
    reasons.push(`${candidate}: ${answer.kind === 'unusable' ? answer.reason : tooOld(answer.version)}`);
  }
  return reasons.length === 0 ? `no nats-server in ${cacheDir}` : reasons.join('; ');
}

function nothingFound(passedOver: readonly PassedOver[], cause?: EngineError): EngineError {
  const places = passedOver.map(({ place, reason }) => `${place}: ${reason}`).join('; ');
  return new EngineError('NATS_BINARY_MISSING', `no usable nats-server was found (${places})`, {
    limit: `nats-server ${minimumNatsVersion} or newer`,
    hint:
      cause?.hint ??
      `install nats-server ${minimumNatsVersion} or newer and set NATS_SERVER_BIN to it, or set NATS_URL to a running server`,
    cause,
  });
}

function tooOld(version: string): string {
  return `${version} is older than ${minimumNatsVersion}`;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
