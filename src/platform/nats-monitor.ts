import { request } from 'node:http';

import { asError } from '../core/errors.ts';

/** Time for one monitoring request; loopback answers in a few milliseconds or is frozen. */
const requestTimeoutMs = 2_000;
/** Largest monitoring answer that is read. */
const maxAnswerBytes = 1024 * 1024;
/** Connections that are asked for; each takes a few hundred bytes of the answer. */
const maxConnections = 1_024;

/** What a nats-server says of its health. */
export interface NatsHealth {
  readonly healthy: boolean;
  /** The server's own words, or why it could not be asked. */
  readonly detail: string;
}

/** The part of a nats-server's `/varz` that the engine reads. */
export interface NatsServerInfo {
  readonly serverId: string;
  readonly version: string;
  /** Absolute folder of JetStream's data, with the `jetstream` folder that the server adds; undefined without JetStream. */
  readonly storeDir: string | undefined;
  /** Whether every write is synced before it is acknowledged. */
  readonly syncAlways: boolean;
}

/** Asks `/healthz`, which is good only when JetStream, too, can be used. Never rejects. */
export async function readNatsHealth(monitorUrl: string): Promise<NatsHealth> {
  try {
    const answer = await getJson(`${monitorUrl}/healthz`);
    const status = textAt(answer.body, 'status') ?? `status ${answer.status}`;
    return { healthy: answer.status === 200 && status === 'ok', detail: textAt(answer.body, 'error') ?? status };
  } catch (error) {
    return { healthy: false, detail: asError(error).message };
  }
}

/** Who the server behind a monitoring address is, or undefined when nobody answers there as a nats-server. Never rejects. */
export async function readNatsServerInfo(monitorUrl: string): Promise<NatsServerInfo | undefined> {
  try {
    const { body } = await getJson(`${monitorUrl}/varz`);
    const serverId = textAt(body, 'server_id');
    const version = textAt(body, 'version');
    if (serverId === undefined || version === undefined) return undefined;
    const jetStream = objectAt(objectAt(body, 'jetstream'), 'config');
    return {
      serverId,
      version,
      storeDir: textAt(jetStream, 'store_dir'),
      syncAlways: jetStream?.['sync_always'] === true,
    };
  } catch {
    return undefined;
  }
}

/** Name of the leader of JetStream's meta group as this server knows it, or undefined while there is none. Never rejects. */
export async function readMetaLeader(monitorUrl: string): Promise<string | undefined> {
  try {
    const { body } = await getJson(`${monitorUrl}/jsz`);
    const leader = textAt(objectAt(body, 'meta_cluster'), 'leader');
    return leader === '' ? undefined : leader;
  } catch {
    return undefined;
  }
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Names of the clients that are connected, or undefined when nobody answers. Never rejects. */
export async function readConnectionNames(monitorUrl: string): Promise<ReadonlySet<string> | undefined> {
  try {
    const { body } = await getJson(`${monitorUrl}/connz?limit=${maxConnections}`);
    const connections = body['connections'];
    if (!Array.isArray(connections)) return undefined;
    return new Set(connections.flatMap((one) => textAt(one as JsonObject, 'name') ?? []));
  } catch {
    return undefined;
  }
}

function getJson(url: string): Promise<{ readonly status: number; readonly body: JsonObject }> {
  return new Promise((resolve, reject) => {
    // No agent: a kept-alive socket would hold the process open and outlive the server it belongs to.
    const call = request(url, { agent: false, timeout: requestTimeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes > maxAnswerBytes) response.destroy(new Error(`answer of ${url} is over ${maxAnswerBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
          if (!isObject(body)) throw new Error(`answer of ${url} is not a JSON object`);
          resolve({ status: response.statusCode ?? 0, body });
        } catch (error) {
          reject(asError(error));
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer of ${url} within ${requestTimeoutMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectAt(object: JsonObject | undefined, key: string): JsonObject | undefined {
  const value = object?.[key];
  return isObject(value) ? value : undefined;
}

function textAt(object: JsonObject | undefined, key: string): string | undefined {
  const value = object?.[key];
  return typeof value === 'string' ? value : undefined;
}
