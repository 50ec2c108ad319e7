import { readFile } from 'node:fs/promises';
import type { Client, ConnectClientOptions, ConsoleConnection } from '../client.ts';
import { OperatorAudit } from '../client/operator-audit.ts';
import { silentLogger } from '../client/silent-logger.ts';
import { asError, EngineError } from '../core/errors.ts';
import { findEmbeddedNats } from '../platform/embedded-nats-state.ts';
import { readEnvironment } from '../platform/environment.ts';
import { hostNodeId } from '../platform/host-node-id.ts';
import { systemUser } from '../platform/system-user.ts';
import { loadConfig } from './config-loader.ts';
import type { CliContext } from './context.ts';
import type { ClusterOptions, SettingOptions } from './options.ts';
import { resolveSettings, type Settings } from './settings.ts';

/** Deadline of a call of a command that has no `--timeout`. */
export const defaultTimeoutMs = 10_000;
/** Longest try to reach the server and the engine, when `--timeout` allows more. */
const maximumConnectMs = 5_000;

/**
 * The settings of a command, from its flags, the environment and the configuration file.
 *
 * @throws EngineError `CONFIG_INVALID`
 */
export async function readSettings(
  context: Pick<CliContext, 'workingFolder' | 'environment'>,
  options: SettingOptions,
): Promise<Settings> {
  const { workingFolder } = context;
  const environment = readEnvironment(context.environment);
  const { config } = options;
  const named = typeof config === 'string' ? config : undefined;
  const file = config === false ? null : await loadConfig({ workingFolder, file: named });
  return resolveSettings({ flags: options, environment, file, workingFolder });
}

/** The link's settings with the credentials or key that a file holds. @throws EngineError `CONFIG_INVALID` */
export async function readLink(
  nats: Settings['nats'],
): Promise<Omit<Settings['nats'], 'credentialsFile' | 'nkeyFile'>> {
  const { credentialsFile, nkeyFile, ...link } = nats;
  return {
    ...link,
    ...(credentialsFile === undefined
      ? {}
      : { credentials: await readSettingFile('nats.credentialsFile', credentialsFile) }),
    ...(nkeyFile === undefined ? {} : { nkeySeed: (await readSettingFile('nats.nkeyFile', nkeyFile)).trim() }),
  };
}

/** The text of a file that a setting names. @throws EngineError `CONFIG_INVALID` */
export async function readSettingFile(setting: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new EngineError('CONFIG_INVALID', `the file of ${setting} cannot be read: ${asError(error).message}`, {
      field: setting.slice(setting.indexOf('.') + 1),
      got: file,
    });
  }
}

/** Where the NATS server is that a client should ask: the one of the settings, else the one on the data folder. */
export async function findServers(settings: Settings): Promise<string | readonly string[]> {
  const { nats, dataDir } = settings;
  if (nats.servers !== undefined) return nats.servers;
  const embedded = await findEmbeddedNats(dataDir);
  if (embedded !== undefined) return embedded.url;
  throw new EngineError('NATS_UNREACHABLE', `no engine runs on ${dataDir}, and no NATS server is named`, {
    field: 'nats',
    hint: 'start one with `cabinet dev`, or name a server with --nats or NATS_URL, or its folder with --data-dir',
  });
}

/** What a command is given to ask an engine with. */
export interface ClusterAccess {
  readonly client: Client;
  readonly settings: Settings;
  /** Deadline of one call. */
  readonly deadlineMs: number;
  /** Where a command writes down what it does as an operator. */
  readonly audit: OperatorAudit;
}

/**
 * Connects to the engine, lets `use` ask it, and closes the connection, whatever comes of it.
 *
 * @throws EngineError `CONFIG_INVALID`, `NATS_UNREACHABLE`, `BUS_FORBIDDEN`, `NO_OWNER`, and what `use` throws
 */
export async function withCluster<Value>(
  context: CliContext,
  options: ClusterOptions,
  use: (access: ClusterAccess) => Promise<Value>,
): Promise<Value> {
  const { link, settings, deadlineMs } = await readConnection(context, options);
  const { connectOperator } = await import('../client.ts');
  const connection = await connectOperator(link);
  const { client } = connection;
  try {
    return await use({ client, settings, deadlineMs, audit: operatorAudit(connection) });
  } finally {
    await client.close();
  }
}

/** What a command is given that reads the journal too. */
export interface ConsoleAccess extends ClusterAccess, Pick<ConsoleConnection, 'journal' | 'shardCount'> {}

/** {@link withCluster} with the journal. @throws EngineError as it does */
export async function withConsole<Value>(
  context: CliContext,
  options: ClusterOptions,
  use: (access: ConsoleAccess) => Promise<Value>,
): Promise<Value> {
  const { link, settings, deadlineMs } = await readConnection(context, options);
  const { connectConsole } = await import('../client.ts');
  const connection = await connectConsole(link);
  const { client, journal, shardCount } = connection;
  try {
    return await use({ client, journal, shardCount, settings, deadlineMs, audit: operatorAudit(connection) });
  } finally {
    await client.close();
  }
}

/** How a command reaches its engine, found now. @throws EngineError `CONFIG_INVALID`, `NATS_UNREACHABLE` */
export async function readConnection(
  context: CliContext,
  options: ClusterOptions,
): Promise<{ readonly link: ConnectClientOptions; readonly settings: Settings; readonly deadlineMs: number }> {
  const settings = await readSettings(context, options);
  const servers = await findServers(settings);
  const deadlineMs = options.timeout ?? defaultTimeoutMs;
  const { monitorUrls: _urls, servers: _servers, ...link } = await readLink(settings.nats);
  return {
    settings,
    deadlineMs,
    link: {
      ...link,
      servers,
      namespace: settings.engine.namespace,
      name: 'cabinet-cli',
      deadlineMs,
      connectTimeoutMs: link.connectTimeoutMs ?? Math.min(deadlineMs, maximumConnectMs),
    },
  };
}

/** Who asks, when nobody says: the user of this machine. */
function operatorAudit({ audit }: ConsoleConnection): OperatorAudit {
  return new OperatorAudit({ ...audit, logger: silentLogger, by: systemUser(), address: `cli@${hostNodeId()}` });
}

/**
 * The value of `run`, or the error when it takes too long; then its signal aborts and what it still does is of no interest.
 *
 * @throws EngineError `DEADLINE_EXCEEDED`
 */
export async function withDeadline<Value>(
  context: CliContext,
  timeoutMs: number,
  what: string,
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const stopping = new AbortController();
  const error = new EngineError('DEADLINE_EXCEEDED', `${what} took longer than ${timeoutMs} ms`, {
    field: 'timeout',
    limit: `${timeoutMs} ms`,
    hint: 'allow more with --timeout',
  });
  const late = new Promise<never>((_resolve, reject) => {
    stopping.signal.addEventListener('abort', () => reject(error), { once: true });
  });
  const timer = context.clock.setTimer(timeoutMs, () => stopping.abort(error));
  try {
    return await Promise.race([run(stopping.signal), late]);
  } finally {
    timer.cancel();
  }
}
