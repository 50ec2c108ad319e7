import { readFile } from 'node:fs/promises';
import { isLoopback } from '../admin/listen-address.ts';
import type { ConfigFileHealth } from '../config-file.ts';
import { asError, EngineError } from '../core/errors.ts';
import { openHealthServer } from '../platform/health-server.ts';
import type { Logger } from '../ports/logger.ts';

const defaultHost = '127.0.0.1';
/** A token of fewer characters can be guessed: 32 of hexadecimal digits are 128 bits. */
const leastTokenLength = 32;
const mostTokenLength = 512;

/** What health is told of: a node, or a supervisor of several. */
export interface HealthSubject {
  /** False from the moment that it is told to end, before anything is handed over. */
  readonly isReady: boolean;
  /** False: a NATS connection was closed for good, which no reconnect mends. */
  readonly isLive: boolean;
}

/** The health of a process from its start to its end, as its probes see it. */
export interface ProcessHealth {
  /** It serves, from now on as the subject says. */
  serves(subject: HealthSubject): void;
  /** It is about to end: alive until it has, for a drain closes its connections too. */
  ends(): void;
  /** Ends the listener. The last thing of all: while the process drains it is alive, and says so. */
  close(): Promise<void>;
}

/**
 * Listens for probes when the settings name a port.
 *
 * @throws EngineError `CONFIG_INVALID`
 */
export async function openHealth(
  settings: ConfigFileHealth,
  deps: { readonly logger: Logger; readonly metrics: () => Promise<string> },
): Promise<ProcessHealth> {
  const state = new HealthState();
  const { port, host = defaultHost } = settings;
  if (port === undefined) {
    refuseWithoutPort(settings);
    return state;
  }
  const { metricsTokenFile } = settings;
  const tls = await readTls(settings);
  if (metricsTokenFile !== undefined && tls === null && !isLoopback(host)) {
    throw new EngineError('CONFIG_INVALID', `metrics on ${host} would send the token over the network as it is`, {
      field: 'health.metricsTokenFile',
      limit: 'a loopback address, or TLS',
      got: host,
      hint: 'give --health-tls-key and --health-tls-cert',
    });
  }
  const server = await openHealthServer({
    host,
    port,
    tls,
    probe: state,
    metrics: metricsTokenFile === undefined ? null : { token: await readToken(metricsTokenFile), text: deps.metrics },
    logger: deps.logger,
  });
  state.closeWith(() => server.close());
  deps.logger.info({ host, port: server.port, tls: tls !== null }, 'health is told');
  return state;
}

class HealthState implements ProcessHealth {
  #subject: HealthSubject | null = null;
  #isEnding = false;
  #close: () => Promise<void> = () => Promise.resolve();

  readonly hasStarted = (): boolean => this.#subject !== null;

  readonly isReady = (): boolean => !this.#isEnding && this.#subject?.isReady === true;

  readonly isLive = (): boolean => this.#isEnding || this.#subject === null || this.#subject.isLive;

  closeWith(close: () => Promise<void>): void {
    this.#close = close;
  }

  serves(subject: HealthSubject): void {
    this.#subject = subject;
  }

  ends(): void {
    this.#isEnding = true;
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** A port left out by mistake must not pass for a listener that is there. */
function refuseWithoutPort(settings: ConfigFileHealth): void {
  const [field] = Object.entries(settings).find(([, value]) => value !== undefined) ?? [];
  if (field === undefined) return;
  throw new EngineError('CONFIG_INVALID', `health.${field} is set, and health.port is not: nothing would listen`, {
    field: 'health.port',
    hint: 'give --health-port, or CABINET_HEALTH_PORT',
  });
}

async function readTls({
  tlsKeyFile,
  tlsCertFile,
}: ConfigFileHealth): Promise<{ readonly key: Buffer; readonly cert: Buffer } | null> {
  if (tlsKeyFile === undefined && tlsCertFile === undefined) return null;
  if (tlsKeyFile === undefined || tlsCertFile === undefined) {
    const field = tlsKeyFile === undefined ? 'health.tlsKeyFile' : 'health.tlsCertFile';
    throw new EngineError('CONFIG_INVALID', 'a key and its certificate belong together', { field });
  }
  return { key: await read('health.tlsKeyFile', tlsKeyFile), cert: await read('health.tlsCertFile', tlsCertFile) };
}

async function readToken(file: string): Promise<string> {
  const token = (await read('health.metricsTokenFile', file)).toString('utf8').trim();
  if (/^[\x21-\x7e]+$/.test(token) && token.length >= leastTokenLength && token.length <= mostTokenLength) return token;
  // Its length alone: the rest is a secret.
  throw new EngineError('CONFIG_INVALID', 'the file of the metrics token holds none', {
    field: 'health.metricsTokenFile',
    limit: `${leastTokenLength} to ${mostTokenLength} characters without spaces`,
    got: token.length,
    hint: 'openssl rand -hex 32',
  });
}

async function read(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new EngineError('CONFIG_INVALID', `cannot read ${file}: ${asError(error).message}`, {
      field,
      got: file,
      cause: error,
    });
  }
}
