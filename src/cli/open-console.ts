import type { AdminServerOptions, RunningAdminServer } from '../admin-server.ts';
import { adminDefaults, checkAddress } from '../admin/listen-address.ts';
import { EngineError } from '../core/errors.ts';
import { readLink } from './cluster.ts';
import type { CliContext } from './context.ts';
import type { Settings } from './settings.ts';

/** What a command that serves the console knows beside its settings. */
export interface ConsoleSurroundings extends Pick<AdminServerOptions, 'ready' | 'metrics' | 'readMetrics' | 'logger'> {
  /** The NATS servers, where the settings name none. */
  readonly servers: string | readonly string[];
}

/**
 * Starts the console as the settings have it, and shows its first token, if this is the first start on the data folder.
 *
 * @throws EngineError `CONFIG_INVALID`, and what `startAdminServer` throws
 */
export async function openConsole(
  context: CliContext,
  settings: Settings,
  surroundings: ConsoleSurroundings,
): Promise<RunningAdminServer> {
  const { admin, engine, dataDir, file, inspector } = settings;
  const { startAdminServer } = await import('../admin-server.ts');
  const { monitorUrls: _urls, ...link } = await readLink(linkOf(settings));
  const { host, port, allowedHosts } = admin;
  const server = await startAdminServer({
    ...surroundings,
    nats: { ...link, servers: surroundings.servers },
    engine,
    dataDir,
    pipelines: file?.config.pipelines ?? [],
    host,
    port,
    allowedHosts,
    tls: tlsOf(settings),
    hostedViewerUrl: inspector.hostedViewerUrl,
  });
  const { firstToken } = server;
  if (firstToken !== null) {
    context.terminal.note(`first token of the console, for an admin, shown this once: ${firstToken}`);
  }
  return server;
}

/**
 * Refuses what no console can start with, before anything is started.
 *
 * @throws EngineError `CONFIG_INVALID`
 */
export function checkConsole(settings: Settings): void {
  const { host = adminDefaults.host } = settings.admin;
  checkAddress(host, tlsOf(settings) !== undefined);
}

/** The console's own key, where it has one: a node's may not write events and audit, nor the console's write journals. */
function linkOf({ nats, admin }: Settings): Settings['nats'] {
  const { nkeyFile, inboxPrefix } = admin;
  const own = nkeyFile === undefined ? nats : { ...nats, nkeyFile, credentialsFile: undefined };
  return inboxPrefix === undefined ? own : { ...own, inboxPrefix };
}

function tlsOf({ admin: { tlsKeyFile: keyFile, tlsCertFile: certFile } }: Settings): AdminServerOptions['tls'] {
  if (keyFile !== undefined && certFile !== undefined) return { keyFile, certFile };
  if (keyFile === undefined && certFile === undefined) return undefined;
  throw new EngineError('CONFIG_INVALID', 'the key and the certificate of the console belong together', {
    field: keyFile === undefined ? 'admin.tlsKeyFile' : 'admin.tlsCertFile',
    hint: 'give both files, or none on a loopback address',
  });
}
