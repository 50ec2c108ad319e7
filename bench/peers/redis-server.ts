import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePorts } from '../../src/platform/free-port.ts';
import { findServerPrograms } from './debian-packages.ts';
import { isListening, makeServerFolder, startServer, stopServer, type PeerServer } from './peer-server.ts';

/** Starts Redis with an append-only file that is synced every second, or before every answer. */
export async function startRedis(appendFsync: 'everysec' | 'always'): Promise<PeerServer> {
  const { folder: programs, environment } = await findServerPrograms({
    program: 'redis-server',
    packageName: 'redis-server',
    folders: [],
    folderInPackage: async (root) => join(root, 'usr/bin'),
  });
  const program = join(programs, 'redis-server');
  const { stdout } = await promisify(execFile)(program, ['--version'], { env: environment });
  const store = makeServerFolder('redis');
  const folder = store.path;
  const [port = 0] = await findFreePorts(1);
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--daemonize',
    'no',
    '--appendonly',
    'yes',
    '--appendfsync',
    appendFsync,
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
  ];
  const child = await startServer(program, args, { env: environment }, () => isListening(port));
  return {
    pid: child.pid ?? 0,
    version: `Redis ${/v=(\S+)/.exec(stdout)?.[1] ?? 'of unknown version'}`,
    workerArgs: [String(port)],
    clientArgs: [String(port)],
    stop: async () => {
      await stopServer(child, 'SIGTERM');
      store.remove();
    },
  };
}
