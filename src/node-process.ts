import { readLink, readSettings } from './cli/cluster.ts';
import { requirePipelines } from './cli/local-pipelines.ts';
import type { SettingOptions } from './cli/options.ts';
import type { Settings } from './cli/settings.ts';
import { asError, EngineError } from './core/errors.ts';
import type { NodeBeat, NodeProcessOrder, NodeProcessSettings } from './core/process-messages.ts';
import { startNode, type NodeNatsOptions, type RunningNode } from './node.ts';
import { supervisorChannel, type SupervisorChannel } from './platform/cluster-processes.ts';
import { processEnvironment } from './platform/environment.ts';
import { endOrphanedNats } from './platform/orphaned-nats.ts';
import { PinoLogger } from './platform/pino-logger.ts';
import { PrometheusMetrics } from './platform/prometheus-metrics.ts';
import { SystemClock } from './platform/system-clock.ts';
import type { Clock } from './ports/clock.ts';
import type { Logger } from './ports/logger.ts';
import { beatIntervalMs } from './supervisor/process-state.ts';

// The entry of a node process under a supervisor (`supervisor-process.ts`). It ends when it is told to, when its node has failed, and
// when its supervisor has died; signals that a terminal sends to all processes of a command are the supervisor's to deal with.

/** On top of the grace, for the processes beside this one to leave the NATS server of a supervisor that has died. */
const leaveMarginMs = 5_000;

/** How long a process that has failed tries to say why. */
const lastWordsMs = 500;

/** One node as a process of its own. */
class NodeProcessBody {
  readonly #clock: Clock = new SystemClock();
  readonly #metrics = new PrometheusMetrics({ processMetrics: true });
  readonly #channel: SupervisorChannel;
  #logger: Logger = new PinoLogger({ destination: 'stderr' });
  #settings: NodeProcessSettings | null = null;
  #node: RunningNode | null = null;
  /** Resolves when a start that has begun is over, one way or the other. */
  #started: Promise<void> = Promise.resolve();
  #ending: Promise<void> | null = null;
  /** The supervisor has died: nobody else stops its NATS server. */
  #isOrphaned = false;
  #beatDueMs = 0;

  constructor() {
    this.#channel = supervisorChannel({ onOrder: (order) => this.#onOrder(order), onLost: () => this.#onLost() });
  }

  run(): void {
    process.on('uncaughtException', (error) => this.#crash(error));
    process.on('unhandledRejection', (reason) => this.#crash(reason));
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => undefined);
    process.on('SIGTERM', () => {
      this.#logger.info({}, 'the node drains: it was asked to end by a signal of its own');
      void this.#drain(this.#settings?.graceMs ?? 0);
    });
    void this.#channel.send({ type: 'node.hello' });
    this.#beatLater();
  }

  #onOrder(order: NodeProcessOrder): void {
    switch (order.type) {
      case 'node.start':
        if (this.#settings !== null || this.#ending !== null) return;
        this.#settings = order.settings;
        this.#started = this.#start(order.settings).catch((thrown: unknown) => this.#fail(asError(thrown)));
        return;
      case 'node.drain':
        void this.#drain(order.graceMs);
        return;
      default:
        void this.#tellMetrics(false);
    }
  }

  async #start(own: NodeProcessSettings): Promise<void> {
    const place = { environment: processEnvironment(), workingFolder: process.cwd() };
    const settings = await readSettings(place, own.flags as unknown as SettingOptions);
    const logger = openLog(settings, own);
    this.#logger = logger.child({ node: own.nodeId });
    const { config } = requirePipelines(settings.file, place.workingFolder);
    this.#node = await startNode({
      pipelines: config.pipelines,
      ports: config.ports,
      config: settings.engine,
      nodeId: own.nodeId,
      nats: await natsOptions(settings, own),
      logger,
      metrics: this.#metrics,
      onLife: (life) => void this.#channel.send({ type: 'node.life', life }),
      onFailed: (error) => this.#fail(error),
    });
    const { natsUrl, durability } = this.#node;
    this.#beat();
    await this.#channel.send({ type: 'node.ready', readiness: { natsUrl, durability: durability.level } });
  }

  /** Hands over, tells the last metrics, and ends. A second call changes nothing. */
  #drain(graceMs: number): Promise<void> {
    this.#ending ??= this.#end(graceMs);
    return this.#ending;
  }

  async #end(graceMs: number): Promise<void> {
    await this.#started;
    await this.#node?.stop({ graceMs });
    await this.#tellMetrics(true);
    if (this.#isOrphaned) await this.#leaveServer();
    process.exit(this.#isOrphaned ? 1 : 0);
  }

  #onLost(): void {
    this.#isOrphaned = true;
    this.#logger.error({}, 'the supervisor has died; the node drains and ends');
    const graceMs = this.#settings?.graceMs ?? 0;
    this.#clock.setTimer(2 * (graceMs + leaveMarginMs), () => process.exit(1));
    void this.#drain(graceMs);
  }

  async #leaveServer(): Promise<void> {
    const { embedded = null, siblings = [], graceMs = 0 } = this.#settings ?? {};
    if (embedded === null) return;
    await endOrphanedNats({
      dataDir: embedded.dataDir,
      isSibling: (name) => siblings.some((nodeId) => name.startsWith(`cabinet-${nodeId}-`)),
      waitMs: graceMs + leaveMarginMs,
      clock: this.#clock,
      logger: this.#logger,
    }).catch((thrown: unknown) => this.#logger.warn({ err: asError(thrown) }, 'the nats-server could not be stopped'));
  }

  /** The node could not be started, or cannot go on: says why, and ends. */
  #fail(error: Error): void {
    const known = error instanceof EngineError ? error : new EngineError('INTERNAL', describe(error), { cause: error });
    if (known.code === 'PROCESS_CORRUPTED') this.#endCorrupted(known);
    this.#logger.error({ err: error }, 'the node process ends');
    if (this.#ending !== null) return; // It drains already.
    void this.#exitWith(known);
  }

  /** Nothing is sure to work any more, the log neither: it ends within this very turn. */
  #endCorrupted(error: EngineError): never {
    try {
      this.#logger.error({ err: error }, 'a driver has corrupted the node process, which ends');
    } finally {
      process.exit(1);
    }
  }

  /** The state of the process is not known any more: nothing is handed over. */
  #crash(thrown: unknown): void {
    const error = asError(thrown);
    this.#logger.error({ err: error }, 'an error that nobody caught ends the node process');
    void this.#exitWith(new EngineError('INTERNAL', `uncaught ${describe(error)}`));
  }

  async #exitWith(error: EngineError): Promise<never> {
    // A supervisor that is frozen must not keep a broken process alive.
    this.#clock.setTimer(lastWordsMs, () => process.exit(1));
    await this.#channel.send({ type: 'node.failed', error: error.toReport() });
    process.exit(1);
  }

  async #tellMetrics(isFinal: boolean): Promise<void> {
    try {
      await this.#channel.send({ type: 'node.metrics', families: await this.#metrics.snapshot(), isFinal });
    } catch (thrown) {
      this.#logger.warn({ err: asError(thrown) }, 'the metrics could not be told');
    }
  }

  #beatLater(): void {
    this.#beatDueMs = this.#clock.monotonicMs() + beatIntervalMs;
    this.#clock.setTimer(beatIntervalMs, () => {
      this.#beat();
      this.#beatLater();
    });
  }

  #beat(): void {
    const driftMs = Math.max(0, this.#clock.monotonicMs() - this.#beatDueMs);
    const running = this.#node?.status.owned.filter((shard) => shard.running > 0) ?? [];
    const beat: NodeBeat = {
      loopLagMs: Math.max(Math.round(driftMs), this.#node?.status.loopLagMs ?? 0),
      isReady: this.#node?.isReady ?? false,
      running: running.map(({ shard, running: stages }) => ({ shard, stages })),
    };
    void this.#channel.send({ type: 'node.beat', beat });
  }
}

function openLog({ logLevel, logFormat }: Settings, { color }: NodeProcessSettings): Logger {
  return new PinoLogger({ destination: 'stderr', color, level: logLevel, format: logFormat });
}

async function natsOptions(settings: Settings, { embedded }: NodeProcessSettings): Promise<NodeNatsOptions> {
  if (embedded !== null) return { servers: embedded.url, monitorUrls: [embedded.monitorUrl] };
  return readLink(settings.nats);
}

function describe(error: Error): string {
  return `${error.name}: ${error.message}`;
}

new NodeProcessBody().run();
