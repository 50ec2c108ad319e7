import { createHash } from 'node:crypto';
import { connect } from '@nats-io/transport-node';

import type { ReplicaContent } from '../../src/checking/history.ts';

interface GotMessage {
  readonly message?: {
    readonly subject: string;
    readonly time: string;
    readonly hdrs?: string;
    readonly data?: string;
  };
  readonly error?: { readonly err_code: number; readonly description: string };
}

/** Nothing stands there: it was purged. */
const noMessage = 10_037;

/**
 * A digest of each message of a stream, as its leader has it: `STREAM.MSG.GET` is answered by nobody else. To read another server's
 * messages, let it lead.
 */
export async function readLeadersContent(
  url: string,
  stream: string,
  options: { readonly replica: string; readonly through: number },
): Promise<ReplicaContent> {
  const { replica, through } = options;
  const connection = await connect({ servers: url });
  try {
    const digests: (readonly [number, string])[] = [];
    for (let sequence = 1; sequence <= through; sequence += 1) {
      const question = JSON.stringify({ seq: sequence });
      const answer = await connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, question, { timeout: 5_000 });
      const { message, error } = answer.json<GotMessage>();
      if (error?.err_code === noMessage) continue;
      if (message === undefined) throw new Error(`message ${sequence}: ${error?.description}`);
      const { subject, time, hdrs = '', data = '' } = message;
      const text = [subject, time, hdrs, data].join('\n');
      digests.push([sequence, createHash('sha256').update(text).digest('hex')]);
    }
    return { replica, digests };
  } finally {
    await connection.close();
  }
}
