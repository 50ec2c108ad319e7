import { connect, createInbox, type NatsConnection } from '@nats-io/transport-node';

/** A stream as the server gives it for a backup: what `nats stream backup` writes into a folder. */
export interface StreamBackup {
  readonly config: { readonly name: string };
  readonly state: object;
  readonly chunks: readonly Uint8Array[];
}

const requestTimeoutMs = 10_000;

/** Takes a backup of a stream, in use or not, by the calls that `nats stream backup` makes. */
export async function backUpStream(url: string, stream: string): Promise<StreamBackup> {
  return withConnection(url, async (connection) => {
    const deliver_subject = createInbox();
    const feed = connection.subscribe(deliver_subject);
    const { config, state } = await ask<StreamBackup>(connection, `$JS.API.STREAM.SNAPSHOT.${stream}`, {
      deliver_subject,
      no_consumers: true,
      chunk_size: 128 * 1024,
    });
    const chunks: Uint8Array[] = [];
    for await (const message of feed) {
      if (message.data.length === 0) break;
      chunks.push(message.data);
      message.respond();
    }
    return { config, state, chunks };
  });
}

/** Restores a stream into a server that has none of that name, by the calls that `nats stream restore` makes. */
export async function restoreStream(url: string, { config, state, chunks }: StreamBackup): Promise<void> {
  await withConnection(url, async (connection) => {
    const { deliver_subject } = await ask<{ readonly deliver_subject: string }>(
      connection,
      `$JS.API.STREAM.RESTORE.${config.name}`,
      { config, state },
    );
    for (const chunk of chunks) await connection.request(deliver_subject, chunk, { timeout: requestTimeoutMs });
    // Nothing ends the stream, and says whether it is whole.
    await ask(connection, deliver_subject, '');
  });
}

async function withConnection<Value>(url: string, use: (connection: NatsConnection) => Promise<Value>): Promise<Value> {
  const connection = await connect({ servers: url });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

async function ask<Answer>(connection: NatsConnection, subject: string, body: object | ''): Promise<Answer> {
  const text = body === '' ? '' : JSON.stringify(body);
  const answer = await connection.request(subject, text, { timeout: requestTimeoutMs });
  const value = answer.json<Answer & { readonly error?: { readonly description: string } }>();
  if (value.error !== undefined) throw new Error(value.error.description);
  return value;
}
