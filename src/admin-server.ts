import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HealthCheck } from './admin/admin-deps.ts';
import type { AuditSink } from './admin/audit-sink.ts';
import { adminDefaults } from './admin/listen-address.ts';
import { openAdmin, type OpenAdminOptions } from './admin.ts';
import { connectConsole } from './client.ts';
import type { EngineConfig } from './core/config.ts';
import { EngineError } from './core/errors.ts';
import { recordConsole } from './platform/console-place.ts';
import { writeExposition } from './platform/exposition.ts';
import { takeFolderLock } from './platform/folder-lock.ts';
import { LatencyWindow } from './platform/latency-window.ts';
import type { MetricSnapshot } from './platform/metric-family.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import { UndoStack } from './platform/undo-stack.ts';
import type { AuditLog } from './ports/audit-log.ts';
import type { Clock } from './ports/clock.ts';
import type { Logger } from './ports/logger.ts';
import type { Metrics } from './ports/metrics.ts';
import type { Random } from './ports/random.ts';
import { EventPublisher } from './projections/event-publisher.ts';
import { TaskProjector } from './projections/task-projector.ts';
import { BucketApi } from './store/bucket-api.ts';
import { ensureAuditStream, NatsAuditLog } from './store/nats-audit-log.ts';
import { ensureEventStream, NatsEventStream } from './store/nats-event-stream.ts';
import { SqliteTaskIndex } from './store/sqlite-task-index.ts';
import { StreamApi } from './store/stream-api.ts';
import { AckInbox } from './transport/ack-inbox.ts';
import { connectNats } from './transport/nats-connection.ts';

/** What {@link startAdminServer} is given. */
export interface AdminServerOptions extends Pick<
  OpenAdminOptions,
  'nats' | 'dataDir' | 'pipelines' | 'host' | 'allowedHosts' | 'tls' | 'hostedViewerUrl' | 'pageFolders' | 'liveLimits'
> {
  /** Undefined: the usual one, or any that is free where that is taken. 0: any free one. */
  readonly port?: number | undefined;
  readonly engine: Pick<EngineConfig, 'namespace' | 'replicas' | 'finishedRetentionMs'>;
  /** What the host of this server knows of the nodes, beside what the server knows of itself. */
  readonly ready?: (() => readonly HealthCheck[]) | undefined;
  /** Where the server's own numbers go. */
  readonly metrics: Metrics;
  /** All numbers of a scrape, those of {@link metrics} among them. */
  readonly readMetrics: () => Promise<readonly MetricSnapshot[]>;
  readonly logger: Logger;
}

/** An admin server that runs. */
export interface RunningAdminServer {
  readonly url: string;
  /** At the first start on a data folder alone: to be shown once, and never to be had again. */
  readonly firstToken: string | null;
  /** Answers what is in hand, at most for `graceMs`, and stops. Safe to call twice. */
  stop(graceMs?: number): Promise<void>;
}

/** How long the store may take for an event or a line of the audit log. */
const ackTimeoutMs = 5_000;
const stopGraceMs = 2_000;

/**
 * Starts the admin server with all that stands behind it: the task index, kept in step with the journal in `<dataDir>/admin`; the
 * publisher of events; the audit log; the API, the sockets and the page. It reads the engine as a client does and writes only its own
 * streams, so that it may end at any time and nothing waits for it.
 *
 * @throws EngineError as `openAdmin`; `CONFIG_INVALID` when another process serves from that folder; `STREAM_MISCONFIGURED`,
 *   `BUS_FORBIDDEN`, `STORAGE_FULL`, `UNAVAILABLE` of the streams and the index
 */
export async function startAdminServer(options: AdminServerOptions): Promise<RunningAdminServer> {
  const { nats, dataDir, pipelines, engine, metrics, readMetrics } = options;
  const { namespace } = engine;
  const logger = options.logger.child({ part: 'admin' });
  const clock = new SystemClock();
  const random = new SystemRandom();
  const folder = join(dataDir, 'admin');
  const undo = new UndoStack(logger);
  try {
    await takeFolder(folder, undo);
    // Each on a connection of its own: who reads the whole journal holds up neither an answer nor an append.
    const reading = await connectConsole({ ...nats, namespace, name: 'cabinet-admin-index', logger });
    undo.push('reading of the journal', () => reading.client.close());
    const { journal } = reading;
    const { audit, events } = await openStreams({ ...options, namespace, clock, random, logger, undo });

    const index = await SqliteTaskIndex.open({ file: join(folder, 'tasks.sqlite'), logger });
    undo.push('task index', () => index.close());
    const { finishedRetentionMs } = engine;
    const projector = new TaskProjector({ journal, index, clock, logger, metrics, finishedRetentionMs });
    projector.start();
    undo.push('task projector', () => projector.stop());
    const publisher = new EventPublisher({ journal, stream: events, clock, random, logger, metrics, namespace });
    publisher.start();
    undo.push('event publisher', () => publisher.stop());

    const latencies = new LatencyWindow();
    const admin = await listen(options, {
      ...options,
      nats: { ...nats, namespace },
      pipelines,
      index,
      audit,
      logger,
      health: {
        live: () => [],
        ready: () => [
          ...(options.ready?.() ?? []),
          { name: 'index', isGood: projector.status.trouble === null, detail: projector.status.trouble ?? undefined },
        ],
        started: () => true,
      },
      metrics: async () => writeExposition(await readMetrics()),
      latencies: async () => latencies.take(await readMetrics(), clock.monotonicMs()),
    });
    undo.push('admin API', (graceMs) => admin.stop({ graceMs }));
    const { url, firstToken } = admin;
    undo.push('record of the address', await record(folder, url, logger));
    return { url, firstToken, stop: (graceMs = stopGraceMs) => undo.run(graceMs) };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** One server a folder: two would write one index, and neither know of the other's tokens and bulk actions. */
async function takeFolder(folder: string, undo: UndoStack): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = await takeFolderLock(folder);
  if (lock.kind === 'held') {
    const { pid, host } = lock.holder;
    throw new EngineError('CONFIG_INVALID', `process ${pid} on ${host} serves the console of this data folder`, {
      field: 'dataDir',
      got: folder,
      limit: 'one console a data folder',
      hint: 'give this one a folder of its own with --data-dir, or leave the console out with --no-admin',
    });
  }
  undo.push('admin folder', lock.release);
}

/** A console that commands do not find by its folder serves all the same, and its first token is to be shown. */
async function record(folder: string, url: string, logger: Logger): Promise<() => Promise<void>> {
  try {
    return await recordConsole(folder, url);
  } catch (error) {
    logger.warn(
      { err: error, folder },
      'the address of the console could not be written down: commands need --admin-url',
    );
    return async () => undefined;
  }
}

async function openStreams(deps: {
  readonly nats: OpenAdminOptions['nats'];
  readonly engine: Pick<EngineConfig, 'replicas'>;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly undo: UndoStack;
}): Promise<{ readonly audit: AuditSink; readonly events: NatsEventStream }> {
  const { nats, namespace, clock, random, logger, undo } = deps;
  const { replicas } = deps.engine;
  const link = await connectNats({ ...nats, name: 'cabinet-admin-records', clock, logger });
  undo.push('connection for records', () => link.close());
  const streams = new StreamApi({ link, clock, logger });
  const acks = new AckInbox({ link, clock, logger, timeoutMs: ackTimeoutMs });
  undo.push('records', async () => {
    acks.close();
    streams.close();
  });
  const api = new BucketApi({ api: streams });
  await ensureEventStream(api, { namespace, replicas });
  await ensureAuditStream(api, { namespace, replicas });
  const log = new NatsAuditLog({ api, acks, clock, namespace });
  return { audit: sinkOf(log), events: new NatsEventStream({ api, link, acks, random, namespace }) };
}

function sinkOf(log: AuditLog): AuditSink {
  return {
    append: async (entry) => {
      await log.append(entry);
    },
    list: (query) => log.list(query),
  };
}

/** On the port that was chosen; where none was, on the usual one or, if that is taken, on any: a second engine on one machine. */
async function listen(
  { port, logger }: AdminServerOptions,
  admin: Omit<OpenAdminOptions, 'port'>,
): ReturnType<typeof openAdmin> {
  if (port !== undefined) return openAdmin({ ...admin, port });
  try {
    return await openAdmin({ ...admin, port: adminDefaults.port });
  } catch (error) {
    if (!(error instanceof EngineError && error.code === 'CONFIG_INVALID' && error.field === 'port')) throw error;
    logger.warn({ port: adminDefaults.port }, "the console's usual port is taken; it takes any free one");
    return openAdmin({ ...admin, port: 0 });
  }
}
