import { configDefaults, configRanges, type EngineConfig } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

const logLevels = ['debug', 'info', 'warn', 'error'] as const;
const logFormats = ['json', 'pretty', 'auto'] as const;
const switches = ['on', 'off'] as const;

/** Least level of a log line that is written. */
export type LogLevel = (typeof logLevels)[number];

/** What the environment says; a part it does not name is left out. */
export interface EnvironmentSettings {
  /** Engine settings from `CABINET_<SETTING>`, for example `CABINET_LEASE_TTL_MS`. */
  readonly config: Partial<EngineConfig>;
  /** `CABINET_` variables without meaning here, to warn of: misspelled, or a container platform's own. */
  readonly unknownVariables: readonly string[];
  /** From `NATS_URL`: the server to use; without it the engine starts its own. */
  readonly natsUrl?: string;
  /** From `NATS_CREDS`: a credentials file for that server. */
  readonly natsCredentialsFile?: string;
  /** From `NATS_NKEY`: a file with the NKey seed of the role. */
  readonly natsNkeyFile?: string;
  /** From `NATS_INBOX_PREFIX`: where replies may arrive, for a role with narrow permissions. */
  readonly natsInboxPrefix?: string;
  /** From `NATS_SERVER_BIN`: the nats-server to start. */
  readonly natsServerBinary?: string;
  /** From `CABINET_DATA_DIR`: folder of the engine's own nats-server. */
  readonly dataDir?: string;
  /** From `CABINET_NODE_ID`. */
  readonly nodeId?: string;
  /** From `CABINET_ADMIN`: on or off; whether a command that runs nodes serves the console. */
  readonly admin?: (typeof switches)[number];
  /** From `CABINET_ADMIN_HOST`: where the console listens. */
  readonly adminHost?: string;
  /** From `CABINET_ADMIN_PORT`: 0 to 65,535. */
  readonly adminPort?: number;
  /** From `CABINET_ADMIN_ALLOWED_HOSTS`: names that the console answers for, with commas between. */
  readonly adminAllowedHosts?: string;
  /** From `CABINET_ADMIN_TLS_KEY`: a PEM file. */
  readonly adminTlsKeyFile?: string;
  /** From `CABINET_ADMIN_TLS_CERT`: a PEM file. */
  readonly adminTlsCertFile?: string;
  /** From `CABINET_ADMIN_NKEY`: a file with the NKey seed of the console's role, where nodes have another one. */
  readonly adminNkeyFile?: string;
  /** From `CABINET_ADMIN_INBOX_PREFIX`: where replies to the console may arrive. */
  readonly adminInboxPrefix?: string;
  /** From `CABINET_ADMIN_URL`: the admin API that commands ask. */
  readonly adminUrl?: string;
  /** From `CABINET_ADMIN_TOKEN`: the token that commands show it. */
  readonly adminToken?: string;
  /** From `CABINET_ADMIN_TOKEN_FILE`: a file with that token. */
  readonly adminTokenFile?: string;
  /** From `CABINET_ADMIN_CA`: a PEM file with the authority that its certificate is from. */
  readonly adminCaFile?: string;
  /** From `CABINET_HEALTH_PORT`: 0 to 65,535; without it no health is told. */
  readonly healthPort?: number;
  /** From `CABINET_HEALTH_HOST`. */
  readonly healthHost?: string;
  /** From `CABINET_HEALTH_TLS_KEY`: a PEM file. */
  readonly healthTlsKeyFile?: string;
  /** From `CABINET_HEALTH_TLS_CERT`: a PEM file. */
  readonly healthTlsCertFile?: string;
  /** From `CABINET_METRICS_TOKEN_FILE`: who has the token in it is told the metrics of a node. */
  readonly metricsTokenFile?: string;
  /** From `CABINET_PROCESSES`: node processes under one supervisor, 1 to 1,024. */
  readonly processes?: number;
  /** From `CABINET_LOG_LEVEL`: debug, info, warn or error. */
  readonly logLevel?: LogLevel;
  /** From `CABINET_LOG_FORMAT`: json, pretty, or auto (pretty on a terminal). */
  readonly logFormat?: (typeof logFormats)[number];
}

const prefix = 'CABINET_';

/** Variables that are not engine settings, with their prefix. */
const ownVariables = [
  'CABINET_DATA_DIR',
  'CABINET_NODE_ID',
  'CABINET_ADMIN',
  'CABINET_ADMIN_HOST',
  'CABINET_ADMIN_PORT',
  'CABINET_ADMIN_ALLOWED_HOSTS',
  'CABINET_ADMIN_TLS_KEY',
  'CABINET_ADMIN_TLS_CERT',
  'CABINET_ADMIN_NKEY',
  'CABINET_ADMIN_INBOX_PREFIX',
  'CABINET_ADMIN_URL',
  'CABINET_ADMIN_TOKEN',
  'CABINET_ADMIN_TOKEN_FILE',
  'CABINET_ADMIN_CA',
  'CABINET_HEALTH_PORT',
  'CABINET_HEALTH_HOST',
  'CABINET_HEALTH_TLS_KEY',
  'CABINET_HEALTH_TLS_CERT',
  'CABINET_METRICS_TOKEN_FILE',
  'CABINET_PROCESSES',
  'CABINET_LOG_LEVEL',
  'CABINET_LOG_FORMAT',
] as const;

/** The variables of this process. The one place of `src` that reads `process.env`. */
export function processEnvironment(): Environment {
  return process.env;
}

/** `leaseTtlMs` → `CABINET_LEASE_TTL_MS`. */
export function variableOf(setting: string): string {
  return `${prefix}${setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/**
 * The engine's settings in the environment. A variable that is empty counts as not set; ranges and relations are checked
 * where all sources come together, in `resolveConfig`.
 *
 * @throws EngineError `CONFIG_INVALID` naming the variable, for a number that is none and a word that is not in its list
 */
export function readEnvironment(environment: Environment = processEnvironment()): EnvironmentSettings {
  const config: Record<string, string | number> = {};
  for (const setting of Object.keys(configDefaults)) {
    const variable = variableOf(setting);
    const value = setting in configRanges ? integerAt(environment, variable) : textAt(environment, variable);
    if (value !== undefined) config[setting] = value;
  }
  return {
    config,
    unknownVariables: findUnknown(environment),
    ...present('natsUrl', textAt(environment, 'NATS_URL')),
    ...present('natsCredentialsFile', textAt(environment, 'NATS_CREDS')),
    ...present('natsNkeyFile', textAt(environment, 'NATS_NKEY')),
    ...present('natsInboxPrefix', textAt(environment, 'NATS_INBOX_PREFIX')),
    ...present('natsServerBinary', textAt(environment, 'NATS_SERVER_BIN')),
    ...present('dataDir', textAt(environment, 'CABINET_DATA_DIR')),
    ...present('nodeId', textAt(environment, 'CABINET_NODE_ID')),
    ...present('admin', wordAt(environment, 'CABINET_ADMIN', switches)),
    ...present('adminHost', textAt(environment, 'CABINET_ADMIN_HOST')),
    ...present('adminPort', portAt(environment, 'CABINET_ADMIN_PORT')),
    ...present('adminAllowedHosts', textAt(environment, 'CABINET_ADMIN_ALLOWED_HOSTS')),
    ...present('adminTlsKeyFile', textAt(environment, 'CABINET_ADMIN_TLS_KEY')),
    ...present('adminTlsCertFile', textAt(environment, 'CABINET_ADMIN_TLS_CERT')),
    ...present('adminNkeyFile', textAt(environment, 'CABINET_ADMIN_NKEY')),
    ...present('adminInboxPrefix', textAt(environment, 'CABINET_ADMIN_INBOX_PREFIX')),
    ...present('adminUrl', textAt(environment, 'CABINET_ADMIN_URL')),
    ...present('adminToken', textAt(environment, 'CABINET_ADMIN_TOKEN')),
    ...present('adminTokenFile', textAt(environment, 'CABINET_ADMIN_TOKEN_FILE')),
    ...present('adminCaFile', textAt(environment, 'CABINET_ADMIN_CA')),
    ...present('healthPort', portAt(environment, 'CABINET_HEALTH_PORT')),
    ...present('healthHost', textAt(environment, 'CABINET_HEALTH_HOST')),
    ...present('healthTlsKeyFile', textAt(environment, 'CABINET_HEALTH_TLS_KEY')),
    ...present('healthTlsCertFile', textAt(environment, 'CABINET_HEALTH_TLS_CERT')),
    ...present('metricsTokenFile', textAt(environment, 'CABINET_METRICS_TOKEN_FILE')),
    ...present('processes', integerAt(environment, 'CABINET_PROCESSES', { least: 1, most: 1_024 })),
    ...present('logLevel', wordAt(environment, 'CABINET_LOG_LEVEL', logLevels)),
    ...present('logFormat', wordAt(environment, 'CABINET_LOG_FORMAT', logFormats)),
  };
}

// Not refused: Kubernetes gives every container the addresses of services, and a service may be named `cabinet`.
function findUnknown(environment: Environment): readonly string[] {
  const known = new Set<string>([...ownVariables, ...Object.keys(configDefaults).map(variableOf)]);
  return Object.keys(environment).filter(
    (name) => name.startsWith(prefix) && (!known.has(name) || isServiceLink(environment[name])),
  );
}

/** Kubernetes tells containers of a service `cabinet-admin` its address as `CABINET_ADMIN_PORT=tcp://10.0.0.1:4280`. */
function isServiceLink(value = ''): boolean {
  return value.startsWith('tcp://');
}

function portAt(environment: Environment, variable: string): number | undefined {
  if (isServiceLink(environment[variable])) return undefined;
  return integerAt(environment, variable, { least: 0, most: 65_535 });
}

function textAt(environment: Environment, variable: string): string | undefined {
  const text = environment[variable]?.trim();
  return text === '' ? undefined : text;
}

function integerAt(
  environment: Environment,
  variable: string,
  range?: { readonly least: number; readonly most: number },
): number | undefined {
  const text = textAt(environment, variable);
  if (text === undefined) return undefined;
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value) || (range !== undefined && (value < range.least || value > range.most))) {
    const limit = range === undefined ? 'an integer' : `an integer from ${range.least} to ${range.most}`;
    throw new EngineError('CONFIG_INVALID', `${variable} must be ${limit}`, { field: variable, limit, got: text });
  }
  return value;
}

function wordAt<Word extends string>(
  environment: Environment,
  variable: string,
  words: readonly Word[],
): Word | undefined {
  const text = textAt(environment, variable);
  if (text === undefined) return undefined;
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  const limit = `one of ${words.join(', ')}`;
  throw new EngineError('CONFIG_INVALID', `${variable} must be ${limit}`, { field: variable, limit, got: text });
}

function present<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}
