import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { PublishOrder } from './publication-book.ts';

/** Largest body of a publish. */
export const maximumBodyBytes = 1_000_000;
/** Longest idempotency key, in characters. */
export const maximumKeyLength = 512;

/** A request that is no publish, with the status that says so. */
export class BadRequest extends Error {
  readonly status: 400 | 413;
  readonly code: string;

  constructor(status: 400 | 413, code: string, message: string) {
    super(message);
    this.name = 'BadRequest';
    this.status = status;
    this.code = code;
  }
}

/** Reads a publish off a request. @throws BadRequest */
export async function readPublishOrder(request: IncomingMessage): Promise<PublishOrder> {
  const body = await readBody(request);
  const { headers } = request;
  const key = headers['idempotency-key'];
  if (typeof key !== 'string' || key === '' || key.length > maximumKeyLength) {
    throw new BadRequest(400, 'KEY_MISSING', 'Idempotency-Key is required, at most 512 characters');
  }
  const fence = {
    shard: readWholeNumber(headers['x-fence-shard'], 'X-Fence-Shard'),
    epoch: readWholeNumber(headers['x-fence-epoch'], 'X-Fence-Epoch'),
    sequence: readWholeNumber(headers['x-fence-sequence'], 'X-Fence-Sequence'),
  };
  const { cardId, card } = parseBody(body);
  return { key, bodyHash: createHash('sha256').update(body).digest('hex'), cardId, fence, card };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maximumBodyBytes) throw new BadRequest(413, 'BODY_TOO_LARGE', `at most ${maximumBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseBody(body: Buffer): { readonly cardId: string; readonly card: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new BadRequest(400, 'BODY_INVALID', 'the body is not JSON');
  }
  const { cardId, card } = (value ?? {}) as { cardId?: unknown; card?: unknown };
  if (typeof cardId === 'string' && cardId !== '' && card !== undefined) return { cardId, card };
  throw new BadRequest(400, 'BODY_INVALID', 'the body needs cardId and card');
}

function readWholeNumber(header: string | string[] | undefined, name: string): number {
  if (typeof header === 'string' && /^\d{1,16}$/.test(header)) return Number(header);
  throw new BadRequest(400, 'FENCE_MISSING', `${name} is required, a whole number`);
}
