import { EngineError } from '../core/errors.ts';
import { compareVersions, minimumNatsVersion } from '../core/server-version.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { judgeDurability, type DurabilityReport, type MonitoredServer } from './durability.ts';
import { testFence } from './fence-self-test.ts';
import { StreamApi, type ApiAnswer } from './stream-api.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** Level of the JetStream API that the oldest server has. */
export const minimumApiLevel = 4;

/** How long a server that says it is ready may take until JetStream answers. */
const readinessTimeoutMs = 10_000;
const readinessWaitMs = 250;
const newerServerHint =
  'install nats-server 2.14.4 or newer from https://github.com/nats-io/nats-server/releases or the official image `nats:2`; ' +
  "Debian 12's own package is 2.9, which silently ignores fences and TTLs";

/** What {@link checkServer} asks of the server. */
export interface ServerGateOptions {
  readonly namespace: string;
  readonly durability: 'process-crash' | 'power-loss';
  readonly replicas: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Monitoring addresses (`http://host:8222`) of all servers. A server does not tell its clients whether it syncs, so
   * without these the durability stays unverified.
   */
  readonly monitorUrls?: readonly string[] | undefined;
  /** Asks one of them; undefined when nobody answers there. */
  readonly readMonitor?: ((monitorUrl: string) => Promise<MonitoredServer | undefined>) | undefined;
}

/**
 * Lets a server pass on which the engine's promises hold, and says which durability is in force.
 *
 * @throws EngineError `SERVER_VERSION_UNSUPPORTED`, `JETSTREAM_DISABLED`, `BUS_FORBIDDEN` with the subject, `SELF_TEST_FAILED`
 *   when a stale conditional append was accepted, `DURABILITY_UNSAFE` when power-loss durability was asked and is not proven,
 *   `UNAVAILABLE`
 */
export async function checkServer(link: NatsLink, options: ServerGateOptions): Promise<DurabilityReport> {
  checkVersion(link.connection.info?.version ?? 'unknown');
  const api = new StreamApi({ link, clock: options.clock, logger: options.logger });
  try {
    checkApiLevel(await readAccountInfo(link, api, options.clock));
    await testFence(link, api, options);
  } finally {
    api.close();
  }
  const report = await readDurability(link, options);
  if (options.durability === 'power-loss' && report.level !== 'power-loss') {
    throw new EngineError('DURABILITY_UNSAFE', `durability 'power-loss' was asked for, but ${report.detail}`, {
      field: 'durability',
      got: report.level,
      hint: 'set `jetstream { sync_interval: always }` on every server and give the monitoring addresses, or ask for process-crash',
    });
  }
  return report;
}

/** Passes a version of at least {@link minimumNatsVersion}. @throws EngineError `SERVER_VERSION_UNSUPPORTED` */
export function checkVersion(version: string): void {
  if (compareVersions(version, minimumNatsVersion) >= 0) return;
  throw new EngineError(
    'SERVER_VERSION_UNSUPPORTED',
    `nats-server ${version} is too old, ${minimumNatsVersion} is needed: ${newerServerHint}`,
    { field: 'version', limit: `at least ${minimumNatsVersion}`, got: version, hint: newerServerHint },
  );
}

function checkApiLevel(info: Readonly<Record<string, unknown>>): void {
  const level = (info['api'] as { readonly level?: number } | undefined)?.level ?? 0;
  if (level >= minimumApiLevel) return;
  throw new EngineError(
    'SERVER_VERSION_UNSUPPORTED',
    `JetStream API level ${level} is too old, ${minimumApiLevel} is needed: ${newerServerHint}`,
    { field: 'api.level', limit: `at least ${minimumApiLevel}`, got: level, hint: newerServerHint },
  );
}

/** The account's JetStream data, asked again while JetStream is only about to start. */
async function readAccountInfo(
  link: NatsLink,
  api: StreamApi,
  clock: Clock,
): Promise<Readonly<Record<string, unknown>>> {
  const deadlineMs = clock.monotonicMs() + readinessTimeoutMs;
  for (;;) {
    const answer = await askOnce(link, api);
    if (answer instanceof EngineError) {
      if (clock.monotonicMs() >= deadlineMs) throw answer;
    } else if (answer.kind === 'ok') {
      return answer.value;
    } else if (answer.code === jetStreamCodes.notEnabled || answer.code === jetStreamCodes.notEnabledForAccount) {
      throw jetStreamDisabled(`the server answers ${answer.code} ${answer.description}`);
    } else if (clock.monotonicMs() >= deadlineMs) {
      throw new EngineError('UNAVAILABLE', `JetStream answers ${answer.code} ${answer.description}`);
    }
    await new Promise<void>((resolve) => void clock.setTimer(readinessWaitMs, resolve));
  }
}

async function askOnce(link: NatsLink, api: StreamApi): Promise<ApiAnswer | EngineError> {
  try {
    return await api.call('INFO');
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'UNAVAILABLE') throw error;
    // Behind a leaf node JetStream may be on another server, so only the silence of its API means that there is none.
    const serverHasNone = link.connection.info?.jetstream !== true;
    if (error.got === 'no-responders' && serverHasNone) throw jetStreamDisabled('nobody serves its API', error);
    return error;
  }
}

function jetStreamDisabled(reason: string, cause?: unknown): EngineError {
  return new EngineError('JETSTREAM_DISABLED', `the NATS server or account has no JetStream: ${reason}`, {
    cause,
    hint: 'add a `jetstream {}` block to the server configuration, and to the account when there are accounts',
  });
}

async function readDurability(link: NatsLink, options: ServerGateOptions): Promise<DurabilityReport> {
  const { monitorUrls, readMonitor, replicas } = options;
  const urls = readMonitor === undefined ? [] : (monitorUrls ?? []);
  const monitors = await Promise.all(
    urls.map(async (url) => ({ url, server: await readMonitor?.(url).catch(() => undefined) })),
  );
  return judgeDurability({ connectedServerId: link.connection.info?.server_id ?? '', monitors, replicas });
}
