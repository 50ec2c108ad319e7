import { execFile } from 'node:child_process';
import { appendFileSync, chownSync, cpSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePorts } from '../../src/platform/free-port.ts';
import { findServerPrograms } from './debian-packages.ts';
import { makeServerFolder, startServer, stopServer, type PeerServer } from './peer-server.ts';

const run = promisify(execFile);

/** Memory for a machine of a few gigabytes; no commit waits for less than the disk. */
const settings = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 512MB
work_mem = 16MB
wal_level = minimal
max_wal_senders = 0
wal_buffers = 16MB
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
autovacuum_naptime = 10s
autovacuum_vacuum_cost_limit = 2000
`;

/** Starts PostgreSQL with `synchronous_commit = on`. It refuses to run as root: for root, it runs as another user. */
export async function startPostgres(): Promise<PeerServer> {
  const found = await findServerPrograms({
    program: 'postgres',
    packageName: 'postgresql',
    folders: (await postgresFoldersOf('/')).toReversed(),
    folderInPackage: async (root) => (await postgresFoldersOf(root)).at(-1) ?? root,
  });
  const store = makeServerFolder('postgres');
  const folder = store.path;
  const user = unprivilegedUser();
  if (user !== null) chownSync(folder, user.uid, user.gid);
  const { programs, environment } = reachable(found.folder, found.environment, folder, user !== null);
  const data = join(folder, 'data');
  const options = { ...user, env: { ...environment, LC_ALL: 'C', TZ: 'UTC' }, cwd: folder };
  const program = join(programs, 'postgres');
  await run(join(programs, 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--no-locale'], options);
  appendFileSync(join(data, 'postgresql.conf'), settings);
  const { stdout } = await run(program, ['--version'], options);
  const [port = 0] = await findFreePorts(1);
  const isReady = async (words: string): Promise<boolean> => words.includes('ready to accept connections');
  const child = await startServer(program, ['-D', data, '-p', String(port)], options, isReady);
  const url = `postgres://bench@127.0.0.1:${port}/postgres`;
  return {
    pid: child.pid ?? 0,
    version: `PostgreSQL ${/(\d+\.\d+)/.exec(stdout)?.[1] ?? 'of unknown version'}`,
    workerArgs: [url],
    clientArgs: [url],
    stop: async () => {
      // SIGINT is its fast shutdown: clients are sent away.
      await stopServer(child, 'SIGINT');
      store.remove();
    },
  };
}

/** The folders with PostgreSQL's programs below a root, oldest version first. */
async function postgresFoldersOf(root: string): Promise<readonly string[]> {
  const folder = join(root, 'usr/lib/postgresql');
  const versions = await readdir(folder).catch(() => []);
  return versions
    .toSorted((left, right) => Number(left) - Number(right))
    .map((version) => join(folder, version, 'bin'));
}

/** Another user may not enter the folder of a fetched package, say in root's home: it gets a copy in the temp folder. */
function reachable(
  programs: string,
  environment: NodeJS.ProcessEnv,
  folder: string,
  isAnotherUser: boolean,
): { readonly programs: string; readonly environment: NodeJS.ProcessEnv } {
  const libraries = environment['LD_LIBRARY_PATH'];
  const isFetched = environment !== process.env && libraries !== undefined;
  if (!isAnotherUser || !isFetched) return { programs, environment };
  const root = programs.slice(0, programs.indexOf('/usr/lib/postgresql'));
  const copy = join(folder, 'programs');
  cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
  return {
    programs: programs.replace(root, copy),
    environment: { ...environment, LD_LIBRARY_PATH: libraries.replaceAll(root, copy) },
  };
}

/** The user to become: PostgreSQL's own or nobody; null when this process is not root. */
function unprivilegedUser(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (user === undefined) throw new Error('PostgreSQL does not run as root, and there is no other user to become');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}
