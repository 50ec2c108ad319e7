import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Health, RouteDeps } from './admin/admin-deps.ts';
import type { AuditSink } from './admin/audit-sink.ts';
import type { UpgradeHandler } from './admin/http-server.ts';
import { inspectionUpgrade } from './admin/inspect/inspection-upgrade.ts';
import { LiveServer, type LiveLimits } from './admin/live/live-server.ts';
import { livePath } from './admin/live/protocol.ts';
import { startAdmin, type AdminAccess, type AdminOptions, type RunningAdmin } from './admin/server.ts';
import { connectConsole, type Client, type ConnectClientOptions } from './client.ts';
import { asError, EngineError } from './core/errors.ts';
import { shardOf } from './core/hash.ts';
import { machineFinder } from './inspector/find-machine.ts';
import type { GatewayLimits } from './inspector/gateway-limits.ts';
import { InspectionGateway } from './inspector/inspection-gateway.ts';
import { isInspectionUrl } from './inspector/inspection-request.ts';
import type { PipelineDefinition } from './pipeline/definition.ts';
import { FileDocumentStore } from './platform/file-documents.ts';
import { engineVersion } from './platform/package-version.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import { SystemSecrets } from './platform/system-secrets.ts';
import type { Logger } from './ports/logger.ts';
import type { TaskIndex } from './ports/task-index.ts';

/** What {@link openAdmin} is given. */
export interface OpenAdminOptions extends Pick<
  AdminOptions,
  'host' | 'port' | 'allowedHosts' | 'onUpgrade' | 'pageFolders' | 'hostedViewerUrl'
> {
  /** How to reach the engine. */
  readonly nats: Omit<ConnectClientOptions, 'logger' | 'name'>;
  /** Folder of the engine's own files: tokens and bulk actions are kept in `admin` below it. */
  readonly dataDir: string;
  /** The pipelines of the configuration, for machines, forms and explanations. */
  readonly pipelines: readonly PipelineDefinition[];
  /** Key and certificate, as PEM files; needed for any other address than loopback. */
  readonly tls?: { readonly keyFile: string; readonly certFile: string } | undefined;
  readonly index: TaskIndex;
  readonly audit: AuditSink;
  readonly health: Health;
  readonly metrics: () => Promise<string>;
  /** How long things take of late, for the overview; null without. */
  readonly latencies?: (() => Promise<unknown>) | undefined;
  /** Bounds of the WebSocket; its own defaults for what is left out. */
  readonly liveLimits?: Partial<LiveLimits> | undefined;
  /** Bounds of task inspections; their own defaults for what is left out. */
  readonly inspectionLimits?: Partial<GatewayLimits> | undefined;
  readonly logger: Logger;
}

/**
 * Starts the admin API over a connection of its own: as a client of the engine, which it needs no more than any other client.
 *
 * @throws EngineError as `startAdmin` and `connectClient`; `CONFIG_INVALID` for a key or certificate that cannot be read
 */
export async function openAdmin(options: OpenAdminOptions): Promise<RunningAdmin & { readonly client: Client }> {
  const { nats, dataDir, pipelines, logger } = options;
  const tls = options.tls === undefined ? undefined : await readTls(options.tls);
  const { client, blobs, journal, namespace, shardCount } = await connectConsole({
    ...nats,
    name: 'cabinet-admin',
    logger,
  });
  const clock = new SystemClock();
  const random = new SystemRandom();
  let live: LiveServer | undefined;
  const inspections = new InspectionGateway({
    journal,
    clock,
    shardOf: (taskId) => shardOf(taskId, shardCount),
    findMachine: machineFinder(pipelines, async () => (await client.info()).pipelines),
    findTask: (taskId) => client.get(taskId),
    limits: options.inspectionLimits,
  });
  const onUpgrade = (access: AdminAccess, parts: RouteDeps): UpgradeHandler => {
    const server = new LiveServer({
      ...parts,
      access,
      journal,
      namespace,
      latencies: options.latencies,
      limits: options.liveLimits,
    });
    const others = options.onUpgrade?.(access, parts);
    const inspect = inspectionUpgrade({ gateway: inspections, access, random });
    live = server;
    return (request, socket, head) => {
      if (isInspectionUrl(request.url ?? '')) inspect(request, socket, head);
      else if (others === undefined || pathOf(request.url) === livePath) server.handleUpgrade(request, socket, head);
      else others(request, socket, head);
    };
  };
  try {
    const admin = await startAdmin({
      ...options,
      tls,
      client,
      blobs,
      definitions: pipelines,
      documents: new FileDocumentStore(join(dataDir, 'admin')),
      clock,
      random,
      secrets: new SystemSecrets(),
      version: engineVersion,
      onUpgrade,
    });
    const stop = async (stopOptions?: { readonly graceMs?: number | undefined }): Promise<void> => {
      // Before the server: it waits for its connections to end, and these end only when they are told to.
      inspections.close();
      await live?.stop();
      await admin.stop(stopOptions);
      await client.close();
    };
    return { ...admin, client, stop };
  } catch (error) {
    await live?.stop();
    await client.close();
    throw error;
  }
}

function pathOf(url = ''): string {
  return url.split('?', 1)[0] ?? '';
}

async function readTls(files: {
  readonly keyFile: string;
  readonly certFile: string;
}): Promise<{ readonly key: Buffer; readonly cert: Buffer }> {
  return { key: await readPem(files.keyFile, 'adminTlsKey'), cert: await readPem(files.certFile, 'adminTlsCert') };
}

async function readPem(path: string, field: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new EngineError('CONFIG_INVALID', `cannot read ${path}: ${asError(error).message}`, { field, cause: error });
  }
}
