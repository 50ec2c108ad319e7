import type { RunningAdminServer } from '../admin-server.ts';
import type { CheckedConfig } from '../config-file.ts';
import type { RunningNode } from '../node.ts';
import { asError, type EngineError } from '../core/errors.ts';
import type { PrometheusMetrics } from '../platform/prometheus-metrics.ts';
import type { PinoLogger } from '../platform/pino-logger.ts';
import { errorLine } from './cli-error.ts';
import { readLink, readSettings } from './cluster.ts';
import { openCommandLog } from './command-log.ts';
import type { CliContext } from './context.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { openHealth, type ProcessHealth } from './health.ts';
import { requirePipelines } from './local-pipelines.ts';
import { checkConsole, openConsole } from './open-console.ts';
import type { OutputOptions, SettingOptions } from './options.ts';
import type { StopSignal } from './process-events.ts';
import type { LogFormat, Settings } from './settings.ts';

/** Options of the commands that run a node. */
export interface ServeOptions extends SettingOptions, OutputOptions {
  /** Milliseconds that running drivers have to finish in a stop. */
  readonly grace?: number;
}

/** What sets `dev` and `start` apart. */
export interface ServeStyle {
  /** How log lines are written when nobody says. */
  readonly logFormat: LogFormat;
  /** Whether the console is served when nobody says. */
  readonly servesConsole: boolean;
  /** Told once the node is ready, with where its console is, if it has one. */
  readonly announce: (node: RunningNode, settings: Settings, consoleUrl: string | null) => void;
}

/** Why a node stops. */
type StopReason =
  { readonly kind: 'signal'; readonly signal: StopSignal } | { readonly kind: 'failed'; readonly error: EngineError };

/**
 * Runs a node with the pipelines of the configuration file until a signal comes or the node fails.
 *
 * The first SIGINT or SIGTERM drains it: exit code 0. The second one ends the process at once. A node that fails, and an
 * error that nobody catches, are logged: exit code 1.
 *
 * @throws EngineError `CONFIG_INVALID`, and what `startNode` throws
 */
export async function serve(context: CliContext, options: ServeOptions, style: ServeStyle): Promise<ExitCode> {
  const settings = await readSettings(context, options);
  const { config } = requirePipelines(settings.file, context.workingFolder);
  const servesConsole = settings.admin.enabled ?? style.servesConsole;
  if (servesConsole) checkConsole(settings);
  const { logLevel, logFormat: asked } = settings;
  const logger = await openCommandLog(context, { logLevel, logFormat: asked === 'auto' ? style.logFormat : asked });
  const stop = new StopRequest(context, logger, settings.dataDir);
  stop.listen();
  const { PrometheusMetrics } = await import('../platform/prometheus-metrics.ts');
  const metrics = new PrometheusMetrics({ processMetrics: true });
  const health = await openHealth(settings.health, { logger, metrics: () => metrics.text() });
  void stop.requested.then(() => health.ends());
  try {
    return await runNode(context, settings, { options, style, config, servesConsole, logger, metrics, health, stop });
  } finally {
    await health.close();
  }
}

/** What {@link serve} has at hand when it starts the node. */
interface ServeParts {
  readonly options: ServeOptions;
  readonly style: ServeStyle;
  readonly config: CheckedConfig;
  readonly servesConsole: boolean;
  readonly logger: PinoLogger;
  readonly metrics: PrometheusMetrics;
  readonly health: ProcessHealth;
  readonly stop: StopRequest;
}

async function runNode(context: CliContext, settings: Settings, parts: ServeParts): Promise<ExitCode> {
  const { options, style, config, servesConsole, logger, metrics, health, stop } = parts;
  const { startNode } = await import('../node.ts');
  const node = await startNode({
    pipelines: config.pipelines,
    ports: config.ports,
    config: settings.engine,
    nodeId: settings.nodeId,
    nats: { ...(await readLink(settings.nats)), dataDir: settings.dataDir },
    logger,
    metrics,
    onFailed: (error) => stop.request({ kind: 'failed', error }),
  });
  stop.ownsServer = settings.nats.servers === undefined;
  health.serves(node);
  let served: RunningAdminServer | null = null;
  if (!stop.isRequested && servesConsole) {
    try {
      served = await openConsole(context, settings, {
        servers: settings.nats.servers ?? node.natsUrl,
        ready: () => [{ name: 'node', isGood: node.isReady && !stop.isRequested }],
        metrics,
        readMetrics: () => metrics.snapshot(),
        logger,
      });
    } catch (thrown) {
      await node.stop({ graceMs: 0 });
      throw thrown;
    }
  }
  if (!stop.isRequested) style.announce(node, settings, served?.url ?? null);
  const reason = await stop.requested;
  // First: it asks the NATS server that the node stops.
  await served?.stop();
  await node.stop({ graceMs: options.grace ?? settings.engine.drainGraceMs });
  if (reason.kind === 'failed') throw reason.error;
  logger.info({ signal: reason.signal }, 'the node has stopped');
  return exitCodes.ok;
}

/** The one reason for which a node stops, and what to do with whatever comes after it. */
class StopRequest {
  readonly #context: CliContext;
  readonly #logger: PinoLogger;
  readonly #dataDir: string;
  #resolve: (reason: StopReason) => void = () => undefined;
  readonly requested: Promise<StopReason>;
  /** The nats-server on the data folder is this node's: until its start is over, it may be another engine's. */
  ownsServer = false;
  #reason: StopReason | undefined;

  constructor(context: CliContext, logger: PinoLogger, dataDir: string) {
    this.#context = context;
    this.#logger = logger;
    this.#dataDir = dataDir;
    this.requested = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get isRequested(): boolean {
    return this.#reason !== undefined;
  }

  listen(): void {
    this.#context.events.claim({
      onSignal: (signal) => this.#onSignal(signal),
      onCrash: (thrown) => {
        const error = asError(thrown);
        this.#logger.error({ err: error }, 'an error that nobody caught ends the process');
        this.#context.terminal.note(errorLine({ code: 'INTERNAL', message: `${error.name}: ${error.message}` }));
        this.#context.exitNow(exitCodes.failed);
      },
      // A node does not work for whoever reads its announcement.
      onOutputClosed: () => undefined,
    });
  }

  request(reason: StopReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#resolve(reason);
  }

  #onSignal(signal: StopSignal): void {
    if (this.#reason === undefined) {
      this.#logger.info({ signal }, 'the node drains; a second signal stops it at once');
      this.request({ kind: 'signal', signal });
      return;
    }
    this.#logger.warn({ signal }, 'a second signal: the node stops at once');
    void this.#stopNow(signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.failed);
  }

  async #stopNow(exitCode: ExitCode): Promise<void> {
    const { endEmbeddedNats } = await import('./end-embedded-nats.ts');
    if (this.ownsServer) endEmbeddedNats(this.#dataDir);
    this.#context.exitNow(exitCode);
  }
}
