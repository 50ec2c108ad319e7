import { resolve } from 'node:path';
import {
  natsTlsFiles,
  type ConfigFileHealth,
  type ConfigFileInspector,
  type ConfigFileNats,
  type ConfigFileSupervisor,
} from '../config-file.ts';
import { configDefaults, resolveConfig, type EngineConfig } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';
import { type EnvironmentSettings, type LogLevel, variableOf } from '../platform/environment.ts';
import { pickAdmin, type AdminFlags, type AdminSettings } from './admin-settings.ts';
import type { LoadedConfig } from './config-loader.ts';
import { pickHealth, type HealthFlags } from './health-settings.ts';
import type { Candidates, Setting, SettingSource } from './setting.ts';

/** What the command line says about settings. */
export interface SettingFlags extends AdminFlags, HealthFlags {
  readonly nats?: string | undefined;
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly inboxPrefix?: string | undefined;
  readonly namespace?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly nodeId?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
  /** Node processes under one supervisor. */
  readonly nodes?: number | undefined;
  /** Milliseconds. */
  readonly hungAfter?: number | undefined;
  /** The page of a viewer on another server. */
  readonly hostedViewer?: string | undefined;
}

/** How log lines are written. */
export type LogFormat = 'json' | 'pretty' | 'auto';

/** All settings of a command, merged and checked. */
export interface Settings {
  readonly engine: EngineConfig;
  /** `servers` undefined: the engine's own server on `dataDir`. */
  readonly nats: Omit<ConfigFileNats, 'dataDir'>;
  /** Absolute. */
  readonly dataDir: string;
  /** Undefined: the host's name. */
  readonly nodeId: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** `processes` undefined: one node in this very process. */
  readonly supervisor: ConfigFileSupervisor;
  /** `hostedViewerUrl` undefined: the bridge to a hosted viewer is off. */
  readonly inspector: ConfigFileInspector;
  /** `enabled` undefined: as the command does by itself. Files are absolute. */
  readonly admin: AdminSettings;
  /** `port` undefined: no health is told. Files are absolute. */
  readonly health: ConfigFileHealth;
  /** The file that was read, or null. */
  readonly file: LoadedConfig | null;
  /** Every setting with where it comes from, secrets included. */
  readonly list: readonly Setting[];
}

const defaultDataDir = '.cabinet';

/**
 * The settings in force: defaults, then the file, then the environment, then flags.
 *
 * @throws EngineError `CONFIG_INVALID` that says where the value comes from
 */
export function resolveSettings(sources: {
  readonly flags: SettingFlags;
  readonly environment: EnvironmentSettings;
  readonly file: LoadedConfig | null;
  readonly workingFolder: string;
}): Settings {
  const { flags, environment, file, workingFolder } = sources;
  const fileNats: ConfigFileNats = file?.config.nats ?? {};
  const fileFolder = file?.folder ?? workingFolder;
  const pick = (name: string, candidates: Candidates, fallback?: unknown): Setting =>
    pickSetting(name, { ...candidates, filePath: file?.path, fallback });
  const inFileFolder = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(fileFolder, path);
  const inWorkingFolder = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(workingFolder, path);

  const servers = pick('nats.servers', {
    flag: ['--nats', flags.nats],
    env: ['NATS_URL', environment.natsUrl],
    file: fileNats.servers,
  });
  const credentialsFile = pick('nats.credentialsFile', {
    flag: ['--creds', inWorkingFolder(flags.creds)],
    env: ['NATS_CREDS', inWorkingFolder(environment.natsCredentialsFile)],
    file: inFileFolder(fileNats.credentialsFile),
  });
  const nkeyFile = pick('nats.nkeyFile', {
    flag: ['--nkey', inWorkingFolder(flags.nkey)],
    env: ['NATS_NKEY', inWorkingFolder(environment.natsNkeyFile)],
    file: inFileFolder(fileNats.nkeyFile),
  });
  const inboxPrefix = pick('nats.inboxPrefix', {
    flag: ['--inbox-prefix', flags.inboxPrefix],
    env: ['NATS_INBOX_PREFIX', environment.natsInboxPrefix],
    file: fileNats.inboxPrefix,
  });
  const dataDir = pick(
    'nats.dataDir',
    {
      flag: ['--data-dir', inWorkingFolder(flags.dataDir)],
      env: ['CABINET_DATA_DIR', inWorkingFolder(environment.dataDir)],
      file: inFileFolder(fileNats.dataDir),
    },
    resolve(workingFolder, defaultDataDir),
  );
  const onlyInFile = (
    ['token', 'user', 'pass', 'credentials', 'nkeySeed', 'tls', 'connectTimeoutMs', 'monitorUrls'] as const
  ).map((key) =>
    pick(`nats.${key}`, { file: key === 'tls' ? tlsInFolder(fileNats.tls, inFileFolder) : fileNats[key] }),
  );
  const nodeId = pick('nodeId', {
    flag: ['--node-id', flags.nodeId],
    env: ['CABINET_NODE_ID', environment.nodeId],
    file: file?.config.nodeId,
  });
  const logLevel = pick(
    'logLevel',
    { flag: ['--log-level', flags.logLevel], env: ['CABINET_LOG_LEVEL', environment.logLevel] },
    'info',
  );
  const logFormat = pick(
    'logFormat',
    { flag: ['--log-format', flags.logFormat], env: ['CABINET_LOG_FORMAT', environment.logFormat] },
    'auto',
  );
  const fileSupervisor: ConfigFileSupervisor = file?.config.supervisor ?? {};
  const supervisor = [
    pick('supervisor.processes', {
      flag: ['--nodes', flags.nodes],
      env: ['CABINET_PROCESSES', environment.processes],
      file: fileSupervisor.processes,
    }),
    pick('supervisor.hungAfterMs', { flag: ['--hung-after', flags.hungAfter], file: fileSupervisor.hungAfterMs }),
    ...(['startIntensity', 'startPeriodMs', 'crashIntensity', 'crashPeriodMs'] as const).map((key) =>
      pick(`supervisor.${key}`, { file: fileSupervisor[key] }),
    ),
  ];
  const hostedViewerUrl = pick('inspector.hostedViewerUrl', {
    flag: ['--hosted-viewer', flags.hostedViewer],
    file: file?.config.inspector?.hostedViewerUrl,
  });
  const admin = pickAdmin({ flags, environment, file: file?.config.admin ?? {}, pick, inFileFolder, inWorkingFolder });
  const health = pickHealth({
    flags,
    environment,
    file: file?.config.health ?? {},
    pick,
    inFileFolder,
    inWorkingFolder,
  });
  const engine = pickEngine(sources);
  const list = [
    servers,
    credentialsFile,
    nkeyFile,
    inboxPrefix,
    dataDir,
    ...onlyInFile,
    nodeId,
    logLevel,
    logFormat,
    ...supervisor,
    hostedViewerUrl,
    ...admin,
    ...health,
    ...engine,
  ];
  const nats = Object.fromEntries(
    [servers, credentialsFile, nkeyFile, inboxPrefix, ...onlyInFile].map(({ name, value }) => [
      name.slice('nats.'.length),
      value,
    ]),
  ) as Settings['nats'];
  return {
    engine: resolveEngine(engine),
    nats,
    dataDir: dataDir.value as string,
    nodeId: nodeId.value as string | undefined,
    logLevel: logLevel.value as LogLevel,
    logFormat: logFormat.value as LogFormat,
    supervisor: Object.fromEntries(supervisor.map(({ name, value }) => [name.slice('supervisor.'.length), value])),
    inspector: { hostedViewerUrl: hostedViewerUrl.value as string | undefined },
    admin: Object.fromEntries(admin.map(({ name, value }) => [name.slice('admin.'.length), value])),
    health: Object.fromEntries(health.map(({ name, value }) => [name.slice('health.'.length), value])),
    file,
    list,
  };
}

/** Where a value comes from, in words: `default`, `file …`, `env NATS_URL`, `flag --nats`. */
export function describeSource({ kind, name }: SettingSource): string {
  return name === null ? kind : `${kind} ${name}`;
}

function pickSetting(
  name: string,
  from: Candidates & { readonly filePath: string | undefined; readonly fallback: unknown },
): Setting {
  const [flagName, flagValue] = from.flag ?? [null, undefined];
  if (flagValue !== undefined) return { name, value: flagValue, source: { kind: 'flag', name: flagName } };
  const [variable, environmentValue] = from.env ?? [null, undefined];
  if (environmentValue !== undefined) return { name, value: environmentValue, source: { kind: 'env', name: variable } };
  if (from.file !== undefined) return { name, value: from.file, source: { kind: 'file', name: from.filePath ?? null } };
  return { name, value: from.fallback, source: { kind: 'default', name: null } };
}

function tlsInFolder(
  tls: ConfigFileNats['tls'],
  inFolder: (path: string | undefined) => string | undefined,
): ConfigFileNats['tls'] {
  if (tls === undefined) return undefined;
  const files = natsTlsFiles.flatMap((key) => (tls[key] === undefined ? [] : [[key, inFolder(tls[key])] as const]));
  return { ...tls, ...Object.fromEntries(files) };
}

/** Every engine setting, and what a file says beyond them, for `resolveConfig` to refuse. */
function pickEngine(sources: Parameters<typeof resolveSettings>[0]): readonly Setting[] {
  const { flags, environment, file } = sources;
  const fileEngine: Readonly<Record<string, unknown>> = file?.config.engine ?? {};
  const names = new Set([...Object.keys(configDefaults), ...Object.keys(fileEngine)]);
  return [...names].map((name) =>
    pickSetting(`engine.${name}`, {
      ...(name === 'namespace' ? { flag: ['--namespace', flags.namespace] as const } : {}),
      env: [variableOf(name), environment.config[name as keyof EngineConfig]],
      file: fileEngine[name],
      filePath: file?.path,
      fallback: configDefaults[name as keyof EngineConfig],
    }),
  );
}

function engineNameOf({ name }: Setting): string {
  return name.slice('engine.'.length);
}

function resolveEngine(settings: readonly Setting[]): EngineConfig {
  try {
    return resolveConfig(Object.fromEntries(settings.map((setting) => [engineNameOf(setting), setting.value])));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const guilty = settings.find((setting) => engineNameOf(setting) === error.field);
    if (guilty === undefined || guilty.source.kind === 'default') throw error;
    const source = describeSource(guilty.source);
    // Of a setting that does not exist, what was got is its name.
    const got = error.got === undefined || error.got === error.field ? '' : `, got ${error.got}`;
    throw new EngineError(error.code, `${error.message}${got}`, {
      field: error.field,
      limit: error.limit,
      got: error.got,
      hint: `it comes from ${source}`,
      cause: error,
    });
  }
}
