import { join } from 'node:path';

/** Log files that are kept, and the size of each. */
const logFileCount = 4;
const logFileLimit = '16MB';
/** Largest message: the largest commit that the settings allow. The server warns of more. */
const maxPayload = '8MB';

/** The server's own log in a data folder. */
export function natsLogFile(dataDir: string): string {
  return join(dataDir, 'nats.log');
}

/** The configuration file in a data folder. */
export function natsConfigFile(dataDir: string): string {
  return join(dataDir, 'nats.conf');
}

/** The file in a data folder that the server writes its process number to. */
export function natsPidFile(dataDir: string): string {
  return join(dataDir, 'nats.pid');
}

/** Configuration of a nats-server of the engine's own: on loopback, JetStream in the data folder. */
export function formatNatsConfig(options: {
  readonly dataDir: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly sync: 'always' | 'default';
}): string {
  const sync = options.sync === 'always' ? ', sync_interval: always' : '';
  return `${[
    '# Written by Cabinet Pipeline at each start; changes are lost.',
    'server_name: cabinet-embedded',
    `listen: "127.0.0.1:${options.port}"`,
    `http: "127.0.0.1:${options.monitorPort}"`,
    `max_payload: ${maxPayload}`,
    `pid_file: ${JSON.stringify(natsPidFile(options.dataDir))}`,
    `log_file: ${JSON.stringify(natsLogFile(options.dataDir))}`,
    `logfile_size_limit: ${logFileLimit}`,
    `logfile_max_num: ${logFileCount}`,
    `jetstream { store_dir: ${JSON.stringify(options.dataDir)}${sync} }`,
  ].join('\n')}\n`;
}
