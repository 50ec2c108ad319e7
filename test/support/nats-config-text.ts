import type { NatsFixtureOptions } from './nats-server.ts';

/** Where one server of a fixture listens and writes. */
export interface NatsServerPlace {
  readonly name: string;
  /** `host:port` of each. */
  readonly listen: string;
  readonly monitor: string;
  readonly dataDir: string;
  /** Standard error when left out. */
  readonly logFile?: string;
  /** The address that clients are told, if it is not the one that the server listens on. */
  readonly advertised?: string;
  /** Only in a cluster. */
  readonly cluster?: { readonly listen: string; readonly routes: readonly string[] };
}

/** The configuration file of one server of a fixture. */
export function natsConfigText(place: NatsServerPlace, options: NatsFixtureOptions): string {
  const lines = [
    `server_name: ${place.name}`,
    `listen: ${JSON.stringify(place.listen)}`,
    `http: ${JSON.stringify(place.monitor)}`,
  ];
  if (place.logFile !== undefined) lines.push(`log_file: ${JSON.stringify(place.logFile)}`);
  if (place.advertised !== undefined) lines.push(`client_advertise: ${JSON.stringify(place.advertised)}`);
  if (options.jetStream !== false) {
    const sync = options.sync === 'always' ? ', sync_interval: always' : '';
    lines.push(`jetstream { store_dir: ${JSON.stringify(place.dataDir)}${sync} }`);
  }
  if (place.cluster !== undefined) {
    const { listen, routes } = place.cluster;
    lines.push(`cluster { name: fixture, listen: ${JSON.stringify(listen)}, routes: ${JSON.stringify(routes)} }`);
  }
  if (options.extraConfig !== undefined) lines.push(options.extraConfig);
  return `${lines.join('\n')}\n`;
}
