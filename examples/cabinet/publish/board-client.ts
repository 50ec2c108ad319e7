import { FatalError } from '../../../src/core/driver-errors.ts';
import type { Fence, LookupAnswer } from '../../../src/ports/driver.ts';
import { publicationSchema, type Publication } from '../card.ts';
import type { CardRecord } from '../card-record.ts';
import { failureOfExchange, failureOfStatus } from '../resources/http-failure.ts';

/** One publish of one card. */
export interface PublishRequest {
  readonly card: CardRecord;
  readonly idempotencyKey: string;
  readonly fence: Fence;
  readonly signal: AbortSignal;
}

/** The board that cards are published on. */
export interface BoardClient {
  /** @throws RetryableError, RateLimitedError, FatalError (`FENCE_STALE`, `KEY_REUSED` among them) */
  publish(request: PublishRequest): Promise<Publication>;
  /** What the board knows of a key; `unknown` when it gives no clear answer. */
  find(idempotencyKey: string, signal: AbortSignal): Promise<LookupAnswer<Publication>>;
}

/** A board over HTTP. @param boardUrl - its root, such as `http://127.0.0.1:8080` */
export function createBoardClient(boardUrl: string): BoardClient {
  return {
    async publish({ card, idempotencyKey, fence, signal }) {
      const url = new URL('/publications', boardUrl);
      try {
        const response = await fetch(url, {
          method: 'POST',
          signal,
          headers: {
            'content-type': 'application/json',
            'idempotency-key': idempotencyKey,
            'x-fence-shard': String(fence.shard),
            'x-fence-epoch': String(fence.epoch),
            'x-fence-sequence': String(fence.sequence),
          },
          body: JSON.stringify({ cardId: card.cardId, card }),
        });
        return response.ok ? await readPublication(response) : await refuse(response);
      } catch (error) {
        // A lost answer may hide a publish that was done: the next attempt's same key makes that harmless.
        throw failureOfExchange('the board', error, signal);
      }
    },
    async find(idempotencyKey, signal) {
      try {
        const url = new URL(`/publications/by-key/${encodeURIComponent(idempotencyKey)}`, boardUrl);
        const response = await fetch(url, { signal });
        if (response.ok) return { kind: 'done', output: await readPublication(response) };
        const { code } = await readProblem(response);
        // Any server may answer 404, so only the board's own word counts as "it did not happen".
        return { kind: response.status === 404 && code === 'KEY_UNKNOWN' ? 'notDone' : 'unknown' };
      } catch {
        return { kind: 'unknown' };
      }
    },
  };
}

async function readPublication(response: Response): Promise<Publication> {
  const answer = publicationSchema.safeParse(await response.json());
  if (answer.success) return answer.data;
  throw new FatalError('the board answered with something that is no publication', { code: 'BOARD_ANSWER_INVALID' });
}

async function refuse(response: Response): Promise<never> {
  const { code, message } = await readProblem(response);
  const { status } = response;
  if (code !== null && status >= 400 && status < 500 && status !== 429 && status !== 408) {
    throw new FatalError(`the board refused: ${message ?? code}`, { code });
  }
  throw failureOfStatus('the board', { status, retryAfter: response.headers.get('retry-after') });
}

async function readProblem(
  response: Response,
): Promise<{ readonly code: string | null; readonly message: string | null }> {
  const body: unknown = await response.json().catch(() => null);
  if (typeof body !== 'object' || body === null) return { code: null, message: null };
  const { code, message } = body as { code?: unknown; message?: unknown };
  return {
    code: typeof code === 'string' ? code : null,
    message: typeof message === 'string' ? message.slice(0, 500) : null,
  };
}
