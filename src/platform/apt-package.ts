import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { formatSourcesFile, parseSourcesFile, parseSourcesList, type AptSource } from './apt-sources.ts';
import type { Environment } from './environment.ts';

/** Time for one apt or dpkg command. */
const commandTimeoutMs = 300_000;

const run = promisify(execFile);

/** A distribution as its os-release names it. */
export interface OsRelease {
  readonly id: string | undefined;
  readonly codename: string | undefined;
}

/** Which system this is. @param etcDir - the machine's `etc`, or another one in tests */
export async function readOsRelease(etcDir: string): Promise<OsRelease> {
  const text = await readFile(join(etcDir, 'os-release'), 'utf8').catch(() => '');
  const valueOf = (name: string): string | undefined =>
    new RegExp(`^${name}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1]?.toLowerCase();
  return { id: valueOf('ID'), codename: valueOf('VERSION_CODENAME') };
}

/** The package sources that the machine is configured with. */
export async function readAptSources(etcDir: string): Promise<readonly AptSource[]> {
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

/**
 * Downloads a package by apt and unpacks it, through the mirror, proxy and keys that the machine is configured with. Nothing is
 * installed and no root is needed: apt works on lists, cache and status of its own in `workDir`.
 *
 * @returns the folder with the package's files, inside `workDir`
 * @throws Error of the command that failed
 */
export async function unpackPackage(wanted: {
  readonly packageName: string;
  readonly source: AptSource;
  readonly suite: string;
  readonly component: string;
  readonly workDir: string;
  readonly environment: Environment;
}): Promise<string> {
  const { packageName, source, suite, component, workDir, environment } = wanted;
  const suiteDir = join(workDir, suite);
  const at = (name: string): string => join(suiteDir, name);
  await Promise.all(
    ['sources', 'lists/partial', 'cache/archives/partial', 'download', 'package'].map((name) =>
      mkdir(at(name), { recursive: true }),
    ),
  );
  await writeFile(at('status'), '');
  await writeFile(at('sources/package.sources'), formatSourcesFile(source, { suite, component }));
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
  const inherited = { ...environment, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const command = { cwd: at('download'), env: inherited, timeout: commandTimeoutMs };
  await run('apt-get', [...aptOptions, 'update'], command);
  await run('apt-get', [...aptOptions, 'download', packageName], command);
  const packageFile = (await readdir(at('download'))).find((name) => name.endsWith('.deb'));
  if (packageFile === undefined) throw new Error('apt-get download left no package');
  await run('dpkg', ['-x', at(`download/${packageFile}`), at('package')], command);
  return at('package');
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
