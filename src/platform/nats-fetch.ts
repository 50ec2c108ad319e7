import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { asError, EngineError } from '../core/errors.ts';
import { chooseSource, formatSourcesFile, parseSourcesFile, parseSourcesList, type AptSource } from './apt-sources.ts';
import type { Environment } from './environment.ts';
import { minimumNatsVersion } from '../core/server-version.ts';
import { readNatsVersion } from './nats-version.ts';

/** Time for one apt or dpkg command. */
const commandTimeoutMs = 300_000;

/** Where the newest nats-server of each distribution is found: suites in the order they are tried. */
const distributions = new Map([
  ['debian', { suites: ['testing', 'unstable'], component: 'main' }],
  ['ubuntu', { suites: ['devel'], component: 'universe' }],
]);

const run = promisify(execFile);

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
  const source = chooseSource(await readSources(etcDir), {
    codename: release.codename,
    component: distribution.component,
  });
  if (source === undefined) throw missing(`apt has no source of ${release.id} with "${distribution.component}"`);

  const workDir = await mkdtemp(join(tmpdir(), 'cabinet-fetch-'));
  const failures: string[] = [];
  try {
    for (const suite of distribution.suites) {
      try {
        const binary = await unpackFromSuite(source, { suite, component: distribution.component }, workDir, options);
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

async function unpackFromSuite(
  source: AptSource,
  target: { readonly suite: string; readonly component: string },
  workDir: string,
  options: NatsFetchOptions,
): Promise<string> {
  const suiteDir = join(workDir, target.suite);
  const at = (name: string): string => join(suiteDir, name);
  await Promise.all(
    ['sources', 'lists/partial', 'cache/archives/partial', 'download', 'package'].map((name) =>
      mkdir(at(name), { recursive: true }),
    ),
  );
  await writeFile(at('status'), '');
  await writeFile(at('sources/nats.sources'), formatSourcesFile(source, target));
  const aptOptions = [
    'Dir::Etc::sourcelist=/dev/null',
    `Dir::Etc::sourceparts=${at('sources')}`,
    `Dir::State::Lists=${at('lists')}`,
    `Dir::State::status=${at('status')}`,
    `Dir::Cache=${at('cache')}`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    // Root's apt would hand the download to a user who may not enter the temp folder.
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  const inherited = { ...options.environment, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const command = { cwd: at('download'), env: inherited, timeout: commandTimeoutMs };
  await run('apt-get', [...aptOptions, 'update'], command);
  await run('apt-get', [...aptOptions, 'download', 'nats-server'], command);
  const packageFile = (await readdir(at('download'))).find((name) => name.endsWith('.deb'));
  if (packageFile === undefined) throw new Error('apt-get download left no package');
  await run('dpkg', ['-x', at(`download/${packageFile}`), at('package')], command);
  return at('package/usr/sbin/nats-server');
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

async function readOsRelease(etcDir: string): Promise<{ id: string | undefined; codename: string | undefined }> {
  const text = await readFile(join(etcDir, 'os-release'), 'utf8').catch(() => '');
  const valueOf = (name: string): string | undefined =>
    new RegExp(`^${name}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1]?.toLowerCase();
  return { id: valueOf('ID'), codename: valueOf('VERSION_CODENAME') };
}

async function readSources(etcDir: string): Promise<readonly AptSource[]> {
  const partsDir = join(etcDir, 'apt/sources.list.d');
  const names = (await readdir(partsDir).catch(() => [])).toSorted(compareText);
  const files = [join(etcDir, 'apt/sources.list'), ...names.map((name) => join(partsDir, name))];
  const sources = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch(() => '');
      if (file.endsWith('.sources')) return parseSourcesFile(text);
      return file.endsWith('.list') ? parseSourcesList(text) : [];
    }),
  );
  return sources.flat();
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
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
