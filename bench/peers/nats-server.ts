import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts } from '../../src/platform/free-port.ts';
import { findNatsBinary } from '../../src/platform/nats-binary.ts';
import { isAnswering, makeServerFolder, startServer, stopServer, type PeerServer } from './peer-server.ts';

/** Starts the engine's own server, which syncs its files as often as its peer in the table does. */
export async function startNats(syncInterval: '1s' | 'always'): Promise<PeerServer> {
  const binary = await findNatsBinary();
  const store = makeServerFolder('nats');
  const folder = store.path;
  const [port, monitorPort] = await findFreePorts(2);
  const config = join(folder, 'nats.conf');
  writeFileSync(
    config,
    [
      `listen: "127.0.0.1:${port}"`,
      `http: "127.0.0.1:${monitorPort}"`,
      `jetstream { store_dir: "${folder}", sync_interval: ${syncInterval} }`,
      '',
    ].join('\n'),
  );
  const child = await startServer(binary.path, ['-c', config], { cwd: folder }, () =>
    isAnswering(`http://127.0.0.1:${monitorPort}/healthz`),
  );
  const url = `nats://127.0.0.1:${port}`;
  return {
    pid: child.pid ?? 0,
    version: `nats-server ${binary.version}`,
    workerArgs: [url, 'bench'],
    clientArgs: [url, 'bench'],
    stop: async () => {
      await stopServer(child, 'SIGTERM');
      store.remove();
    },
  };
}
