import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { startBoardServer, type BoardServerOptions } from '../board/board-server.ts';
import { createCabinetPorts } from '../card-pipeline.ts';
import type { ParsedCard } from '../card.ts';
import { answeringServers } from '../testing/answering-server.ts';
import { stageContext } from '../testing/stage-context.ts';
import { temporaryFolders } from '../testing/temporary-folder.ts';
import { publishDriver } from './publish-driver.ts';

const newFolder = temporaryFolders();
const startServer = answeringServers();

const parsed: ParsedCard = {
  source: 'file:page.html',
  title: 'A card',
  price: { amount: 5, currency: 'EUR' },
  address: null,
  coordinates: null,
  description: null,
  attributes: {},
  photos: [],
  missing: [],
  foundIn: {},
  charset: { name: 'utf-8', from: 'meta' },
  warnings: [],
};

interface AttemptOptions {
  readonly fence?: { readonly shard: number; readonly epoch: number; readonly sequence: number };
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
  readonly title?: string;
}

function attemptAt(boardUrl: string, { title = 'A card', ...more }: AttemptOptions = {}) {
  const { ctx } = stageContext({
    stage: 'publish',
    input: { source: 'file:page.html' },
    outputs: { parse: { ...parsed, title }, photos: undefined },
    ports: createCabinetPorts({ pagesDir: '/none', workDir: '/none', feedDir: '/none', boardUrl }),
    ...more,
  });
  return ctx;
}

async function withBoard(
  options: Partial<BoardServerOptions>,
  run: (url: string, board: Awaited<ReturnType<typeof startBoardServer>>) => Promise<void>,
) {
  const board = await startBoardServer({ dataDir: await newFolder(), ...options });
  try {
    await run(board.url, board);
  } finally {
    await board.close();
  }
}

describe('publishDriver', () => {
  it('sends the key and the fence, and gives what the board recorded', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const url = await startServer((incoming, response) => {
      seen.push(incoming.headers);
      response.end(JSON.stringify({ publicationId: 'p-1', path: '/publications/p-1' }));
    });
    const ctx = attemptAt(url, { fence: { shard: 3, epoch: 7, sequence: 42 }, idempotencyKey: 'k-1' });
    expect(await publishDriver.execute(ctx)).toEqual({ publicationId: 'p-1', path: '/publications/p-1' });
    expect(seen[0]).toMatchObject({
      'idempotency-key': 'k-1',
      'x-fence-shard': '3',
      'x-fence-epoch': '7',
      'x-fence-sequence': '42',
      'content-type': 'application/json',
    });
  });

  it('R-IDEM-1: publishes once when the answer of the first attempt is lost', async () => {
    await withBoard({ faults: { unavailable: 0, rateLimited: 0, slow: 0, lostAnswer: 1 } }, async (url, board) => {
      await expect(publishDriver.execute(attemptAt(url))).rejects.toBeInstanceOf(RetryableError);
      await expect(publishDriver.execute(attemptAt(url))).rejects.toBeInstanceOf(RetryableError);
      expect(await board.stats()).toMatchObject({ requests: 2, applied: 1, duplicateKeys: 1, duplicateEffects: 0 });
      // The next owner asks instead of trying.
      expect(await publishDriver.lookup?.(attemptAt(url))).toEqual({
        kind: 'done',
        output: { publicationId: 'p-1', path: '/publications/p-1' },
      });
    });
  });

  it('fails with RetryableError for 503 and RateLimitedError with the wait for 429', async () => {
    await withBoard({ faults: { unavailable: 1, rateLimited: 0, slow: 0, lostAnswer: 0 } }, async (url) => {
      const failure = await Promise.resolve(publishDriver.execute(attemptAt(url))).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(RetryableError);
      expect(failure).toMatchObject({ code: 'HTTP_503' });
    });
    await withBoard(
      { faults: { unavailable: 0, rateLimited: 1, slow: 0, lostAnswer: 0 }, retryAfterSeconds: 3 },
      async (url) => {
        const failure = await Promise.resolve(publishDriver.execute(attemptAt(url))).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(RateLimitedError);
        expect(failure).toMatchObject({ retryAfterMs: 3_000 });
      },
    );
  });

  it('fails with FatalError FENCE_STALE as an old owner, KEY_REUSED with another card', async () => {
    await withBoard({}, async (url, board) => {
      await publishDriver.execute(attemptAt(url, { fence: { shard: 0, epoch: 2, sequence: 9 } }));
      const zombie = attemptAt(url, { fence: { shard: 0, epoch: 1, sequence: 99 }, idempotencyKey: 'another' });
      await expect(publishDriver.execute(zombie)).rejects.toMatchObject({ name: 'FatalError', code: 'FENCE_STALE' });
      const other = attemptAt(url, { fence: { shard: 0, epoch: 3, sequence: 1 }, title: 'Another card' });
      await expect(publishDriver.execute(other)).rejects.toMatchObject({ name: 'FatalError', code: 'KEY_REUSED' });
      expect(await board.stats()).toMatchObject({ applied: 1, staleFences: 1, reusedKeys: 1, duplicateEffects: 0 });
    });
  });

  it('fails with RetryableError when nobody answers, FatalError when what answers is no board', async () => {
    const cutting = await startServer((_, response) => response.destroy());
    await expect(publishDriver.execute(attemptAt(cutting))).rejects.toBeInstanceOf(RetryableError);
    const other = await startServer((_, response) => response.end('{"hello":"world"}'));
    await expect(publishDriver.execute(attemptAt(other))).rejects.toMatchObject({ code: 'BOARD_ANSWER_INVALID' });
    const gone = await startServer((_, response) => response.writeHead(404).end('no such page'));
    await expect(publishDriver.execute(attemptAt(gone))).rejects.toBeInstanceOf(FatalError);
  });

  it('gives up with the reason of the signal', async () => {
    const controller = new AbortController();
    const url = await startServer(() => controller.abort(new Error('the attempt timed out')));
    await expect(publishDriver.execute(attemptAt(url, { signal: controller.signal }))).rejects.toThrow(
      'the attempt timed out',
    );
  });
});

describe("publishDriver's lookup", () => {
  it('knows that it did not happen only from the board itself', async () => {
    await withBoard({}, async (url) => {
      expect(await publishDriver.lookup?.(attemptAt(url))).toEqual({ kind: 'notDone' });
    });
    const proxy = await startServer((_, response) => response.writeHead(404).end('<html>not found</html>'));
    expect(await publishDriver.lookup?.(attemptAt(proxy))).toEqual({ kind: 'unknown' });
    const down = await startServer((_, response) => response.writeHead(503).end());
    expect(await publishDriver.lookup?.(attemptAt(down))).toEqual({ kind: 'unknown' });
    const cutting = await startServer((_, response) => response.destroy());
    expect(await publishDriver.lookup?.(attemptAt(cutting))).toEqual({ kind: 'unknown' });
  });
});
