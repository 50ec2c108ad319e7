import { PayloadStore } from './actors/payload-store.ts';
import { Client } from './client/client.ts';
import { resolveConfig, type EngineConfig } from './core/config.ts';
import { EngineError } from './core/errors.ts';
import { parseNodeId, parsePipelineName, type NodeId } from './core/ids.ts';
import type { NodeLife } from './core/node-messages.ts';
import { protocolVersion } from './core/protocol.ts';
import type { PipelineDefinition } from './pipeline/definition.ts';
import { PipelineRegistry } from './pipeline/registry.ts';
import { hostNodeId } from './platform/host-node-id.ts';
import { startEmbeddedNats, type EmbeddedNats } from './platform/embedded-nats.ts';
import { readNatsServerInfo } from './platform/nats-monitor.ts';
import { OpenTelemetryTracing } from './platform/open-telemetry.ts';
import { engineVersion, nodejsVersion } from './platform/package-version.ts';
import { PinoLogger } from './platform/pino-logger.ts';
import { PrometheusMetrics } from './platform/prometheus-metrics.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import { UndoStack } from './platform/undo-stack.ts';
import type { Logger } from './ports/logger.ts';
import { metricCatalog } from './ports/metric-catalog.ts';
import type { Metrics } from './ports/metrics.ts';
import { parsePosition } from './projections/position.ts';
import { CurrentDeadLetters } from './projections/current-dead-letters.ts';
import { DeadLetterProjection } from './projections/dead-letter-projection.ts';
import { BucketApi } from './store/bucket-api.ts';
import { ensureBuckets } from './store/buckets.ts';
import type { DurabilityReport } from './store/durability.ts';
import { ensureJournalStream } from './store/journal-stream.ts';
import { NatsBlobStore } from './store/nats-blobs.ts';
import { NatsJournal } from './store/nats-journal.ts';
import { NatsLeaseStore } from './store/nats-leases.ts';
import { NatsProjectionStore } from './store/nats-projections.ts';
import { NatsSnapshotStore } from './store/nats-snapshots.ts';
import { checkServer } from './store/server-gate.ts';
import { StreamApi } from './store/stream-api.ts';
import { Engine, type EngineStatus } from './supervisor/engine.ts';
import { writeGuard } from './supervisor/write-guard.ts';
import { AckInbox } from './transport/ack-inbox.ts';
import type { EngineInfo, PipelineSummary } from './transport/engine-info.ts';
import { JsonApi } from './transport/json-api.ts';
import { shownNatsUrl } from './transport/nats-address.ts';
import { NatsBus } from './transport/nats-bus.ts';
import { connectNats, type NatsLink, type NatsLinkOptions } from './transport/nats-connection.ts';
import { maximumMessageBytes } from './transport/request-codec.ts';
import { ShardClient, shardClientDefaults } from './transport/shard-client.ts';
import { serveShard } from './transport/shard-service.ts';

/** How to reach a NATS server; without `servers` the node starts its own. */
export interface NodeNatsOptions extends Omit<
  NatsLinkOptions,
  'servers' | 'name' | 'clock' | 'logger' | 'closeTimeoutMs'
> {
  readonly servers?: string | readonly string[] | undefined;
  /** Monitoring addresses of those servers, to prove that they sync every write. */
  readonly monitorUrls?: readonly string[] | undefined;
  /** Folder of the node's own server; `.cabinet` in the working folder when left out. */
  readonly dataDir?: string | undefined;
}

/** What {@link startNode} is given. */
export interface NodeOptions {
  readonly pipelines: readonly PipelineDefinition[];
  /** The user's integrations, as drivers see them in `ctx.ports`. */
  readonly ports?: Readonly<Record<string, unknown>> | undefined;
  readonly config?: Partial<EngineConfig> | undefined;
  /** The host's name when left out. Two processes with one id take each other's place: the newer one wins. */
  readonly nodeId?: string | undefined;
  readonly nats?: NodeNatsOptions | undefined;
  readonly logger?: Logger | undefined;
  readonly metrics?: Metrics | undefined;
  /** A life of the node begins: at its start, and again after its lease ran out. */
  readonly onLife?: ((life: NodeLife) => void) | undefined;
  /**
   * The node has failed and stopped itself. When left out, the error is only logged. `PROCESS_CORRUPTED` is told before the node
   * stops, for nothing is sure to work any more: end the process.
   */
  readonly onFailed?: ((error: EngineError) => void) | undefined;
}

/** A node that runs. */
export interface RunningNode {
  readonly nodeId: NodeId;
  readonly config: EngineConfig;
  /** Where clients find the NATS server; without credentials. */
  readonly natsUrl: string;
  readonly durability: DurabilityReport;
  /** A client over the node's own connection. */
  readonly client: Client;
  readonly status: EngineStatus;
  readonly isReady: boolean;
  /** False: a connection to NATS was closed for good, which no reconnect mends. */
  readonly isLive: boolean;
  /** Hands its shards over, lets drivers finish within the grace, and stops what it started. Safe to call twice. */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
}

/** How long an append may go without an answer before its outcome counts as unknown. */
const ackTimeoutMs = 5_000;
/** As {@link ackTimeoutMs}, for leases and locks: what was sent to a leader that has just died must leave a lease time for more tries. */
const leaseTimeoutMs = 1_500;
/** Bytes of a message that its subject and headers may take. */
const messageHeadroomBytes = 4_096;

/**
 * Starts a node on NATS: its own server or a given one, checked first; then the engine, the JSON service and a client.
 *
 * @throws EngineError `CONFIG_INVALID`, `NATS_BINARY_MISSING`, `NATS_UNREACHABLE`, `SERVER_VERSION_UNSUPPORTED`, `JETSTREAM_DISABLED`,
 *   `SELF_TEST_FAILED`, `STREAM_MISCONFIGURED`, `DURABILITY_UNSAFE`, `DEFINITION_CHANGED`, and what a recovery throws
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const config = resolveConfig(options.config);
  const nodeId = parseNodeId(options.nodeId ?? hostNodeId());
  const registry = new PipelineRegistry(options.pipelines);
  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = (options.logger ?? new PinoLogger()).child({ node: nodeId });
  const metrics = options.metrics ?? new PrometheusMetrics();
  metrics.gauge(metricCatalog.build).set(1, { version: engineVersion, nodejs: nodejsVersion });
  const reconnects = metrics.counter(metricCatalog.natsReconnects);
  const tracing = new OpenTelemetryTracing(engineVersion);
  const undo = new UndoStack(logger);
  try {
    const nats = await findNats(options, config, { clock, logger, undo });
    const connect = async (part: string): Promise<NatsLink> => {
      const link = await connectNats({
        ...options.nats,
        servers: nats.servers,
        name: `cabinet-${nodeId}-${part}`,
        clock,
        logger,
      });
      undo.push(`connection for ${part}`, () => link.close());
      link.onStatus(({ kind }) => {
        if (kind === 'reconnected') reconnects.add(1, { connection: part });
      });
      return link;
    };
    // Commits have a connection of their own, so that a slow reader of answers cannot hold up an append.
    const commits = await connect('commits');
    const requests = await connect('requests');
    const durability = await checkServer(requests, {
      namespace: config.namespace,
      durability: config.durability,
      replicas: config.replicas,
      clock,
      logger,
      monitorUrls: nats.monitorUrls,
      readMonitor: readNatsServerInfo,
    });
    logDurability(logger, durability);
    const { level, replicas } = durability;
    metrics.gauge(metricCatalog.durability).set(1, { level, replicas: String(replicas) });

    const streams = new StreamApi({ link: requests, clock, logger });
    const leaseStreams = new StreamApi({ link: requests, clock, logger, timeoutMs: leaseTimeoutMs });
    undo.push('stream API', async () => {
      streams.close();
      leaseStreams.close();
    });
    const api = new BucketApi({ api: streams });
    const stream = await ensureJournalStream(requests, { ...config, clock, logger });
    await ensureBuckets(api, config);
    const { namespace } = config;
    const mayWrite = writeGuard((error) => {
      options.onFailed?.(error);
      void undo.run();
    });
    const commitAcks = new AckInbox({ link: commits, clock, logger, timeoutMs: ackTimeoutMs, mayWrite });
    const acks = new AckInbox({ link: requests, clock, logger, timeoutMs: ackTimeoutMs, mayWrite });
    const leaseAcks = new AckInbox({ link: requests, clock, logger, timeoutMs: leaseTimeoutMs, mayWrite });
    // Each holds a timer, which would hold the process.
    undo.push('appends', async () => {
      commitAcks.close();
      acks.close();
      leaseAcks.close();
    });
    const store = { api, link: requests, acks, clock, logger, namespace };
    const journal = new NatsJournal({ link: requests, acks: commitAcks, namespace, stream, clock, logger });
    undo.push('journal', async () => journal.close());
    const blobs = new NatsBlobStore({ ...store, random });
    const bus = new NatsBus({ link: requests, clock, logger });
    undo.push('bus', async () => bus.close());

    const unanswerable = metrics.counter(metricCatalog.unanswerableRequests);
    const maximumReplyBytes = requests.maximumPayloadBytes - messageHeadroomBytes;
    const deadLetters = new DeadLetterProjection({
      journal,
      store: new NatsProjectionStore(store),
      logger,
      clock,
      random,
    });
    const current = new CurrentDeadLetters(deadLetters, clock, logger);
    const leases = new NatsLeaseStore({ ...store, api: new BucketApi({ api: leaseStreams }), acks: leaseAcks });
    const engine = new Engine({
      config,
      nodeId,
      clock,
      random,
      logger,
      metrics,
      tracing,
      journal,
      snapshots: new NatsSnapshotStore(store),
      leases,
      bus,
      payloads: new PayloadStore({ blobs, config }),
      blobs,
      registry,
      ports: options.ports ?? {},
      serve: (shard, deliver) =>
        serveShard({ bus, namespace, logger, unanswerable, maximumReplyBytes, tracing }, shard, deliver),
      projectedThrough: () => current.through,
      onLife: options.onLife,
      onFailed: (reason) => {
        void undo.run().finally(() => options.onFailed?.(reason));
      },
    });
    for (const link of [commits, requests]) {
      link.onStatus(({ kind }) => {
        if (kind === 'reconnected') engine.linkRestored();
      });
    }
    await engine.start();
    undo.push('engine', (graceMs) => engine.stop({ graceMs }));

    const maximumRequestBytes = Math.min(maximumMessageBytes, maximumReplyBytes);
    const limits = { ...shardClientDefaults, maximumRequestBytes };
    const shardClient = new ShardClient({ bus, clock, random, namespace, shardCount: config.shardCount, limits });
    undo.push('requests', async () => shardClient.close());
    const info = (): EngineInfo => ({
      namespace,
      shardCount: config.shardCount,
      node: nodeId,
      version: engineVersion,
      protocol: { min: protocolVersion, max: protocolVersion },
      maximumRequestBytes,
      pipelines: summaries(registry),
      server: { version: requests.connection.info?.version ?? 'unknown', durability: durability.level },
    });
    const jsonApi = new JsonApi({
      bus,
      clock,
      random,
      shardClient,
      namespace,
      node: nodeId,
      version: engineVersion,
      info,
      pipelines: () => summaries(registry),
      deadLetters: ({ limit, pipeline, after }) =>
        deadLetters.list({
          limit,
          ...(pipeline === undefined ? {} : { pipeline: parsePipelineName(pipeline) }),
          ...(after === undefined ? {} : { after: parsePosition(after) }),
        }),
      logger,
      metrics,
      maximumRequestBytes,
    });
    await jsonApi.start();
    undo.push('JSON service', () => jsonApi.stop());
    current.start();
    undo.push('dead-letter list', () => current.stop());
    const client = new Client({
      bus,
      clock,
      random,
      tracing,
      namespace,
      shardCount: config.shardCount,
      limits,
      journal,
      blobs,
      leases,
    });
    undo.push('client', () => client.close());
    logger.info(
      { shards: engine.status.owned.length, natsUrl: nats.url, durability: durability.level, version: engineVersion },
      'the node is ready',
    );
    return {
      nodeId,
      config,
      natsUrl: nats.url,
      durability,
      client,
      get status() {
        return engine.status;
      },
      get isReady() {
        return engine.isReady && requests.isConnected && commits.isConnected;
      },
      get isLive() {
        return !requests.connection.isClosed() && !commits.connection.isClosed();
      },
      stop: (stopOptions = {}) => undo.run(stopOptions.graceMs ?? config.drainGraceMs),
    };
  } catch (error) {
    await undo.run(0);
    throw error;
  }
}

interface Surroundings {
  readonly clock: SystemClock;
  readonly logger: Logger;
  readonly undo: UndoStack;
}

async function findNats(
  options: NodeOptions,
  config: EngineConfig,
  { clock, logger, undo }: Surroundings,
): Promise<{
  readonly servers: string | readonly string[];
  readonly url: string;
  readonly monitorUrls: readonly string[] | undefined;
}> {
  const { servers, monitorUrls, dataDir } = options.nats ?? {};
  if (servers !== undefined) {
    return { servers, url: shownNatsUrl(servers), monitorUrls };
  }
  if (config.replicas !== 1) {
    throw new EngineError('CONFIG_INVALID', 'replicas above 1 need a NATS cluster', {
      field: 'replicas',
      limit: '1 with the embedded server',
      got: config.replicas,
      hint: 'give its URLs in NATS_URL',
    });
  }
  const embedded: EmbeddedNats = await startEmbeddedNats({
    dataDir: dataDir ?? '.cabinet',
    sync: config.durability === 'power-loss' ? 'always' : 'default',
    logger,
    clock,
  });
  undo.push('embedded NATS', () => embedded.stop());
  return { servers: embedded.url, url: embedded.url, monitorUrls: [embedded.monitorUrl] };
}

function logDurability(logger: Logger, report: DurabilityReport): void {
  const fields = { durability: report.level, replicas: report.replicas, detail: report.detail };
  if (report.level === 'power-loss') logger.info(fields, 'an acknowledgement survives a power cut');
  else logger.warn(fields, 'an acknowledgement survives the end of any process, but not a power cut');
}

function summaries(registry: PipelineRegistry): PipelineSummary[] {
  return registry.list().map(({ name, version, fingerprint, stages }) => ({
    name,
    version,
    fingerprint,
    stages: stages.map((stage) => stage.name),
  }));
}
