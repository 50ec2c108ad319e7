import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolders } from '../testing/temporary-folder.ts';
import { startBoardServer, type BoardServer, type BoardServerOptions } from './board-server.ts';
import { checkFaultRates, faultOf, noFaults } from './faults.ts';
import { logFileName, PublicationLog } from './publication-log.ts';
import { startBoard } from './start-board.ts';

const newFolder = temporaryFolders();

interface Publish {
  readonly key?: string | null;
  readonly cardId?: string;
  readonly card?: unknown;
  readonly fence?: readonly [shard: number, epoch: number, sequence: number];
}

async function publish(
  url: string,
  { key = 'k-1', cardId = 'card-1', card = { a: 1 }, fence = [0, 1, 1] }: Publish = {},
) {
  const response = await fetch(`${url}/publications`, {
    method: 'POST',
    headers: {
      ...(key === null ? {} : { 'idempotency-key': key }),
      'x-fence-shard': String(fence[0]),
      'x-fence-epoch': String(fence[1]),
      'x-fence-sequence': String(fence[2]),
    },
    body: JSON.stringify({ cardId, card }),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

async function withBoard(
  options: Partial<BoardServerOptions>,
  run: (url: string, board: BoardServer) => Promise<void>,
): Promise<string> {
  const dataDir = options.dataDir ?? (await newFolder());
  const board = await startBoardServer({ ...options, dataDir });
  try {
    await run(board.url, board);
  } finally {
    await board.close();
  }
  return dataDir;
}

describe('the board', () => {
  it('R-IDEM-1: answers a repeated key from its record, with one effect', async () => {
    await withBoard({}, async (url, board) => {
      const first = await publish(url);
      const second = await publish(url);
      expect([first.status, second.status]).toEqual([201, 200]);
      expect(second.body).toEqual(first.body);
      expect(second.headers.get('idempotency-replayed')).toBe('true');
      expect(await board.stats()).toMatchObject({ requests: 2, applied: 1, duplicateKeys: 1, duplicateEffects: 0 });
    });
  });

  it('R-IDEM-1: applies one of many repeats that come at one time', async () => {
    await withBoard({}, async (url, board) => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => publish(url)));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(new Set(answers.map(({ body }) => body['publicationId']))).toEqual(new Set(['p-1']));
      expect(await board.stats()).toMatchObject({ applied: 1, duplicateKeys: 29 });
    });
  });

  it('refuses the same key with another body with 422 KEY_REUSED', async () => {
    await withBoard({}, async (url, board) => {
      await publish(url);
      expect(await publish(url, { card: { a: 2 } })).toMatchObject({ status: 422, body: { code: 'KEY_REUSED' } });
      expect(await board.stats()).toMatchObject({ applied: 1, reusedKeys: 1 });
    });
  });

  it.each([
    ['an older epoch', [0, 1, 99], 409],
    ['an older sequence', [0, 2, 4], 409],
    ['the same fence', [0, 2, 5], 201],
    ['a newer sequence', [0, 2, 6], 201],
    ['a newer epoch', [0, 3, 1], 201],
    ['another shard', [1, 1, 1], 201],
  ] as const)('answers a new key for the card under %s with %j: %i', async (_, fence, status) => {
    await withBoard({}, async (url) => {
      await publish(url, { fence: [0, 2, 5] });
      expect((await publish(url, { key: 'k-2', fence })).status).toBe(status);
      expect((await publish(url, { key: 'k-3', cardId: 'card-2', fence })).status).toBe(201);
    });
  });

  it('answers a repeat of an old owner from the record, for that changes nothing', async () => {
    await withBoard({}, async (url, board) => {
      await publish(url, { fence: [0, 2, 5] });
      expect(await publish(url, { fence: [0, 1, 1] })).toMatchObject({ status: 200, body: { publicationId: 'p-1' } });
      expect(await board.stats()).toMatchObject({ applied: 1, staleFences: 0 });
    });
  });

  it('remembers a newer fence that came with a repeat, also over a restart', async () => {
    const dataDir = await withBoard({}, async (url) => {
      await publish(url, { fence: [0, 1, 1] });
      expect((await publish(url, { fence: [0, 5, 1] })).status).toBe(200);
    });
    await withBoard({ dataDir }, async (url) => {
      expect(await publish(url, { key: 'k-2', fence: [0, 4, 9] })).toMatchObject({
        status: 409,
        body: { code: 'FENCE_STALE' },
      });
    });
  });

  it('counts as harm each time that a card was applied beyond its first, off the log', async () => {
    await withBoard({}, async (url, board) => {
      for (const key of ['k-1', 'k-2', 'k-3']) await publish(url, { key });
      await publish(url, { key: 'k-4', cardId: 'card-2' });
      expect(await board.stats()).toMatchObject({ applied: 4, duplicateEffects: 2 });
    });
  });

  it.each([
    ['no key', { key: null }, 400, 'KEY_MISSING'],
    ['an empty card id', { cardId: '' }, 400, 'BODY_INVALID'],
    ['a negative fence', { fence: [0, -1, 1] as const }, 400, 'FENCE_MISSING'],
    ['a body over the bound', { card: 'x'.repeat(1_100_000) }, 413, 'BODY_TOO_LARGE'],
  ])('answers %s with its code', async (_, order, status, code) => {
    await withBoard({}, async (url, board) => {
      const answer = await publish(url, order);
      expect(answer.status).toBe(status);
      expect(answer.body['code']).toBe(code);
      expect((await board.stats()).applied).toBe(0);
    });
  });

  it('answers what is no publish with 400, another method with 405, another path with 404', async () => {
    await withBoard({}, async (url) => {
      const headers = { 'idempotency-key': 'k', 'x-fence-shard': '0', 'x-fence-epoch': '1', 'x-fence-sequence': '1' };
      const answers = [
        await fetch(`${url}/publications`, { method: 'POST', headers, body: '{' }),
        await fetch(`${url}/publications`, { method: 'POST', headers, body: '{"cardId":"c"}' }),
        await fetch(`${url}/publications`, { method: 'POST', headers, body: 'null' }),
        await fetch(`${url}/publications`, { method: 'DELETE' }),
        await fetch(`${url}/nothing`),
      ];
      expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 405, 404]);
    });
  });

  it('shows publications, all, by id and by key', async () => {
    await withBoard({}, async (url) => {
      await publish(url, { key: 'key/with ä' });
      const get = async (path: string) => (await fetch(`${url}${path}`)).json();
      expect(await get('/publications')).toMatchObject([{ publicationId: 'p-1', cardId: 'card-1', card: { a: 1 } }]);
      expect(await get('/publications/p-1')).toMatchObject({ cardId: 'card-1' });
      expect(await get(`/publications/by-key/${encodeURIComponent('key/with ä')}`)).toEqual({
        publicationId: 'p-1',
        path: '/publications/p-1',
      });
      expect(await get('/publications/by-key/none')).toMatchObject({ code: 'KEY_UNKNOWN' });
    });
  });
});

describe("the board's log", () => {
  it('P7: lets a new board answer as the old one did', async () => {
    const dataDir = await withBoard({}, async (url) => {
      await publish(url);
      await publish(url, { key: 'k-2', cardId: 'card-2' });
    });
    await withBoard({ dataDir }, async (url, board) => {
      expect(await publish(url)).toMatchObject({ status: 200, body: { publicationId: 'p-1' } });
      expect(await publish(url, { key: 'k-3', cardId: 'card-3' })).toMatchObject({
        status: 201,
        body: { publicationId: 'p-3' },
      });
      expect(await board.stats()).toMatchObject({ applied: 3, duplicateEffects: 0 });
    });
  });

  it('is cut at an unfinished last line, for which nobody was answered', async () => {
    const dataDir = await withBoard({}, async (url) => {
      await publish(url);
    });
    const path = join(dataDir, logFileName);
    const whole = await readFile(path, 'utf8');
    await appendFile(path, '{"type":"applied","publicationId":"p-2","cardId":"card');
    await withBoard({ dataDir }, async (url, board) => {
      expect(await readFile(path, 'utf8')).toBe(whole);
      expect(await publish(url, { key: 'k-2', cardId: 'card-2' })).toMatchObject({
        status: 201,
        body: { publicationId: 'p-2' },
      });
      expect(await board.stats()).toMatchObject({ applied: 2, duplicateEffects: 0 });
    });
  });

  it('stops the board from starting when a finished line is damaged', async () => {
    const dataDir = await newFolder();
    await writeFile(join(dataDir, logFileName), '{"type":"applied"\n{}\n');
    await expect(startBoardServer({ dataDir })).rejects.toThrow('line 1 cannot be read');
  });

  it('fails every append after one that failed', async () => {
    const { log } = await PublicationLog.open(await newFolder());
    const entry = { type: 'fenceRaised', cardId: 'c', fence: { shard: 0, epoch: 1, sequence: 1 } } as const;
    await log.append(entry);
    await log.close();
    await expect(log.append(entry)).rejects.toThrow(/closed|EBADF/);
    await expect(log.append(entry)).rejects.toThrow(/closed|EBADF/);
  });
});

describe('faults', () => {
  it('are the same for the same seed, key and try, and differ otherwise', () => {
    const rates = { unavailable: 0.2, rateLimited: 0.1, slow: 0.1, lostAnswer: 0.1 };
    const draw = (seed: number) =>
      Array.from({ length: 400 }, (_, index) => faultOf(rates, seed, `key-${index % 40}`, Math.floor(index / 40)));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const countOf = (wanted: string) => draw(1).filter((fault) => fault === wanted).length;
    expect(countOf('unavailable')).toBeGreaterThan(50);
    expect(countOf('unavailable')).toBeLessThan(110);
    expect(countOf('none')).toBeGreaterThan(160);
  });

  it('are refused with RangeError outside 0 to 1', () => {
    expect(() => checkFaultRates({ ...noFaults, slow: 1.5 })).toThrow(RangeError);
    expect(() => checkFaultRates({ ...noFaults, slow: Number.NaN })).toThrow(RangeError);
    expect(() => checkFaultRates({ ...noFaults, slow: 0.6, lostAnswer: 0.6 })).toThrow(/sum/);
  });

  it('503 and 429 do nothing, a slow answer comes late, a lost one is done and cut off', async () => {
    await withBoard({ faults: { ...noFaults, unavailable: 1 } }, async (url, board) => {
      expect((await publish(url)).status).toBe(503);
      expect(await board.stats()).toMatchObject({ applied: 0, faults: { unavailable: 1 } });
    });
    await withBoard({ faults: { ...noFaults, rateLimited: 1 }, retryAfterSeconds: 4 }, async (url, board) => {
      const { status, headers } = await publish(url);
      expect([status, headers.get('retry-after')]).toEqual([429, '4']);
      expect(await board.stats()).toMatchObject({ applied: 0, faults: { rateLimited: 1 } });
    });
    await withBoard({ faults: { ...noFaults, slow: 1 }, slowMs: 120 }, async (url, board) => {
      const start = performance.now();
      expect((await publish(url)).status).toBe(201);
      expect(performance.now() - start).toBeGreaterThan(100);
      expect(await board.stats()).toMatchObject({ applied: 1, faults: { slow: 1 } });
    });
    await withBoard({ faults: { ...noFaults, lostAnswer: 1 } }, async (url, board) => {
      await expect(publish(url)).rejects.toThrow('fetch failed');
      expect(await board.stats()).toMatchObject({ applied: 1, faults: { lostAnswer: 1 } });
    });
  });
});

describe('the board as a process', () => {
  it('keeps what it answered over kill -9, and ends cleanly on SIGTERM', { timeout: 60_000 }, async () => {
    const dataDir = await newFolder();
    const first = await startBoard({ dataDir });
    expect((await publish(first.url)).status).toBe(201);
    await first.kill();
    const second = await startBoard({ dataDir, faults: { unavailable: 1 }, seed: 5 });
    expect((await publish(second.url, { key: 'k-2', cardId: 'card-2' })).status).toBe(503);
    expect(await second.stats()).toMatchObject({ applied: 1, faults: { unavailable: 1 } });
    // A connection that stays open must not hold it.
    const held = request(`${second.url}/publications`, { method: 'POST' });
    held.on('error', () => undefined);
    held.write('{');
    expect(await second.stop()).toBe(0);
  });

  it('says what is wrong when it cannot start', { timeout: 60_000 }, async () => {
    const dataDir = await newFolder();
    await writeFile(join(dataDir, logFileName), 'damage\n');
    await expect(startBoard({ dataDir })).rejects.toThrow('line 1 cannot be read');
  });
});
