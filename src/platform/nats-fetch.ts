import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { asError, EngineError } from '../core/errors.ts';
import { readAptSources, readOsRelease, unpackPackage } from './apt-package.ts';
import { chooseSource } from './apt-sources.ts';
import type { Environment } from './environment.ts';
import { minimumNatsVersion } from '../core/server-version.ts';
import { readNatsVersion } from './nats-version.ts';

const packageName = 'nats-server';

/** Where the newest nats-server of each distribution is found: suites in the order they are tried. */
const distributions = new Map([
  ['debian', { suites: ['testing', 'unstable'], component: 'main' }],
  ['ubuntu', { suites: ['devel'], component: 'universe' }],
]);

/** What {@link fetchNats} works with. */
export interface NatsFetchOptions {
  /** Folder that gets `nats-server-<version>`; made when it is not there. */
  readonly cacheDir: string;
  readonly environment: Environment;
  /** Root of the machine's `etc`; another one in tests. */
  readonly etcDir?: string;
}

/** A fetched nats-server. */
export interface FetchedNats {
  readonly path: string;
  readonly version: string;
  /** Where it came from, for people. */
  readonly origin: string;
}

/**
 * Fetches nats-server once, on Debian and Ubuntu, by apt from the newest suite that has it, through the mirror, proxy and keys
 * that the machine is configured with. Nothing is installed and no root is needed: apt works on lists, cache and status
 * of its own in a temp folder, and the package is only unpacked. Fetchers may run at the same time: the binary appears
 * under its final name by a rename.
 *
 * Elsewhere it refuses: a download that no signature or known hash vouches for would be run as a server.
 *
 * @throws EngineError `NATS_BINARY_MISSING` with what was tried and what to do
 */
export async function fetchNats(options: NatsFetchOptions): Promise<FetchedNats> {
  const etcDir = options.etcDir ?? '/etc';
  const release = await readOsRelease(etcDir);
  const distribution = distributions.get(release.id ?? '');
  if (distribution === undefined) {
    throw missing(`there is no way to fetch nats-server on ${release.id ?? process.platform} with verified origin`);
  }
  const source = chooseSource(await readAptSources(etcDir), {
    codename: release.codename,
    component: distribution.component,
  });
  if (source === undefined) throw missing(`apt has no source of ${release.id} with "${distribution.component}"`);

  const workDir = await mkdtemp(join(tmpdir(), 'cabinet-fetch-'));
  const failures: string[] = [];
  try {
    for (const suite of distribution.suites) {
      try {
        const { component } = distribution;
        const { environment } = options;
        const folder = await unpackPackage({ packageName, source, suite, component, workDir, environment });
        const binary = join(folder, 'usr/sbin/nats-server');
        const answer = await readNatsVersion(binary);
        if (answer.kind === 'nats-server' && answer.newEnough) {
          const path = await moveIntoCache(binary, answer.version, options.cacheDir);
          return { path, version: answer.version, origin: `${release.id} ${suite}, by apt` };
        }
        failures.push(`${suite}: ${answer.kind === 'unusable' ? answer.reason : `only ${answer.version}`}`);
      } catch (error) {
        failures.push(`${suite}: ${lastLine(error)}`);
      }
    }
  } finally {
    await rm(workDir, { recursive: true, force: true, maxRetries: 5 });
  }
  throw missing(`apt gave no nats-server ${minimumNatsVersion} or newer (${failures.join('; ')})`);
}

async function moveIntoCache(binary: string, version: string, cacheDir: string): Promise<string> {
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  // In the cache's own folder first: a rename is atomic within one file system only.
  const arriving = join(cacheDir, `.arriving-${randomUUID()}`);
  const path = join(cacheDir, `nats-server-${version}`);
  try {
    await copyFile(binary, arriving);
    await chmod(arriving, 0o755);
    await rename(arriving, path);
  } finally {
    await rm(arriving, { force: true });
  }
  return path;
}

/** The last line a failed command wrote: apt's own reason, without the address of the mirror. */
function lastLine(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  const lines = (stderr.trim() === '' ? asError(error).message : stderr).trim().split('\n');
  return (lines.at(-1) ?? '').replace(/\b[a-z+]+:\/\/\S+/g, '<mirror>');
}

function missing(message: string): EngineError {
  return new EngineError('NATS_BINARY_MISSING', message, {
    hint:
      `install nats-server ${minimumNatsVersion} or newer from the NATS project's releases and set NATS_SERVER_BIN to it, ` +
      'or set NATS_URL to a running server',
  });
}
