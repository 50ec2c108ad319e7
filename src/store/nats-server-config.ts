import { EngineError } from '../core/errors.ts';
import { natsRoles, permissionsOf, type NatsPermissions, type NatsRole } from './nats-roles.ts';

/** Certificates by path; the server reads them at its start. */
export interface NatsTlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** What the configuration of a cluster's NATS servers is made of. */
export interface NatsServerConfigOptions {
  readonly namespace: string;
  /** Host names, one a server: one server, or three or five that replicate. */
  readonly hosts: readonly string[];
  /** The public NKey (`U…`) of each role; the seed is the role's own and in no server's hands. */
  readonly publicKeys: Readonly<Record<NatsRole, string>>;
  /** The public NKey of the system account's user: monitoring, and stopping a server softly. */
  readonly systemKey: string;
  readonly storeDir: string;
  /** Clients, routes and monitoring; the last is bound to loopback. */
  readonly ports: { readonly client: number; readonly cluster: number; readonly monitor: number };
  /** Null: no encryption, for servers that only loopback or a closed network reaches. */
  readonly tls: NatsTlsFiles | null;
  readonly remoteDrivers?: readonly string[];
}

/** Largest message: the largest commit that the settings allow. */
const maxPayload = '8MB';
const hostPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$/;
const keyPattern = /^U[A-Z2-7]{55}$/;

/**
 * The configuration file of each server, in the order of the hosts: JetStream that syncs every write before it acknowledges, one
 * account with a user a role and the least that each needs, no anonymous user. Pure.
 *
 * @throws EngineError `CONFIG_INVALID` for a number of servers that cannot agree, and for a host or key that is none
 */
export function formatNatsServerConfigs(options: NatsServerConfigOptions): readonly string[] {
  const { hosts } = options;
  if (![1, 3, 5].includes(hosts.length) || new Set(hosts).size !== hosts.length) {
    throw invalid('hosts', '1, 3 or 5 different host names', hosts.join(','));
  }
  for (const host of hosts) if (!hostPattern.test(host)) throw invalid('hosts', 'host names', host);
  for (const role of natsRoles) checkKey(role, options.publicKeys[role]);
  checkKey('system', options.systemKey);
  return hosts.map((host, index) => formatServer(options, host, index));
}

function formatServer(options: NatsServerConfigOptions, host: string, index: number): string {
  const { ports, tls, namespace, hosts } = options;
  const server = hosts.length === 1 ? namespace : `${namespace}-${index + 1}`;
  return `${[
    `# NATS server ${server} of the Cabinet Pipeline cluster '${namespace}'.`,
    `server_name: ${quoted(server)}`,
    `listen: ${quoted(`${host}:${ports.client}`)}`,
    `http: ${quoted(`127.0.0.1:${ports.monitor}`)}`,
    `max_payload: ${maxPayload}`,
    'ping_interval: "10s"',
    'ping_max: 2',
    'lame_duck_grace_period: "5s"',
    'lame_duck_duration: "30s"',
    ...(tls === null ? [] : [formatTls(tls, '')]),
    'jetstream {',
    `  store_dir: ${quoted(options.storeDir)}`,
    '  # Else an acknowledged write may be lost with the power for up to two minutes.',
    '  sync_interval: always',
    '}',
    ...(hosts.length === 1 ? [] : formatCluster(options, host)),
    ...formatNatsAccounts(options),
  ].join('\n')}\n`;
}

function formatCluster({ namespace, hosts, ports, tls }: NatsServerConfigOptions, host: string): readonly string[] {
  return [
    'cluster {',
    `  name: ${quoted(namespace)}`,
    `  listen: ${quoted(`${host}:${ports.cluster}`)}`,
    ...(tls === null ? [] : [formatTls(tls, '  ')]),
    `  routes: [${hosts.map((one) => quoted(`nats://${one}:${ports.cluster}`)).join(', ')}]`,
    '}',
  ];
}

function formatTls({ certFile, keyFile, caFile }: NatsTlsFiles, indent: string): string {
  const files = `cert_file: ${quoted(certFile)}, key_file: ${quoted(keyFile)}, ca_file: ${quoted(caFile)}`;
  return `${indent}tls { ${files}, verify: true }`;
}

/** The accounts with their users alone, for a server that has a configuration already. Pure. */
export function formatNatsAccounts(
  options: Pick<NatsServerConfigOptions, 'namespace' | 'publicKeys' | 'systemKey' | 'remoteDrivers'>,
): readonly string[] {
  return [
    'accounts {',
    `  SYS { users: [ { nkey: ${options.systemKey} } ] }`,
    '  CABINET {',
    '    jetstream: enabled',
    '    users: [',
    ...natsRoles.flatMap((role) => formatUser(role, options.publicKeys[role], permissionsOf(role, options))),
    '    ]',
    '  }',
    '}',
    'system_account: SYS',
  ];
}

function formatUser(
  role: NatsRole,
  key: string,
  { publish, subscribe, responses }: NatsPermissions,
): readonly string[] {
  const list = (subjects: readonly string[]): string => subjects.map((subject) => quoted(subject)).join(', ');
  return [
    `      # ${role}`,
    `      { nkey: ${key}, permissions: {`,
    `          publish: { allow: [${list(publish)}] }`,
    `          subscribe: { allow: [${list(subscribe)}] }`,
    ...(responses === null
      ? []
      : [`          allow_responses: { max: ${responses.max}, expires: ${quoted(responses.expires)} }`]),
    '      } }',
  ];
}

function checkKey(role: string, key: string): void {
  if (!keyPattern.test(key)) throw invalid(`publicKeys.${role}`, 'a public NKey of a user (U…)', key);
}

// A dollar sign begins a variable in the server's configuration, but not between quotes.
function quoted(text: string): string {
  return JSON.stringify(text);
}

function invalid(field: string, limit: string, got: string): EngineError {
  return new EngineError('CONFIG_INVALID', `${field} must be ${limit}`, { field, limit, got });
}
