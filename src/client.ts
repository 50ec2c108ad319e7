import { Client, type ClientDeps, defaultDeadlineMs } from './client/client.ts';
import { discoverEngine } from './client/engine-discovery.ts';
import type { OperatorAuditDeps } from './client/operator-audit.ts';
import { silentLogger } from './client/silent-logger.ts';
import { resolveConfig } from './core/config.ts';
import { journalStream, shardBucket } from './core/subjects.ts';
import { OpenTelemetryTracing } from './platform/open-telemetry.ts';
import { engineVersion } from './platform/package-version.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import type { BlobStore } from './ports/blobs.ts';
import type { Clock } from './ports/clock.ts';
import type { Journal } from './ports/journal.ts';
import type { Logger } from './ports/logger.ts';
import type { Random } from './ports/random.ts';
import { BucketApi } from './store/bucket-api.ts';
import { keySubject, ordersKey } from './store/bucket-keys.ts';
import { ensureAuditStream, NatsAuditLog } from './store/nats-audit-log.ts';
import { NatsBlobStore } from './store/nats-blobs.ts';
import { NatsLeaseStore } from './store/nats-leases.ts';
import { NatsJournal } from './store/nats-journal.ts';
import { StreamApi } from './store/stream-api.ts';
import { AckInbox, localErrorCodes } from './transport/ack-inbox.ts';
import { NatsBus } from './transport/nats-bus.ts';
import { connectNats, type NatsLink, type NatsLinkOptions } from './transport/nats-connection.ts';
import { shardClientDefaults } from './transport/shard-client.ts';

export {
  Client,
  type CallOptions,
  type ClientDeps,
  type Controlled,
  type ControlOptions,
  defaultDeadlineMs,
  defaultResultTimeoutMs,
  type RunOptions,
  type SubmitItem,
  type SubmitOptions,
  type TaskListQuery,
} from './client/client.ts';
export {
  ClusterClient,
  type ClusterLeases,
  type ClusterNodeRow,
  type ClusterStatus,
  type NodeOrdered,
  type ShardPinned,
  type WaitingOrder,
} from './client/cluster-client.ts';
export { DeadLetterClient, type DeadLetterFilter, type RedriveOutcome } from './client/dead-letter-client.ts';
export type { CommandNote, SubmitIdentity, SubmitOutcome, Submitted } from './client/submission.ts';
export { TaskFailedError } from './client/task-failed-error.ts';
export { EngineError, type ErrorCode, type ErrorReport } from './core/errors.ts';
export type { NodeOrder } from './core/cluster-orders.ts';
export type { NodeStatus } from './core/node-messages.ts';
export { deriveTaskId } from './core/task-id.ts';
export type { TaskStatus, TaskView } from './core/task-view.ts';
export type { PipelineEvent } from './projections/cloud-event.ts';
export type { TaskHistory } from './projections/task-history.ts';
export type { EngineInfo } from './transport/engine-info.ts';
export type { TaskPage } from './transport/task-list.ts';

/** Settings of {@link connectClient}: where the NATS server is, and who asks. */
export interface ConnectClientOptions extends Omit<NatsLinkOptions, 'name' | 'clock' | 'logger' | 'closeTimeoutMs'> {
  /** The engine's namespace; `cabinet` when left out. */
  readonly namespace?: string | undefined;
  /** Shown in the server's connection list; `cabinet-client` when left out. */
  readonly name?: string | undefined;
  /** Deadline of a call that names none; {@link defaultDeadlineMs} when left out. */
  readonly deadlineMs?: number | undefined;
  readonly logger?: Logger | undefined;
}

/** Bytes of a NATS message that subject and headers may take. */
const messageHeadroomBytes = 4_096;

/**
 * A client of the engine behind a NATS server. Shard count and limits are asked of the engine, with retry until the connect
 * timeout, so that a client may start before the engine does.
 *
 * @throws EngineError `NATS_UNREACHABLE`, `BUS_FORBIDDEN`, `CONFIG_INVALID`; `NO_OWNER` when no engine serves the namespace;
 *   `UNSUPPORTED_VERSION` when client and engine are too far apart
 */
export async function connectClient(options: ConnectClientOptions): Promise<Client> {
  return (await connect(options, true)).client;
}

/**
 * The same for a console: its client leaves payloads over the inline limit as references, to be fetched from `blobs` one by one
 * when somebody looks, and the journal is there to be followed.
 *
 * @throws EngineError as {@link connectClient}
 */
export function connectConsole(options: ConnectClientOptions): Promise<ConsoleConnection> {
  return connect(options, false);
}

/** What {@link connectConsole} gives. The journal is closed with the client. */
export interface ConsoleConnection {
  readonly client: Client;
  readonly blobs: Pick<BlobStore, 'get'>;
  /** It reads; every append is refused. */
  readonly journal: Journal;
  readonly namespace: string;
  readonly shardCount: number;
  /** Where what operators do is written down. */
  readonly audit: Pick<OperatorAuditDeps, 'log' | 'ensure' | 'clock' | 'random'>;
}

/**
 * The same for an operator: its client fetches payloads as that of {@link connectClient} does.
 *
 * @throws EngineError as {@link connectClient}
 */
export function connectOperator(options: ConnectClientOptions): Promise<ConsoleConnection> {
  return connect(options, true);
}

async function connect(options: ConnectClientOptions, fetchesPayloads: boolean): Promise<ConsoleConnection> {
  const { namespace } = resolveConfig({ namespace: options.namespace });
  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = options.logger ?? silentLogger;
  const link = await connectNats({ ...options, name: options.name ?? 'cabinet-client', clock, logger });
  const bus = new NatsBus({ link, clock, logger });
  const stores = readingStores({ link, clock, random, logger, namespace });
  const close = async (): Promise<void> => {
    bus.close();
    stores.close();
    await link.close();
  };
  try {
    const timeoutMs = options.connectTimeoutMs ?? defaultDeadlineMs;
    const info = await discoverEngine({ bus, clock, random, namespace }, timeoutMs);
    const maximumRequestBytes = Math.min(info.maximumRequestBytes, link.maximumPayloadBytes - messageHeadroomBytes);
    const client = createClient({
      bus,
      clock,
      random,
      tracing: new OpenTelemetryTracing(engineVersion),
      namespace,
      shardCount: info.shardCount,
      limits: { ...shardClientDefaults, maximumRequestBytes },
      journal: stores.journal,
      ...(fetchesPayloads ? { blobs: stores.blobs } : {}),
      leases: stores.leases,
      deadlineMs: options.deadlineMs,
      onClose: close,
    });
    const { shardCount } = info;
    const audit = { ...stores.audit, clock, random };
    return { client, blobs: stores.blobs, journal: stores.journal, namespace, shardCount, audit };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A client over any bus: for tests, and for an engine in the same process. */
export function createClient(deps: ClientDeps): Client {
  return new Client(deps);
}

/** How long the store may take for a write of orders. */
const ackTimeoutMs = 5_000;

/**
 * Journal, payloads, leases and audit log as a client may have them: it reads, and every write is refused before it is sent, but for
 * those of the cluster's orders and of the audit log.
 */
function readingStores(deps: {
  readonly link: NatsLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly namespace: string;
}): {
  readonly journal: NatsJournal;
  readonly blobs: NatsBlobStore;
  readonly leases: NatsLeaseStore;
  readonly audit: Pick<OperatorAuditDeps, 'log' | 'ensure'>;
  readonly close: () => void;
} {
  const acks: Pick<AckInbox, 'publish'> = {
    publish: async () => ({ kind: 'error', code: localErrorCodes.forbidden, description: 'a client only reads' }),
  };
  const inbox = new AckInbox({ ...deps, timeoutMs: ackTimeoutMs });
  const orders = keySubject(shardBucket(deps.namespace), ordersKey);
  const orderAcks: Pick<AckInbox, 'publish'> = {
    publish: (subject, body, headers) => (subject === orders ? inbox : acks).publish(subject, body, headers),
  };
  const stream = {
    name: journalStream(deps.namespace),
    subjects: `${deps.namespace}.journal.*`,
    replicas: 1,
    maximumMessageBytes: deps.link.maximumPayloadBytes,
  };
  const api = new StreamApi(deps);
  const buckets = new BucketApi({ api });
  const journal = new NatsJournal({ ...deps, acks, stream });
  return {
    journal,
    blobs: new NatsBlobStore({ ...deps, acks, api: buckets }),
    leases: new NatsLeaseStore({ ...deps, acks: orderAcks, api: buckets }),
    audit: {
      log: new NatsAuditLog({ ...deps, acks: inbox, api: buckets }),
      ensure: async () => {
        const { namespace } = deps;
        const journalSettings = await buckets.streamSettings(journalStream(namespace));
        // As safe as the journal is.
        const replicas = Number(journalSettings?.['num_replicas'] ?? 1);
        await ensureAuditStream(buckets, { namespace, replicas });
      },
    },
    close: () => {
      journal.close();
      inbox.close();
      api.close();
    },
  };
}
