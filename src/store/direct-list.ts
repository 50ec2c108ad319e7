import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { bucketStream, keyOfSubject } from './bucket-keys.ts';
import { InboxQueue } from './inbox-queue.ts';
import { isRemoval } from './nats-bucket.ts';

/** A key and its value, as some replica has them. */
export interface ListedKey {
  readonly key: string;
  readonly value: Uint8Array;
  /** Sequence of the key's last write. */
  readonly revision: number;
}

/** Keys that are asked for at a time. */
const keysPerRequest = 1_000;
const endOfBatch = 204;
const notFound = 404;

/**
 * All keys of a bucket with their values, in one round trip a thousand keys, from any replica: a hint that may be old.
 *
 * @throws EngineError `UNAVAILABLE`
 */
export async function listBucket(
  deps: { readonly link: NatsLink; readonly clock: Clock; readonly timeoutMs: number },
  bucket: string,
): Promise<readonly ListedKey[]> {
  const action = `list bucket ${bucket}`;
  const queue = new InboxQueue({ link: deps.link, clock: deps.clock, action });
  const listed: ListedKey[] = [];
  const ask = (fromSequence: number): void => {
    const request = { seq: fromSequence, next_by_subj: `$KV.${bucket}.>`, batch: keysPerRequest };
    queue.send(`$JS.API.DIRECT.GET.${bucketStream(bucket)}`, Buffer.from(JSON.stringify(request)));
  };
  try {
    ask(1);
    let lastSequence = 0;
    let pendingCount = 0;
    for (;;) {
      const message = await queue.next(deps.timeoutMs);
      if (message === null) throw new EngineError('UNAVAILABLE', `${action}: no answer within ${deps.timeoutMs} ms`);
      const { headers } = message;
      const subject = headers?.last('Nats-Subject') ?? '';
      if (subject !== '') {
        lastSequence = Number(headers?.last('Nats-Sequence'));
        pendingCount = Number(headers?.last('Nats-Num-Pending'));
        const isRemoved = isRemoval((name) => headers?.last(name));
        if (!isRemoved)
          listed.push({ key: keyOfSubject(bucket, subject), value: message.data, revision: lastSequence });
        continue;
      }
      const status = headers?.code ?? 0;
      if (status === notFound) return listed;
      if (status !== endOfBatch) {
        throw new EngineError('UNAVAILABLE', `${action}: ${headers?.description ?? 'no description'} (${status})`);
      }
      if (pendingCount <= 0) return listed;
      ask(lastSequence + 1);
    }
  } finally {
    queue.close();
  }
}
