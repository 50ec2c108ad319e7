import { EngineError } from './core/errors.ts';
import { journalStream } from './core/subjects.ts';
import type { NatsProbe } from './platform/doctor-checks.ts';
import { readNatsServerInfo } from './platform/nats-monitor.ts';
import type { Clock } from './ports/clock.ts';
import { silentLogger } from './client/silent-logger.ts';
import { StreamApi } from './store/stream-api.ts';
import { connectNats, type NatsLinkOptions } from './transport/nats-connection.ts';

/** How the doctor reaches a server. */
export interface NatsProbeOptions {
  readonly link: Omit<NatsLinkOptions, 'servers' | 'name' | 'clock' | 'logger'>;
  readonly clock: Clock;
  readonly namespace: string;
  readonly timeoutMs: number;
}

/**
 * Connects to a server and asks what it is and can do. Changes nothing.
 *
 * @throws EngineError `NATS_UNREACHABLE`, `BUS_FORBIDDEN`, `CONFIG_INVALID`
 */
export async function probeNats(
  servers: string | readonly string[],
  monitorUrl: string | undefined,
  options: NatsProbeOptions,
): Promise<NatsProbe> {
  const { clock, timeoutMs } = options;
  const logger = silentLogger;
  const link = await connectNats({
    ...options.link,
    servers,
    name: 'cabinet-doctor',
    clock,
    logger,
    connectTimeoutMs: options.link.connectTimeoutMs ?? timeoutMs,
  });
  const api = new StreamApi({ link, clock, logger, timeoutMs });
  try {
    const startedAtMs = clock.monotonicMs();
    await link.connection.flush();
    const roundTripMs = clock.monotonicMs() - startedAtMs;
    const account = await ask(api, 'INFO');
    const level = (account?.['api'] as { readonly level?: unknown } | undefined)?.level;
    const monitor = monitorUrl === undefined ? undefined : await readNatsServerInfo(monitorUrl);
    return {
      version: link.connection.info?.version ?? 'unknown',
      jetStream: account !== undefined,
      apiLevel: typeof level === 'number' ? level : undefined,
      syncAlways: monitor?.syncAlways,
      roundTripMs,
      clockOffsetMs: await readClockOffset(api, options),
    };
  } finally {
    api.close();
    await link.close();
  }
}

/** The answer, or undefined when JetStream has none for this user. */
async function ask(api: StreamApi, operation: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const answer = await api.call(operation);
    return answer.kind === 'ok' ? answer.value : undefined;
  } catch (error) {
    if (error instanceof EngineError && (error.code === 'UNAVAILABLE' || error.code === 'BUS_FORBIDDEN'))
      return undefined;
    throw error;
  }
}

/** A server writes its time into what it tells of a stream; before the first start of an engine there is none to ask of. */
async function readClockOffset(api: StreamApi, { clock, namespace }: NatsProbeOptions): Promise<number | undefined> {
  const before = clock.now();
  const stream = await ask(api, `STREAM.INFO.${journalStream(namespace)}`);
  const after = clock.now();
  const serverAt = typeof stream?.['ts'] === 'string' ? Date.parse(stream['ts']) : Number.NaN;
  return Number.isNaN(serverAt) ? undefined : serverAt - (before + after) / 2;
}
