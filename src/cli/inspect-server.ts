import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { errorAnswerOf } from '../admin/error-answer.ts';
import { readPageFiles, type PageFiles } from '../admin/page-files.ts';
import { refuseUpgrade } from '../admin/refuse-upgrade.ts';
import { checkHead, checkOrigin } from '../admin/request-guard.ts';
import { requestHeaders } from '../admin/request-headers.ts';
import { headersOf } from '../admin/security-headers.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import type { InspectionGateway } from '../inspector/inspection-gateway.ts';
import { isInspectionUrl, parseInspectionUrl } from '../inspector/inspection-request.ts';
import type { Random } from '../ports/random.ts';
import type { Secrets } from '../ports/secrets.ts';

/** The one address that `cabinet inspect` listens on: nobody but this machine can reach it. */
export const inspectHost = '127.0.0.1';
const keyBytes = 24;

/** Where the build leaves the page: beside this module in the package, in `dist` of the repository when it runs from its sources. */
const inspectorPageFolders: readonly string[] = [
  fileURLToPath(new URL('../inspector-page', import.meta.url)),
  fileURLToPath(new URL('../../dist/inspector-page', import.meta.url)),
];

/** What {@link openInspectServer} is given. */
export interface InspectServerOptions {
  readonly gateway: InspectionGateway;
  /** The only task that can be looked at. */
  readonly taskId: TaskId;
  /** 0: any free one. */
  readonly port: number;
  readonly secrets: Secrets;
  readonly random: Random;
  /** Folders to look for the page in; those of the package when left out. */
  readonly pageFolders?: readonly string[] | undefined;
}

/** A server for one task's inspection. */
export interface InspectServer {
  readonly port: number;
  /** Of the page. Its key stands behind the `#`, where no request takes it along. */
  readonly pageUrl: string;
  /** Of the socket in the form of `@statelyai/inspect`. */
  readonly socketUrl: string;
  close(): Promise<void>;
}

/**
 * Serves one task's inspection and the page for it on this machine's loopback address, to whoever has the key.
 *
 * @throws EngineError `CONFIG_INVALID` when the port cannot be had
 */
export async function openInspectServer(options: InspectServerOptions): Promise<InspectServer> {
  const { gateway, taskId, secrets, random } = options;
  const page = await readPageFiles(options.pageFolders ?? inspectorPageFolders);
  const key = Buffer.from(secrets.bytes(keyBytes)).toString('base64url');
  const server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 10_000 });
  const port = await listen(server, options.port);
  const hosts = { hosts: new Set([`${inspectHost}:${port}`, `localhost:${port}`]) };
  const check = ({ method = '', url = '', rawHeaders, headers }: IncomingMessage): void =>
    checkHead({ method, url, headerCount: rawHeaders.length / 2, host: headers.host }, hosts);

  server.on('request', (request, response) => {
    try {
      check(request);
      void answer(request, response, page);
    } catch (thrown) {
      refuse(response, thrown, random.id());
    }
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined);
    try {
      check(request);
      checkOrigin({ isMutation: false, headers: requestHeaders(request), isTls: false }, null);
      checkKey(request.url ?? '', key);
      checkTask(request.url ?? '', taskId);
      gateway.take(request, socket, head, { id: 'local', mayShowPayloads: true, watch: () => () => undefined });
    } catch (thrown) {
      refuseUpgrade(socket, thrown, { requestId: random.id(), isTls: false });
    }
  });
  const origin = `${inspectHost}:${port}`;
  return {
    port,
    pageUrl: `http://${origin}/#task=${taskId}&key=${key}`,
    socketUrl: `ws://${origin}/api/inspect/${taskId}?format=stately&key=${key}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      gateway.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function checkKey(url: string, key: string): void {
  const [given = '', ...more] = new URL(url, 'ws://localhost').searchParams.getAll('key');
  const [one, other] = [Buffer.from(given), Buffer.from(key)];
  if (more.length === 0 && one.length === other.length && timingSafeEqual(one, other)) return;
  throw new EngineError('UNAUTHENTICATED', 'the key of the printed link is needed', { field: 'key' });
}

function checkTask(url: string, taskId: TaskId): void {
  if (!isInspectionUrl(url)) throw new EngineError('NOT_FOUND', 'there is no socket at that address');
  const { taskId: asked } = parseInspectionUrl(url);
  if (asked === taskId) return;
  throw new EngineError('NOT_FOUND', `this server shows task ${taskId} alone`, { field: 'taskId', got: asked });
}

async function answer(request: IncomingMessage, response: ServerResponse, page: PageFiles): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const headers = new Headers(headersOf(false));
  const asked = new Request(`http://${inspectHost}${path}`, {
    method: request.method === 'HEAD' ? 'HEAD' : 'GET',
    headers: requestHeaders(request),
  });
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const file = isRead ? page.answer(asked, path, headers) : null;
  const found = file ?? new Response('There is nothing at that address.\n', { status: 404, headers });
  const body = Buffer.from(await found.arrayBuffer());
  response.writeHead(found.status, { ...Object.fromEntries(found.headers), 'content-length': body.byteLength });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function refuse(response: ServerResponse, thrown: unknown, requestId: string): void {
  const { status, body } = errorAnswerOf(thrown, requestId);
  response.writeHead(status, { ...headersOf(false), 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, inspectHost, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((error: unknown) => {
    throw new EngineError('CONFIG_INVALID', `cannot listen on ${inspectHost} port ${port}: ${asError(error).message}`, {
      field: 'port',
      got: port,
    });
  });
  return (server.address() as AddressInfo).port;
}
