import { fileURLToPath } from 'node:url';
import type { EngineConfig } from './core/config.ts';
import { EngineError } from './core/errors.ts';
import { parseNodeId } from './core/ids.ts';
import type { NodeProcessSettings } from './core/process-messages.ts';
import { clusterProcesses } from './platform/cluster-processes.ts';
import { startEmbeddedNats, type EmbeddedNats } from './platform/embedded-nats.ts';
import { hostNodeId } from './platform/host-node-id.ts';
import type { MetricSnapshot } from './platform/metric-family.ts';
import { PrometheusMetrics } from './platform/prometheus-metrics.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import { UndoStack } from './platform/undo-stack.ts';
import { NodeMetrics } from './node-metrics.ts';
import type { NodeNatsOptions } from './node.ts';
import type { Logger } from './ports/logger.ts';
import { ExitNotices } from './supervisor/exit-notices.ts';
import { processPolicyDefaults, type ProcessPolicy } from './supervisor/process-state.ts';
import { ProcessSupervisor } from './supervisor/process-supervisor.ts';
import { NatsBus } from './transport/nats-bus.ts';
import { connectNats } from './transport/nats-connection.ts';

/** What {@link startSupervisor} is given. */
export interface SupervisorOptions {
  /** Node processes, ≥ 1. */
  readonly count: number;
  /** Nodes are `<baseId>-1`, `<baseId>-2`, …; the host's name when left out. */
  readonly baseId?: string | undefined;
  readonly engine: EngineConfig;
  readonly nats: NodeNatsOptions;
  /** Folder of the NATS server that is started when `nats` names none. */
  readonly dataDir: string;
  readonly policy: Partial<ProcessPolicy>;
  /** What the command line says: node processes read the settings by themselves, each time they start. */
  readonly flags: NodeProcessSettings['flags'];
  /** Whether log lines for people have colors. */
  readonly color: boolean;
  readonly logger: Logger;
}

/** A supervisor whose node processes have been started. */
export interface RunningSupervisor {
  readonly baseId: string;
  readonly supervisor: ProcessSupervisor;
  /** Of the NATS server, for a client on this machine. */
  readonly servers: string | readonly string[];
  /** As the supervisor: all nodes serve what they should, and no stop was asked for. */
  readonly isReady: boolean;
  /** False: its connection to NATS was closed for good, which no reconnect mends. */
  readonly isLive: boolean;
  /** The supervisor's own numbers. */
  readonly metrics: PrometheusMetrics;
  /** Its numbers and those of the nodes as one. */
  readonly readMetrics: () => Promise<readonly MetricSnapshot[]>;
  /** Stops what is left when the supervisor has ended: its connection, then its NATS server. */
  close(): Promise<void>;
}

/**
 * Starts a supervisor: its NATS server unless one is named, its connection, then the node processes. Resolves when those have been
 * started; `supervisor.ready` and `supervisor.ended` tell what becomes of them.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a node id, and what the server and the connection throw
 */
export async function startSupervisor(options: SupervisorOptions): Promise<RunningSupervisor> {
  const { count, engine, logger, dataDir } = options;
  const baseId = options.baseId ?? hostNodeId();
  const siblings = Array.from({ length: count }, (_, index) => parseNodeId(`${baseId}-${index + 1}`));
  const clock = new SystemClock();
  const metrics = new PrometheusMetrics({ processMetrics: true });
  const joined = new NodeMetrics(metrics, clock);
  const undo = new UndoStack(logger);
  try {
    let embedded: EmbeddedNats | null = null;
    if (options.nats.servers === undefined) {
      embedded = await startEmbeddedNats({
        dataDir,
        sync: engine.durability === 'power-loss' ? 'always' : 'default',
        logger,
        clock,
        metrics,
      });
      undo.push('embedded NATS', embedded.stop.bind(embedded));
    }
    const servers = options.nats.servers ?? embedded?.url ?? '';
    const link = await connectNats({
      ...options.nats,
      servers,
      name: `cabinet-${baseId}-supervisor`,
      clock,
      logger,
    });
    undo.push('connection', () => link.close());
    const bus = new NatsBus({ link, clock, logger });
    undo.push('bus', async () => bus.close());
    const notices = new ExitNotices({ bus, clock, namespace: engine.namespace });
    undo.push('notices', async () => notices.close());
    const policy = { ...processPolicyDefaults, graceMs: engine.drainGraceMs, ...options.policy };
    const server = embedded === null ? null : { url: embedded.url, monitorUrl: embedded.monitorUrl, dataDir };
    const supervisor = new ProcessSupervisor(
      {
        processes: clusterProcesses(entryFile()),
        clock,
        random: new SystemRandom(),
        logger,
        metrics,
        tellExited: (life) => notices.tellExited(life),
        settingsOf: (nodeId) => ({
          nodeId,
          flags: options.flags,
          embedded: server,
          siblings,
          graceMs: policy.graceMs,
          color: options.color,
        }),
        onMetrics: joined.take,
      },
      { baseId, count, policy },
    );
    embedded?.onExit(({ willRestart }) => {
      if (!willRestart) supervisor.fail(new EngineError('NATS_UNREACHABLE', 'the embedded nats-server was given up'));
    });
    supervisor.start();
    joined.start(supervisor);
    undo.push('numbers of the nodes', async () => joined.stop());
    return {
      baseId,
      supervisor,
      servers,
      get isReady() {
        return supervisor.isReady;
      },
      get isLive() {
        return !link.connection.isClosed();
      },
      metrics,
      readMetrics: () => joined.read(),
      close: () => undo.run(),
    };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** The entry of a node process: as built, or as written where a loader reads TypeScript. */
function entryFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`./node-process.${extension}`, import.meta.url));
}
