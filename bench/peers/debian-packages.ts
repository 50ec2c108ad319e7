import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Time for one apt or dpkg command. */
const commandTimeoutMs = 300_000;

/** Where fetched servers are kept; git ignores it. */
const cacheFolder = fileURLToPath(new URL('../../../peers/.cabinet/', import.meta.url));

/** A server's programs. */
export interface ServerPrograms {
  /** The folder that they are in. */
  readonly folder: string;
  /** The variables to run them with. */
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * The folder with a server's programs: one of `PATH`, one of `folders`, or the Debian package's, fetched once.
 *
 * The package and what it needs beyond the installed packages come by apt, through the mirror and keys that the machine is configured
 * with, and are only unpacked: nothing is installed and no root is needed.
 */
export async function findServerPrograms(wanted: {
  readonly program: string;
  readonly packageName: string;
  /** Where installed packages have it, beside `PATH`. */
  readonly folders: readonly string[];
  /** Its folder inside of the unpacked package. */
  readonly folderInPackage: (root: string) => Promise<string>;
}): Promise<ServerPrograms> {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), ...wanted.folders];
  for (const folder of places) {
    if (folder !== '' && (await isExecutable(join(folder, wanted.program)))) {
      return { folder, environment: process.env };
    }
  }
  const root = join(cacheFolder, wanted.packageName);
  if (!(await isFolder(root))) await fetchPackage(wanted.packageName, root);
  const folder = await wanted.folderInPackage(root);
  if (!(await isExecutable(join(folder, wanted.program)))) {
    await rm(root, { recursive: true, force: true });
    throw new Error(`the package ${wanted.packageName} has no ${wanted.program}`);
  }
  const libraries = join(root, 'usr/lib');
  const nested = (await readdir(libraries)).filter((name) => name.endsWith('-linux-gnu'));
  const paths = [...nested.map((name) => join(libraries, name)), libraries];
  return { folder, environment: { ...process.env, LD_LIBRARY_PATH: paths.join(delimiter) } };
}

/** Fetches a package with those of its dependencies that are not installed, and unpacks all into `root`. */
async function fetchPackage(packageName: string, root: string): Promise<void> {
  process.stderr.write(`fetching ${packageName} with apt\n`);
  const workFolder = `${root}.${process.pid}.part`;
  const at = (name: string): string => join(workFolder, name);
  try {
    await Promise.all(
      ['lists/partial', 'archives/partial', 'root'].map((name) => mkdir(at(name), { recursive: true })),
    );
    const options = [
      `Dir::State::Lists=${at('lists')}`,
      `Dir::Cache::archives=${at('archives')}`,
      `Dir::Cache::pkgcache=`,
      `Dir::Cache::srcpkgcache=`,
      'Acquire::Languages=none',
      'Acquire::Retries=3',
      // Nothing of the system is changed, so that its locks need not be taken.
      'Debug::NoLocking=true',
      // Root's apt would hand the download to a user who may not enter the folder.
      'APT::Sandbox::User=root',
    ].flatMap((option) => ['-o', option]);
    const command = {
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      timeout: commandTimeoutMs,
    };
    await run('apt-get', [...options, 'update'], command);
    await run(
      'apt-get',
      [...options, 'install', '--download-only', '--no-install-recommends', '--yes', packageName],
      command,
    );
    const archives = (await readdir(at('archives'))).filter((name) => name.endsWith('.deb'));
    if (archives.length === 0) throw new Error(`apt-get left no package of ${packageName}`);
    for (const archive of archives) await run('dpkg', ['-x', join(at('archives'), archive), at('root')], command);
    await rename(at('root'), root);
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function isFolder(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
