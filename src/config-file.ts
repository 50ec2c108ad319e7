import type { EngineConfig } from './core/config.ts';
import { EngineError } from './core/errors.ts';
import type { NodeNatsOptions } from './node.ts';
import type { PipelineDefinition } from './pipeline/definition.ts';
import type { NatsTls } from './transport/nats-tls.ts';

/** The NATS part of a configuration file: where the server is, or where the engine's own keeps its data. */
export interface ConfigFileNats extends NodeNatsOptions {
  /** A `.creds` file, in place of its contents in `credentials`. Relative to the configuration file. */
  readonly credentialsFile?: string | undefined;
  /** A file with an NKey seed, in place of it in `nkeySeed`. Relative to the configuration file. */
  readonly nkeyFile?: string | undefined;
  /** Its files are relative to the configuration file. */
  readonly tls?: NatsTls | undefined;
}

/** Node processes under one supervisor, for `cabinet start`. */
export interface ConfigFileSupervisor {
  /** How many node processes; one node in the command's own process when left out. */
  readonly processes?: number | undefined;
  /** A node process that gives no sign of life for so long is killed and started again; 15 s when left out. */
  readonly hungAfterMs?: number | undefined;
  /** Starts of one node that end before it has joined the cluster, within the period, before everything is given up; 5 when left out. */
  readonly startIntensity?: number | undefined;
  /** 60 s when left out. */
  readonly startPeriodMs?: number | undefined;
  /** Crashes of one node that had joined, within the period, before everything is given up; 100 when left out. */
  readonly crashIntensity?: number | undefined;
  /** 300 s when left out. */
  readonly crashPeriodMs?: number | undefined;
}

/** Task inspections in the console. */
export interface ConfigFileInspector {
  /**
   * The page of a viewer on another server, such as `https://stately.ai/inspect`, for the bridge to it. Left out, the bridge is off:
   * what it shows to that page leaves the operator's browser.
   */
  readonly hostedViewerUrl?: string | undefined;
}

/** The admin server: API, console and sockets. Files are relative to the configuration file. */
export interface ConfigFileAdmin {
  /** Whether a command that runs nodes serves it; `dev` and `start --nodes` do, and `start` with one node does not, when left out. */
  readonly enabled?: boolean | undefined;
  /** 127.0.0.1 when left out. Any other address than loopback needs both TLS files. */
  readonly host?: string | undefined;
  /** 4280 when left out, or any free one if that is taken. */
  readonly port?: number | undefined;
  /** Names that it answers for beside its own address, such as that in the certificate. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly tlsKeyFile?: string | undefined;
  readonly tlsCertFile?: string | undefined;
  /** NKey seed of the role `console`, where the nodes use their own. */
  readonly nkeyFile?: string | undefined;
  /** Where replies to the console may arrive. */
  readonly inboxPrefix?: string | undefined;
  /** The admin API that `cabinet token` and `cabinet bulk` ask; that on the data folder when left out. */
  readonly url?: string | undefined;
  /** A file with the token that they show it. */
  readonly tokenFile?: string | undefined;
  /** The authority that its certificate is from, as PEM; those that Node knows when left out. */
  readonly caFile?: string | undefined;
}

/** Where `cabinet start` tells its health. Files are relative to the configuration file. */
export interface ConfigFileHealth {
  /** No health is told when left out. */
  readonly port?: number | undefined;
  /** 127.0.0.1 when left out. Any other address is fine for yes or no; metrics there need both TLS files. */
  readonly host?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  readonly tlsCertFile?: string | undefined;
  /** Metrics are told to whoever has the token in this file; to nobody when left out. */
  readonly metricsTokenFile?: string | undefined;
}

/** What a `cabinet.config` file exports by default. */
export interface CabinetConfig {
  /** At least one; of a pipeline that still has tasks of older versions, those versions too. */
  readonly pipelines: readonly PipelineDefinition[];
  /** The integrations that drivers see as `ctx.ports`. */
  readonly ports?: Readonly<Record<string, unknown>> | undefined;
  readonly engine?: Partial<EngineConfig> | undefined;
  readonly nats?: ConfigFileNats | undefined;
  /** The host's name when left out. */
  readonly nodeId?: string | undefined;
  readonly supervisor?: ConfigFileSupervisor | undefined;
  readonly inspector?: ConfigFileInspector | undefined;
  readonly admin?: ConfigFileAdmin | undefined;
  readonly health?: ConfigFileHealth | undefined;
}

/** A checked configuration file. `pipelines` is empty only in a JSON file, which cannot hold definitions. */
export type CheckedConfig = CabinetConfig;

/** The configuration as it is; gives an editor its types. */
export function defineConfig(config: CabinetConfig): CabinetConfig {
  return config;
}

const configKeys = new Set([
  'pipelines',
  'ports',
  'engine',
  'nats',
  'nodeId',
  'supervisor',
  'inspector',
  'admin',
  'health',
]);
const natsKeys: ReadonlySet<string> = new Set<keyof ConfigFileNats>([
  'servers',
  'monitorUrls',
  'dataDir',
  'token',
  'user',
  'pass',
  'credentials',
  'credentialsFile',
  'nkeySeed',
  'nkeyFile',
  'tls',
  'inboxPrefix',
  'connectTimeoutMs',
]);
const supervisorRanges: Readonly<Record<keyof ConfigFileSupervisor, readonly [least: number, most: number]>> = {
  processes: [1, 1_024],
  hungAfterMs: [3_000, 3_600_000],
  startIntensity: [0, 1_000],
  startPeriodMs: [1_000, 86_400_000],
  crashIntensity: [0, 100_000],
  crashPeriodMs: [1_000, 86_400_000],
};
const adminTextKeys = [
  'host',
  'tlsKeyFile',
  'tlsCertFile',
  'nkeyFile',
  'inboxPrefix',
  'url',
  'tokenFile',
  'caFile',
] as const;
const adminKeys: ReadonlySet<string> = new Set<keyof ConfigFileAdmin>([
  'enabled',
  'port',
  'allowedHosts',
  ...adminTextKeys,
]);
const healthTextKeys = ['host', 'tlsKeyFile', 'tlsCertFile', 'metricsTokenFile'] as const;
const healthKeys: ReadonlySet<string> = new Set<keyof ConfigFileHealth>(['port', ...healthTextKeys]);
const natsTextKeys = [
  'dataDir',
  'token',
  'user',
  'pass',
  'credentials',
  'credentialsFile',
  'nkeySeed',
  'nkeyFile',
  'inboxPrefix',
] as const;

/** Files of `nats.tls`. */
export const natsTlsFiles = ['caFile', 'certFile', 'keyFile'] as const satisfies readonly (keyof NatsTls)[];

/**
 * What a configuration file holds, checked. Settings of `engine` are checked where all sources come together.
 *
 * @param path - of the file, for messages
 * @throws EngineError `CONFIG_INVALID` that names the file and the path within it
 */
export function checkConfig(value: unknown, path: string): CheckedConfig {
  const isJson = path.endsWith('.json');
  const config = asObject(value, path, isJson ? 'the file' : 'the default export');
  refuseUnknownKeys(config, configKeys, path, '');
  const pipelines = isJson ? checkNoPipelines(config, path) : checkPipelines(config['pipelines'], path);
  if (config['ports'] !== undefined) asObject(config['ports'], path, 'ports');
  if (config['engine'] !== undefined) asObject(config['engine'], path, 'engine');
  if (config['nats'] !== undefined) checkNats(asObject(config['nats'], path, 'nats'), path);
  if (config['supervisor'] !== undefined) checkSupervisor(asObject(config['supervisor'], path, 'supervisor'), path);
  if (config['inspector'] !== undefined) checkInspector(asObject(config['inspector'], path, 'inspector'), path);
  if (config['admin'] !== undefined) checkAdmin(asObject(config['admin'], path, 'admin'), path);
  if (config['health'] !== undefined) checkHealth(asObject(config['health'], path, 'health'), path);
  if (config['nodeId'] !== undefined) checkText(config['nodeId'], path, 'nodeId');
  return { ...(config as Omit<CheckedConfig, 'pipelines'>), pipelines };
}

function checkNoPipelines(config: Readonly<Record<string, unknown>>, path: string): readonly PipelineDefinition[] {
  if (config['pipelines'] === undefined) return [];
  throw invalid(path, 'pipelines', 'cannot stand in a JSON file', undefined, moduleHint);
}

const moduleHint = 'pipelines are code: name the file cabinet.config.mjs and export defineConfig({ pipelines: [...] })';

function checkPipelines(value: unknown, path: string): readonly PipelineDefinition[] {
  if (value === undefined) throw invalid(path, 'pipelines', 'is missing', undefined, 'list at least one definition');
  if (!Array.isArray(value)) throw invalid(path, 'pipelines', 'must be a list of definitions', kindOf(value));
  if (value.length === 0) throw invalid(path, 'pipelines', 'is empty', undefined, 'list at least one definition');
  value.forEach((item: unknown, index) => {
    if (isDefinition(item)) return;
    const hint = 'each item is what definePipeline({ … }) returns';
    throw invalid(path, `pipelines[${index}]`, `is not a pipeline definition`, kindOf(item), hint);
  });
  return value as readonly PipelineDefinition[];
}

// By shape, not by class: the file may have got its definitions from another copy of this package.
function isDefinition(value: unknown): value is PipelineDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, version, fingerprint, stages, machine, plan, stage } = value as Partial<PipelineDefinition>;
  return (
    typeof name === 'string' &&
    typeof version === 'number' &&
    typeof fingerprint === 'string' &&
    Array.isArray(stages) &&
    typeof machine === 'object' &&
    typeof plan === 'object' &&
    typeof stage === 'function'
  );
}

function checkNats(nats: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(nats, natsKeys, path, 'nats.');
  for (const key of natsTextKeys) if (nats[key] !== undefined) checkText(nats[key], path, `nats.${key}`, isSecret(key));
  for (const key of ['servers', 'monitorUrls'] as const) checkUrls(nats[key], path, `nats.${key}`);
  if (nats['tls'] !== undefined) checkNatsTls(asObject(nats['tls'], path, 'nats.tls'), path);
}

/** Unknown ones are refused: the client would take over what turns the check of certificates off. */
function checkNatsTls(tls: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(tls, new Set<keyof NatsTls>([...natsTlsFiles, 'handshakeFirst']), path, 'nats.tls.');
  for (const key of natsTlsFiles) if (tls[key] !== undefined) checkText(tls[key], path, `nats.tls.${key}`);
  const { handshakeFirst } = tls;
  if (handshakeFirst === undefined || typeof handshakeFirst === 'boolean') return;
  throw invalid(path, 'nats.tls.handshakeFirst', 'must be true or false', handshakeFirst);
}

function checkSupervisor(supervisor: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(supervisor, new Set(Object.keys(supervisorRanges)), path, 'supervisor.');
  for (const [key, [least, most]] of Object.entries(supervisorRanges)) {
    const value = supervisor[key];
    if (value === undefined || (Number.isInteger(value) && Number(value) >= least && Number(value) <= most)) continue;
    throw invalid(path, `supervisor.${key}`, `must be a whole number from ${least} to ${most}`, value);
  }
}

function checkInspector(inspector: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(inspector, new Set<keyof ConfigFileInspector>(['hostedViewerUrl']), path, 'inspector.');
  const { hostedViewerUrl } = inspector as ConfigFileInspector;
  if (hostedViewerUrl !== undefined) checkText(hostedViewerUrl, path, 'inspector.hostedViewerUrl');
}

function checkAdmin(admin: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(admin, adminKeys, path, 'admin.');
  for (const key of adminTextKeys) if (admin[key] !== undefined) checkText(admin[key], path, `admin.${key}`);
  const { enabled, port, allowedHosts } = admin;
  if (enabled !== undefined && typeof enabled !== 'boolean') {
    throw invalid(path, 'admin.enabled', 'must be true or false', enabled);
  }
  checkPort(port, path, 'admin.port');
  if (allowedHosts === undefined) return;
  const isList = Array.isArray(allowedHosts) && allowedHosts.every((host) => typeof host === 'string' && host !== '');
  if (!isList) throw invalid(path, 'admin.allowedHosts', 'must be a list of names', allowedHosts);
}

function checkHealth(health: Readonly<Record<string, unknown>>, path: string): void {
  refuseUnknownKeys(health, healthKeys, path, 'health.');
  for (const key of healthTextKeys) if (health[key] !== undefined) checkText(health[key], path, `health.${key}`);
  checkPort(health['port'], path, 'health.port');
}

function checkPort(port: unknown, path: string, field: string): void {
  if (port === undefined || (Number.isInteger(port) && Number(port) >= 0 && Number(port) <= 65_535)) return;
  throw invalid(path, field, 'must be a whole number from 0 to 65535', port);
}

function isSecret(key: string): boolean {
  return ['token', 'pass', 'credentials', 'nkeySeed'].includes(key);
}

function checkUrls(value: unknown, path: string, field: string): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  const isList =
    Array.isArray(value) && value.length > 0 && value.every((url) => typeof url === 'string' && url !== '');
  // Not echoed: a URL may hold a password.
  if (!isList) throw invalid(path, field, 'must be a URL or a list of URLs', kindOf(value));
}

function checkText(value: unknown, path: string, field: string, isSecretText = false): void {
  if (typeof value === 'string' && value !== '') return;
  throw invalid(path, field, 'must be text that is not empty', isSecretText ? kindOf(value) : value);
}

function asObject(value: unknown, path: string, field: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(path, field, 'must be an object', kindOf(value));
}

function refuseUnknownKeys(
  object: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
  path: string,
  prefix: string,
): void {
  const unknown = Object.keys(object).find((key) => !known.has(key));
  if (unknown === undefined) return;
  throw invalid(path, `${prefix}${unknown}`, 'is not a setting', undefined, `known are ${[...known].join(', ')}`);
}

function invalid(path: string, field: string, problem: string, got?: unknown, hint?: string): EngineError {
  return new EngineError('CONFIG_INVALID', `${path}: ${field} ${problem}`, { field, got, hint });
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
