import { connect } from '@nats-io/transport-node';

/** One request to a server as an operator makes it; gives its answer as JSON. */
export async function askNats<T>(
  server: { readonly url: string; readonly user?: string },
  subject: string,
  body: unknown = '',
): Promise<T> {
  const { url, user } = server;
  const connection = await connect({ servers: url, ...(user === undefined ? {} : { user, pass: user }) });
  try {
    const answer = await connection.request(subject, body === '' ? '' : JSON.stringify(body), { timeout: 2_000 });
    return answer.json<T>();
  } finally {
    await connection.close();
  }
}
