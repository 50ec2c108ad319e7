import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

import { afterEach, describe, expect, it } from 'vitest';

import { createHttpDriver, type HttpDriverOptions } from '../../../src/drivers/http-driver.ts';
import { errorOf, parseRetryAfter } from '../../../src/drivers/http-answer.ts';
import { clock, StageKit } from './stage-kit.ts';

interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const servers: { close(): void }[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server on a free port that answers as told. */
async function serve(
  answer: (request: Received, response: ServerResponse, count: number) => void,
): Promise<{ readonly url: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      received.push(seen);
      answer(seen, response, received.length);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

function driverOf(options: Omit<HttpDriverOptions, 'clock'>) {
  return createHttpDriver({ ...options, clock });
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

describe('the HTTP driver', () => {
  it('R-DRV-3: posts one stage and nothing of what comes next, with key and fence as headers', async () => {
    const { url, received } = await serve((_, response) => json(response, 200, { id: 'p-1' }));
    const kit = new StageKit();
    const driver = driverOf({ url: `${url}/export`, headers: { Authorization: 'Bearer s3cret-token' } });
    expect(await kit.run(driver)).toEqual({ id: 'p-1' });
    expect(received[0]).toMatchObject({ method: 'POST', path: '/export' });
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      taskId: 'task-1',
      pipeline: 'cards',
      stage: 'export',
      attempt: 2,
      idempotencyKey: 'cabinet:task-1:export',
      fence: { shard: 3, epoch: 5, sequence: 77 },
      input: { url: 'https://example.test/1' },
      outputs: { parse: { title: 'Käse' } },
    });
    expect(received[0]?.headers).toMatchObject({
      'idempotency-key': 'cabinet:task-1:export',
      'cabinet-fence-shard': '3',
      'cabinet-fence-epoch': '5',
      'cabinet-fence-sequence': '77',
      authorization: 'Bearer s3cret-token',
      'content-type': 'application/json',
    });
  });

  it('R-DRV-1: sends the same bytes for the same input and key', async () => {
    const { url, received } = await serve((_, response) => json(response, 200, null));
    const driver = driverOf({ url });
    await new StageKit().run(driver);
    await new StageKit().run(driver);
    expect(received[0]?.body).toBe(received[1]?.body);
  });

  it('takes an empty answer as null', async () => {
    const { url } = await serve((_, response) => response.writeHead(204).end());
    expect(await new StageKit().run(driverOf({ url }))).toBeNull();
  });

  it('takes the URL and headers of each attempt from functions', async () => {
    const { url, received } = await serve((_, response) => json(response, 200, 1));
    const driver = driverOf({ url: (ctx) => `${url}/${ctx.stage}`, headers: (ctx) => ({ 'X-Task': ctx.taskId }) });
    await new StageKit().run(driver);
    expect(received[0]).toMatchObject({ path: '/export', headers: { 'x-task': 'task-1' } });
  });

  it('counts the parts of an answer as heartbeats', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200);
      response.write('[1,');
      response.end('2]');
    });
    const kit = new StageKit();
    expect(await kit.run(driverOf({ url }))).toEqual([1, 2]);
    expect(kit.heartbeats).toBeGreaterThan(0);
  });

  it.each([
    [408, 'retryable', 'retryable'],
    [425, 'retryable', 'retryable'],
    [429, 'retryable', 'retryable'],
    [500, 'retryable', 'unexpected'],
    [502, 'retryable', 'unexpected'],
    [503, 'retryable', 'unexpected'],
    [504, 'retryable', 'unexpected'],
    [400, 'fatal', 'fatal'],
    [401, 'fatal', 'fatal'],
    [404, 'fatal', 'fatal'],
    [409, 'fatal', 'fatal'],
    [422, 'fatal', 'fatal'],
  ] as const)(
    'R-FAIL-1: classifies HTTP_%i as %s, and as %s when the stage is atMostOnce',
    async (status, usual, once_) => {
      const { url } = await serve((_, response) => json(response, status, { message: 'no such card' }));
      const failure = await new StageKit().failure(driverOf({ url }));
      expect(failure).toMatchObject({ class: usual, code: `HTTP_${status}` });
      expect(failure.message).toContain('no such card');
      expect(await new StageKit().failure(driverOf({ url }), 'atMostOnce')).toMatchObject({ class: once_ });
    },
  );

  it('takes statuses that the user calls retryable', async () => {
    const { url } = await serve((_, response) => json(response, 409, {}));
    const failure = await new StageKit().failure(driverOf({ url, retryableStatuses: [409] }));
    expect(failure).toMatchObject({ class: 'retryable', code: 'HTTP_409' });
  });

  it.each([429, 503])('is rate limited by a %i with Retry-After in seconds', async (status) => {
    const { url } = await serve((_, response) => json(response, status, {}, { 'Retry-After': '7' }));
    const failure = await new StageKit().failure(driverOf({ url }));
    expect(failure).toMatchObject({ class: 'rateLimited', code: `HTTP_${status}`, retryAfterMs: 7_000 });
  });

  it('is rate limited by a 429 with Retry-After as a date', async () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    const { url } = await serve((_, response) => json(response, 429, {}, { 'Retry-After': date }));
    const failure = await new StageKit().failure(driverOf({ url }));
    expect(failure.class).toBe('rateLimited');
    expect(failure.retryAfterMs).toBeGreaterThan(50_000);
    expect(failure.retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it('R-FAIL-1: says contract when a success is not JSON', async () => {
    const { url } = await serve((_, response) => response.writeHead(200).end('<html>it works</html>'));
    const failure = await new StageKit().failure(driverOf({ url }));
    expect(failure).toMatchObject({ class: 'contract', code: 'INVALID_ARGUMENT' });
    expect(failure.message).toContain('not JSON');
  });

  it('says contract when a success is not UTF-8', async () => {
    const { url } = await serve((_, response) => response.writeHead(200).end(Buffer.from([0x22, 0xff, 0x22])));
    expect(await new StageKit().failure(driverOf({ url }))).toMatchObject({ class: 'contract' });
  });

  it('stops reading a success over its bound with PAYLOAD_TOO_LARGE', async () => {
    let closed = false;
    const { url } = await serve((_, response) => {
      response.once('close', () => {
        closed = true;
      });
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 0x20)));
        response.once('drain', more);
      };
      more();
    });
    const failure = await new StageKit().failure(driverOf({ url, maximumResponseBytes: 100_000 }));
    expect(failure).toMatchObject({ class: 'contract', code: 'PAYLOAD_TOO_LARGE' });
    await expect.poll(() => closed).toBe(true);
  });

  it('bounds a compressed success by its size after decompression', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, 0x20));
    const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    const failure = await new StageKit().failure(driverOf({ url, maximumResponseBytes: 1_000_000 }));
    expect(failure).toMatchObject({ class: 'contract', code: 'PAYLOAD_TOO_LARGE' });
  });

  it("cuts and escapes the other side's words", async () => {
    const { url } = await serve((_, response) => response.writeHead(400).end(`bad\u001b[31m\n${'x'.repeat(100_000)}`));
    const failure = await new StageKit().failure(driverOf({ url }));
    expect(failure.message).toContain(String.raw`bad\u001b[31m`);
    expect(failure.message.length).toBeLessThan(700);
    expect(failure.message).not.toContain('\n');
  });

  it('R-FAIL-1: is retryable, also for an atMostOnce stage, when nobody listens: nothing was sent', async () => {
    const { url } = await serve((_, response) => response.end());
    servers.splice(0).forEach((server) => server.close());
    const failure = await new StageKit().failure(driverOf({ url }), 'atMostOnce');
    expect(failure).toMatchObject({ class: 'retryable', code: 'ECONNREFUSED' });
  });

  it('is retryable when a name does not resolve', async () => {
    const failure = await new StageKit().failure(driverOf({ url: 'http://nowhere.invalid/' }));
    expect(failure.class).toBe('retryable');
    expect(['ENOTFOUND', 'EAI_AGAIN']).toContain(failure.code);
  });

  it('R-FAIL-1: tells a link that broke after the request from one that never was: atMostOnce may not repeat it', async () => {
    const { url, received } = await serve((_, response) => response.socket?.resetAndDestroy());
    expect(await new StageKit().failure(driverOf({ url }))).toMatchObject({ class: 'retryable' });
    expect(await new StageKit().failure(driverOf({ url }), 'atMostOnce')).toMatchObject({ class: 'unexpected' });
    expect(received).toHaveLength(2);
  });

  it('is not taken in by a success that breaks off', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"id":');
      setImmediate(() => response.destroy());
    });
    expect(await new StageKit().failure(driverOf({ url }))).toMatchObject({ class: 'retryable' });
  });

  it('takes what is no HTTP for a broken link', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push({ close: () => void (sockets.forEach((socket) => socket.destroy()), server.close()) });
    const { port } = server.address() as AddressInfo;
    const failure = await new StageKit().failure(driverOf({ url: `http://127.0.0.1:${port}/` }));
    expect(['retryable', 'unexpected']).toContain(failure.class);
  });

  it('gives up on abort with the reason of the signal, while the server still holds the request', async () => {
    const kit = new StageKit();
    let closed = false;
    const { url } = await serve((_, response) => {
      response.once('close', () => {
        closed = true;
      });
      kit.abort.abort(new Error('the task was canceled'));
    });
    await expect(kit.run(driverOf({ url }))).rejects.toThrow('the task was canceled');
    await expect.poll(() => closed).toBe(true);
  });

  it('gives up on abort in the middle of a body', async () => {
    const kit = new StageKit();
    const { url } = await serve((_, response) => {
      response.writeHead(200);
      response.write('{"half":');
      setImmediate(() => kit.abort.abort(new Error('lease lost')));
    });
    await expect(kit.run(driverOf({ url }))).rejects.toThrow('lease lost');
  });

  it('sends nothing when it is aborted before it starts', async () => {
    const { url, received } = await serve((_, response) => json(response, 200, 1));
    const kit = new StageKit();
    kit.abort.abort(new Error('too late'));
    await expect(kit.run(driverOf({ url }))).rejects.toThrow('too late');
    expect(received).toEqual([]);
  });

  it('follows a redirect that keeps the method, on the same host', async () => {
    const { url, received } = await serve((request, response) => {
      if (request.path === '/old') response.writeHead(308, { location: '/new' }).end();
      else json(response, 200, 'moved');
    });
    expect(await new StageKit().run(driverOf({ url: `${url}/old` }))).toBe('moved');
    expect(received[1]?.body).toBe(received[0]?.body);
  });

  it.each([301, 302, 303])('refuses a %i: it would turn the request into a GET', async (status) => {
    const { url, received } = await serve((_, response) => response.writeHead(status, { location: '/new' }).end());
    expect(await new StageKit().failure(driverOf({ url }))).toMatchObject({ class: 'fatal', code: 'REDIRECT_REFUSED' });
    expect(received).toHaveLength(1);
  });

  it('refuses a redirect to another host, to which it would send credentials', async () => {
    const other = await serve((_, response) => json(response, 200, 'stolen'));
    const { url } = await serve((_, response) => response.writeHead(307, { location: `${other.url}/x` }).end());
    const failure = await new StageKit().failure(driverOf({ url, headers: { Authorization: 'Bearer s3cret-token' } }));
    expect(failure).toMatchObject({ class: 'fatal', code: 'REDIRECT_REFUSED' });
    expect(other.received).toEqual([]);
  });

  it('ends a redirect loop with REDIRECT_LIMIT', async () => {
    const { url, received } = await serve((_, response) => response.writeHead(307, { location: '/again' }).end());
    expect(await new StageKit().failure(driverOf({ url }))).toMatchObject({ class: 'fatal', code: 'REDIRECT_LIMIT' });
    expect(received).toHaveLength(4);
  });

  it('lets no credential into an error: not of the URL, not of a header, not echoed by the server', async () => {
    const { url } = await serve((request, response) =>
      json(response, 403, { message: `who is ${request.headers.authorization ?? ''}, or ${request.path}?` }),
    );
    const driver = driverOf({
      url: `${url}/x?api_key=hush-hush`,
      headers: { Authorization: 'Bearer s3cret-token', 'X-Key': 'another-secret' },
    });
    const { message } = await new StageKit().failure(driver);
    expect(message).toContain('[redacted]');
    expect(message).not.toContain('s3cret-token');
    expect(message).not.toContain('hush-hush');
  });

  it('does not repeat the value of a header that cannot be sent', async () => {
    const failure = await new StageKit().failure(
      driverOf({ url: 'http://127.0.0.1:1/', headers: { Authorization: 'Bearer s3cret\ntoken' } }),
    );
    expect(failure).toMatchObject({ class: 'fatal', code: 'INVALID_HEADER' });
    expect(JSON.stringify(failure)).not.toContain('s3cret');
  });

  it.each(['ftp://host/x', 'not a url', 'http://user:pa55word@host/', ''])(
    'refuses the URL %j when it is made, with INVALID_ARGUMENT and without an echo',
    (url) => {
      expect(() => driverOf({ url })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'url' }));
      expect(() => driverOf({ url })).not.toThrow(/pa55word/);
    },
  );

  it('is fatal when a function gives a URL that is none', async () => {
    const failure = await new StageKit().failure(driverOf({ url: () => 'http://user:pa55word@host/' }));
    expect(failure).toMatchObject({ class: 'fatal', code: 'INVALID_URL' });
    expect(JSON.stringify(failure)).not.toContain('pa55word');
  });
});

describe('the lookup of the HTTP driver', () => {
  it('is there only when a URL for it is given', () => {
    expect(driverOf({ url: 'http://host/' }).lookup).toBeUndefined();
    expect(() => driverOf({ url: 'http://host/', lookup: 'http://host/effects' })).toThrow(/\{key\}/);
  });

  it.each([
    [200, { id: 'p-1' }, { kind: 'done', output: { id: 'p-1' } }],
    [404, {}, { kind: 'notDone' }],
    [202, {}, { kind: 'unknown' }],
    [403, {}, { kind: 'unknown' }],
  ] as const)('takes %i as %j', async (status, body, answer) => {
    const { url, received } = await serve((_, response) => json(response, status, body));
    const driver = driverOf({ url, lookup: `${url}/effects/{key}` });
    expect(await driver.lookup?.(new StageKit().ctx)).toEqual(answer);
    expect(received[0]).toMatchObject({ method: 'GET', path: '/effects/cabinet%3Atask-1%3Aexport', body: '' });
  });

  it.each([429, 500, 503])('throws at a %i, so that the engine asks again and does not guess', async (status) => {
    const { url } = await serve((_, response) => json(response, status, {}));
    const driver = driverOf({ url, lookup: `${url}/{key}` });
    await expect(driver.lookup?.(new StageKit().ctx)).rejects.toThrow(`answered ${status}`);
  });

  it('throws when the done answer is not JSON', async () => {
    const { url } = await serve((_, response) => response.writeHead(200).end('done'));
    const driver = driverOf({ url, lookup: `${url}/{key}` });
    await expect(driver.lookup?.(new StageKit().ctx)).rejects.toThrow('not JSON');
  });
});

describe('an answer of HTTP', () => {
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 9_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['5.5', null],
    ['-3', null],
    ['tomorrow', null],
    ['99999999999999999999', null],
    ['', null],
    [null, null],
  ] as const)('asks with Retry-After %j to wait %j ms at second 1', (value, expected) => {
    expect(parseRetryAfter(value, 1_000)).toBe(expected);
  });

  it.each([
    ['{"detail":"card is locked"}', 'card is locked'],
    ['{"error":{"message":"deep"}}', 'deep'],
    ['{"error":"flat"}', 'flat'],
    ['[1]', '[1]'],
    ['null', 'null'],
    ['plain words', 'plain words'],
  ])('tells %j as %j', (body, words) => {
    const answer = { status: 422, headers: new Headers(), body: Buffer.from(body) };
    const rules = { request: 'POST http://h/', retryableStatuses: [], now: 0, secrets: [] };
    expect(errorOf(answer, rules).message).toBe(`POST http://h/ answered 422: ${words}`);
  });
});
