import { execFile } from 'node:child_process';
import { access, constants, mkdir, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const commandTimeoutMs = 120_000;

/** A container engine's programs. */
export interface DockerPrograms {
  readonly dockerd: string;
  /** The environment in which it finds containerd, runc and their libraries. */
  readonly environment: NodeJS.ProcessEnv;
  /** Where they are from, for people. */
  readonly origin: string;
}

/**
 * The machine's dockerd or, on Debian and Ubuntu, that of the package docker.io, which is only unpacked, with what it
 * depends on, into a folder: nothing is installed, and no service is started.
 *
 * @returns the reason when there is none
 */
export async function findDockerPrograms(folder: string): Promise<DockerPrograms | string> {
  const installed = await findOnPath('dockerd');
  if (installed !== undefined) return { dockerd: installed, environment: process.env, origin: 'installed' };
  for (const program of ['apt-get', 'dpkg-deb']) {
    if ((await findOnPath(program)) === undefined) return `there is no dockerd, and no ${program} to fetch it with`;
  }
  let reason = '';
  for (const isFresh of [false, true]) {
    try {
      const packages = await unpackPackages(folder, isFresh);
      return { ...(await unpackedPrograms(join(folder, 'root'))), origin: `${packages} packages, unpacked` };
    } catch (error) {
      reason = lastLine(error);
    }
  }
  return `apt gave no docker.io: ${reason}`;
}

/** The first program of that name on the path. */
export async function findOnPath(program: string): Promise<string | undefined> {
  for (const folder of searchPath()) {
    const path = join(folder, program);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** @param isFresh - with package lists of its own, made now: the machine's may be missing or old */
async function unpackPackages(folder: string, isFresh: boolean): Promise<number> {
  const download = join(folder, 'download');
  await mkdir(join(folder, 'lists/partial'), { recursive: true });
  await mkdir(download, { recursive: true });
  const options = [
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    // Root's apt would hand the download to a user who may not enter the folder.
    'APT::Sandbox::User=root',
    ...(isFresh ? [`Dir::State::Lists=${join(folder, 'lists')}`] : []),
  ].flatMap((option) => ['-o', option]);
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const command = { cwd: download, env, timeout: commandTimeoutMs, maxBuffer: 16 * 1024 * 1024 };
  if (isFresh) await run('apt-get', [...options, 'update'], command);
  const { stdout } = await run(
    'apt-get',
    [...options, 'install', '--simulate', '--no-install-recommends', 'docker.io'],
    command,
  );
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
  if (names.length === 0) throw new Error('docker.io is installed, but has no dockerd');
  await run('apt-get', [...options, 'download', ...names], command);
  const files = (await readdir(download)).filter((name) => name.endsWith('.deb'));
  for (const file of files) await run('dpkg-deb', ['-x', file, join(folder, 'root')], command);
  return files.length;
}

async function unpackedPrograms(root: string): Promise<Omit<DockerPrograms, 'origin'>> {
  const programs = ['usr/sbin', 'usr/bin', 'sbin', 'bin'].map((name) => join(root, name));
  const libraries: string[] = [];
  for (const folder of ['usr/lib', 'lib'].map((name) => join(root, name))) {
    const names = await readdir(folder).catch(() => []);
    libraries.push(...names.filter((name) => name.endsWith('-linux-gnu')).map((name) => join(folder, name)));
  }
  const dockerd = join(root, 'usr/sbin/dockerd');
  await access(dockerd, constants.X_OK);
  const environment = {
    ...process.env,
    PATH: [...programs, ...searchPath()].join(delimiter),
    LD_LIBRARY_PATH: libraries.join(delimiter),
  };
  return { dockerd, environment };
}

/** With the administrator's folders, which are not on everybody's path. */
function searchPath(): readonly string[] {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...new Set([...path, '/usr/local/sbin', '/usr/sbin', '/sbin'])];
}

/** The last line that a failed command wrote, without the address of a mirror. */
function lastLine(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  const message = error instanceof Error ? error.message : String(error);
  const lines = (stderr.trim() === '' ? message : stderr).trim().split('\n');
  return (lines.at(-1) ?? '').replace(/\b[a-z+]+:\/\/\S+/g, '<mirror>');
}
