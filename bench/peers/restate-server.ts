import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findFreePorts } from '../../src/platform/free-port.ts';
import { isAnswering, makeServerFolder, startServer, stopServer, type PeerServer } from './peer-server.ts';

/** Starts a single Restate node with two partitions and its default durability. */
export async function startRestate(): Promise<PeerServer> {
  const program = restateProgram();
  const { stdout } = await promisify(execFile)(program, ['--version']);
  const store = makeServerFolder('restate');
  const folder = store.path;
  const [nodePort, ingressPort = 0, adminPort, workerPort] = await findFreePorts(4);
  const config = join(folder, 'restate.toml');
  writeFileSync(
    config,
    [
      'node-name = "bench"',
      `base-dir = "${folder}"`,
      'listen-mode = "tcp"',
      `bind-address = "127.0.0.1:${nodePort}"`,
      `advertised-address = "http://127.0.0.1:${nodePort}"`,
      'default-num-partitions = 2',
      'default-replication = 1',
      'log-filter = "error"',
      'disable-telemetry = true',
      '[ingress]',
      `bind-address = "127.0.0.1:${ingressPort}"`,
      '[admin]',
      `bind-address = "127.0.0.1:${adminPort}"`,
      'disable-web-ui = true',
      '',
    ].join('\n'),
  );
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const isReady = async (): Promise<boolean> =>
    (await isAnswering(`${adminUrl}/health`)) && (await isAnswering(`http://127.0.0.1:${ingressPort}/restate/health`));
  const child = await startServer(program, ['--config-file', config, '--no-logo'], { cwd: folder }, isReady);
  return {
    pid: child.pid ?? 0,
    version: `Restate ${stdout.trim().split(' ').at(-1) ?? 'of unknown version'}`,
    workerArgs: [String(workerPort), adminUrl],
    clientArgs: [String(ingressPort)],
    stop: async () => {
      await stopServer(child, 'SIGTERM');
      store.remove();
    },
  };
}

/** The server's binary, in the npm package of this platform. */
function restateProgram(): string {
  const peers = createRequire(fileURLToPath(new URL('../../../peers/package.json', import.meta.url)));
  const own = createRequire(peers.resolve('@restatedev/restate-server/package.json'));
  const manifest = own.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/package.json`);
  return join(manifest, '../bin/restate-server');
}
