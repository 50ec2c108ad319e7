import { resolve } from 'node:path';
import type { Command } from 'commander';
import { configDefaults, resolveConfig } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';
import { usageError } from './cli-error.ts';
import type { CliContext } from './context.ts';
import { addExamples, addOutputOptions, integerParser, type OutputOptions } from './options.ts';
import { formatTable } from './table.ts';
import { showView } from './view.ts';

interface NatsConfigOptions extends OutputOptions {
  readonly out: string;
  readonly namespace: string;
  readonly hosts: string;
  readonly storeDir: string;
  readonly port: number;
  readonly clusterPort: number;
  readonly monitorPort: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** False for `--no-tls`. */
  readonly tls: boolean;
  readonly remoteDriver: readonly string[];
}

const loopbackHosts: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost']);
const portParser = integerParser({ least: 1, most: 65_535 });

/** `cabinet nats-config`. */
export function addNatsConfig(parent: Command, context: CliContext): void {
  const command = parent
    .command('nats-config')
    .description('write the configuration of NATS servers with a key and the least permissions for each role')
    .requiredOption('--out <folder>', 'where the files go; keys that are there are kept')
    .option('--namespace <name>', 'namespace of the engine', configDefaults.namespace)
    .option('--hosts <names>', 'host of each server, with commas between: 1, 3 or 5', '127.0.0.1')
    .option('--store-dir <folder>', "the servers' data, as the servers see it", '/data')
    .option('--port <port>', 'for clients', portParser, 4_222)
    .option('--cluster-port <port>', 'for the other servers', portParser, 6_222)
    .option('--monitor-port <port>', 'for monitoring, on loopback alone', portParser, 8_222)
    .option('--tls-cert <file>', "the servers' certificate, as the servers see it")
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'who signs the certificates of servers and clients')
    .option('--no-tls', 'no encryption beyond loopback: on a network that nobody else reaches')
    .option(
      '--remote-driver <subject>',
      'subject of a driver that runs elsewhere on the bus; may be repeated',
      (subject: string, before: readonly string[]) => [...before, subject],
      [] as readonly string[],
    )
    .action((options: NatsConfigOptions) => run(context, options));
  addOutputOptions(command);
  addExamples(
    command,
    'cabinet nats-config --out nats --store-dir ./data',
    'cabinet nats-config --out nats --hosts n1,n2,n3 --tls-cert cert.pem --tls-key key.pem --tls-ca ca.pem',
  );
}

async function run(context: CliContext, options: NatsConfigOptions): Promise<void> {
  const { namespace } = resolveConfig({ namespace: options.namespace });
  const { writeNatsConfig } = await import('../nats-config.ts');
  const hosts = options.hosts.split(',').map((host) => host.trim());
  const written = await writeNatsConfig({
    folder: resolve(context.workingFolder, options.out),
    namespace,
    hosts,
    storeDir: options.storeDir,
    ports: { client: options.port, cluster: options.clusterPort, monitor: options.monitorPort },
    tls: tlsOf(options, hosts),
    remoteDrivers: options.remoteDriver,
  });
  showView(context, options.output, {
    document: written,
    items: [written],
    text: ({ paint }) =>
      [
        ...written.servers.map(({ host, file }) => `${host}: nats-server -c ${file}`),
        '',
        formatTable(
          [
            { title: 'ROLE', value: ({ role }) => role },
            { title: 'KEY', value: ({ isKept }) => (isKept ? 'kept' : 'new') },
            {
              title: 'ENVIRONMENT',
              value: ({ seedFile, inboxPrefix }) => `NATS_NKEY=${seedFile} NATS_INBOX_PREFIX=${inboxPrefix}`,
            },
          ],
          written.roles,
          { paint },
        ),
      ].join('\n'),
  });
}

function tlsOf(options: NatsConfigOptions, hosts: readonly string[]) {
  const { tlsCert: certFile, tlsKey: keyFile, tlsCa: caFile } = options;
  if (certFile !== undefined && keyFile !== undefined && caFile !== undefined) return { certFile, keyFile, caFile };
  if (certFile !== undefined || keyFile !== undefined || caFile !== undefined) {
    throw usageError('--tls-cert, --tls-key and --tls-ca belong together', 'give all three, or none with --no-tls');
  }
  const exposed = hosts.find((host) => !loopbackHosts.has(host));
  if (exposed === undefined || !options.tls) return null;
  throw new EngineError('CONFIG_INVALID', `server ${exposed} is reached from other machines, and has no certificate`, {
    field: 'tls',
    limit: '--tls-cert, --tls-key and --tls-ca',
    hint: 'or --no-tls, where nobody else reaches that network',
  });
}
