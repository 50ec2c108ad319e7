import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maximumBodyBytes } from '../../../src/admin/request-guard.ts';
import { securityHeaders } from '../../../src/admin/security-headers.ts';
import { startAdmin, type AdminOptions } from '../../../src/admin/server.ts';
import { type AdminWorld, startAdminWorld, talkRaw } from '../../support/admin-kit.ts';

let world: AdminWorld;

beforeAll(async () => {
  world = await startAdminWorld({ http: { headersTimeoutMs: 300, requestTimeoutMs: 600 } });
});

afterAll(() => world.stop());

const submit = { method: 'POST', body: { pipeline: 'card', input: {} } } as const;

describe('where it listens', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1', 'console.example'])(
    'refuses to listen on %s without TLS: CONFIG_INVALID',
    async (host) => {
      const options = { host, port: 0 } as AdminOptions;
      await expect(startAdmin(options)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        field: 'adminHost',
        got: host,
      });
    },
  );

  it('says which port it cannot have: CONFIG_INVALID', async () => {
    const taken = startAdminWorld({ port: world.admin.port });
    await expect(taken).rejects.toMatchObject({ code: 'CONFIG_INVALID', field: 'port' });
  });
});

describe('over TLS', () => {
  it('listens anywhere, with a cookie that is bound to host and TLS, and tells browsers to stay with it', async () => {
    const tls = await selfSigned();
    const other = await startAdminWorld({ host: '0.0.0.0', tls, allowedHosts: ['console.example'] });
    const body = JSON.stringify({ token: other.admin.firstToken });
    const answer = await new Promise<{ status: number; headers: IncomingHttpHeaders }>((resolve, reject) => {
      const sent = httpsRequest(
        {
          host: '127.0.0.1',
          port: other.admin.port,
          path: '/api/session',
          method: 'POST',
          ca: tls.cert,
          checkServerIdentity: () => undefined,
          headers: {
            host: 'console.example',
            origin: 'https://console.example',
            'content-type': 'application/json',
            'x-cabinet-request': '1',
            'content-length': Buffer.byteLength(body),
          },
        },
        (message) => {
          message.resume();
          message.on('end', () => resolve({ status: message.statusCode ?? 0, headers: message.headers }));
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000');
    expect(String(answer.headers['set-cookie'])).toMatch(
      /^__Host-cabinet-session=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; .*; Secure$/,
    );
    // Plain HTTP to the same port gets nothing of the API.
    expect(
      await talkRaw(other.admin.port, (send) => send('GET /livez HTTP/1.1\r\nHost: console.example\r\n\r\n')),
    ).not.toContain('200 OK');
    await other.stop();
  });
});

describe('the Host header', () => {
  it.each(['evil.example', 'evil.example:4280', '127.0.0.1', 'localhost', '127.0.0.1:1', '127.0.0.1.evil.example'])(
    'HOST_REFUSED: %s is no host of this server, even with a good credential',
    async (host) => {
      const answer = await world.ask('/api/tasks', { headers: { host } });
      expect(answer).toMatchObject({ status: 421, errorCode: 'HOST_REFUSED' });
      expect((await world.ask('/livez', { headers: { host } })).status).toBe(421);
    },
  );

  it('may be any name of loopback with the port, and those that were allowed', async () => {
    for (const name of ['127.0.0.1', 'localhost', 'LOCALHOST', '[::1]']) {
      const answer = await world.ask('/api/tasks', { headers: { host: `${name}:${world.admin.port}` } });
      expect([name, answer.status]).toEqual([name, 200]);
    }
    const other = await startAdminWorld({ allowedHosts: ['console.example'] });
    expect((await other.ask('/livez', { headers: { host: 'console.example' } })).status).toBe(200);
    await other.stop();
  });
});

describe('the path', () => {
  it.each([
    '//api/tasks',
    '/api//tasks',
    '/api/tasks/',
    '/api/../livez',
    '/livez/../api/tasks',
    '/api/./tasks',
    '/api/%74asks',
    '/api%2ftasks',
    '/api/tasks/%2e%2e/tokens',
    '/livez%00',
    '/api\\tasks',
    '/livez;x=1',
    'http://127.0.0.1/api/tasks',
    '*',
  ])('INVALID_ARGUMENT: %s is not the one spelling of an address', async (path) => {
    for (const token of [null, world.tokens.admin]) {
      const answer = await world.ask(path, { token });
      expect([token === null, answer.status, answer.errorCode]).toEqual([token === null, 400, 'INVALID_ARGUMENT']);
    }
  });

  it.each(['/api/tasks/livez', '/api/livez', '/api/tasks?x=/livez', '/readyzz', '/LIVEZ'])(
    'does not take %s for a health path',
    async (path) => {
      expect((await world.ask(path, { token: null })).errorCode).toBe('UNAUTHENTICATED');
    },
  );

  it('URL_TOO_LONG: a URL over 8 KiB is refused', async () => {
    const answer = await world.ask(`/api/tasks?taskIdPrefix=${'a'.repeat(9_000)}`);
    expect(answer).toMatchObject({ status: 414, errorCode: 'URL_TOO_LONG' });
  });
});

describe('the size and speed of a request', () => {
  it('PAYLOAD_TOO_LARGE: a body over 64 KiB is refused, announced or not, and nothing is done', async () => {
    const raw = JSON.stringify({ pipeline: 'card', input: 'x'.repeat(maximumBodyBytes) });
    expect(await world.ask('/api/tasks', { method: 'POST', raw })).toMatchObject({
      status: 413,
      errorCode: 'PAYLOAD_TOO_LARGE',
    });
    const chunked = { 'transfer-encoding': 'chunked', 'content-length': null };
    const unannounced = await world.ask('/api/tasks', { method: 'POST', raw, headers: chunked });
    expect(unannounced.errorCode).toBe('PAYLOAD_TOO_LARGE');
    expect(world.client.named('submit')).toEqual([]);
  });

  it('PAYLOAD_TOO_LARGE: a body of a gigabyte is refused by its announcement, before it is sent', async () => {
    const answer = await talkRaw(world.admin.port, (send) =>
      send(
        `POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:${world.admin.port}\r\nAuthorization: Bearer ${world.tokens.admin}\r\n` +
          'Content-Type: application/json\r\nX-Cabinet-Request: 1\r\nContent-Length: 1000000000\r\n\r\n{',
      ),
    );
    expect(answer).toContain('413 Payload Too Large');
  });

  it('MEDIA_TYPE_UNSUPPORTED: a compressed body is not unpacked', async () => {
    const raw = gzipSync(JSON.stringify(submit.body));
    const answer = await world.ask('/api/tasks', { method: 'POST', raw, headers: { 'content-encoding': 'gzip' } });
    expect(answer).toMatchObject({ status: 415, errorCode: 'MEDIA_TYPE_UNSUPPORTED' });
  });

  it('HEADERS_TOO_LARGE: more than 100 headers, or more than 16 KiB of them, are refused', async () => {
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, '1']));
    expect(await world.ask('/api/tasks', { headers: many })).toMatchObject({
      status: 431,
      errorCode: 'HEADERS_TOO_LARGE',
    });
    const large = await world.ask('/api/tasks', { headers: { 'x-large': 'a'.repeat(20_000) } });
    expect(large).toMatchObject({ status: 431, errorCode: 'HEADERS_TOO_LARGE' });
  });

  it('REQUEST_TIMEOUT: headers that never end cost the connection', async () => {
    const answer = await talkRaw(world.admin.port, (send) => send('GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: '));
    expect(answer).toContain('408 Request Timeout');
    expect(answer).toContain('REQUEST_TIMEOUT');
  });

  it('REQUEST_TIMEOUT: a body that never ends costs the connection', async () => {
    const answer = await talkRaw(world.admin.port, (send) =>
      send(
        `POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:${world.admin.port}\r\nAuthorization: Bearer ${world.tokens.admin}\r\n` +
          'Content-Type: application/json\r\nX-Cabinet-Request: 1\r\nContent-Length: 1000\r\n\r\n{"pipeline"',
      ),
    );
    expect(answer).toContain('408 Request Timeout');
    expect(world.client.named('submit')).toEqual([]);
  });

  it('answers others while slow ones hang', async () => {
    const slow = Array.from({ length: 50 }, () =>
      talkRaw(world.admin.port, (send) => send('GET /livez HTTP/1.1\r\nX: ')),
    );
    expect((await world.ask('/livez')).status).toBe(200);
    await Promise.all(slow);
  });

  it('INVALID_MESSAGE: what is not HTTP is told so', async () => {
    const answer = await talkRaw(world.admin.port, (send) => send('\u0016\u0003\u0001 hello\r\n\r\n'));
    expect(answer).toContain('400 Bad Request');
    expect(answer).toContain('INVALID_MESSAGE');
  });

  it('METHOD_NOT_ALLOWED: TRACE ends at the door, and a CONNECT or an upgrade gets no answer', async () => {
    expect(await world.ask('/livez', { method: 'TRACE' })).toMatchObject({
      status: 405,
      errorCode: 'METHOD_NOT_ALLOWED',
    });
    const host = `Host: 127.0.0.1:${world.admin.port}\r\n`;
    for (const head of [
      `CONNECT evil.example:80 HTTP/1.1\r\n${host}\r\n`,
      `GET /api/tasks HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ]) {
      expect(await talkRaw(world.admin.port, (send) => send(head))).toBe('');
    }
  });

  it('INVALID_ARGUMENT: a GET takes no body', async () => {
    expect(await world.ask('/api/tasks', { raw: '{}' })).toMatchObject({ status: 400, errorCode: 'INVALID_ARGUMENT' });
  });
});

describe('requests that a page of another origin could make', () => {
  it.each([
    ['a form post', { 'content-type': 'application/x-www-form-urlencoded' }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['JSON as text/plain', { 'content-type': 'text/plain' }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['JSON with another charset', { 'content-type': 'application/json; charset=utf-16' }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['no content type', { 'content-type': null }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['no custom header', { 'x-cabinet-request': null }, 'ORIGIN_REFUSED'],
    ['another value of the custom header', { 'x-cabinet-request': 'true' }, 'ORIGIN_REFUSED'],
    ['another origin', { origin: 'https://evil.example' }, 'ORIGIN_REFUSED'],
    ['the origin null', { origin: 'null' }, 'ORIGIN_REFUSED'],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }, 'ORIGIN_REFUSED'],
    ['a cross-site fetch', { 'sec-fetch-site': 'cross-site' }, 'ORIGIN_REFUSED'],
    ['a same-site fetch', { 'sec-fetch-site': 'same-site' }, 'ORIGIN_REFUSED'],
  ])('are refused for %s, and written down', async (_, headers, code) => {
    world.audit.entries.length = 0;
    const answer = await world.ask('/api/tasks', { ...submit, headers });
    expect(answer.errorCode).toBe(code);
    expect(world.client.named('submit')).toEqual([]);
    expect(world.audit.entries).toMatchObject([{ outcome: 'refused', code, principal: 'first-admin' }]);
  });

  it('are refused for a login too, so that nobody is logged in as somebody else', async () => {
    const body = { token: world.tokens.admin };
    const answer = await world.ask('/api/session', {
      method: 'POST',
      token: null,
      body,
      headers: { origin: 'https://evil.example' },
    });
    expect(answer.errorCode).toBe('ORIGIN_REFUSED');
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  it('are refused for reading too, when the browser tells that another site asks', async () => {
    const cross = await world.ask('/api/tasks', { headers: { 'sec-fetch-site': 'cross-site' } });
    expect(cross.errorCode).toBe('ORIGIN_REFUSED');
    const typed = await world.ask('/api/tasks', { headers: { 'sec-fetch-site': 'none' } });
    expect(typed.status).toBe(200);
  });

  it('pass from the server’s own page', async () => {
    const origin = `http://127.0.0.1:${world.admin.port}`;
    const answer = await world.ask('/api/tasks', { ...submit, headers: { origin, 'sec-fetch-site': 'same-origin' } });
    expect(answer.status).toBe(202);
  });

  it('get no CORS header, whatever they ask for', async () => {
    const preflight = await world.ask('/api/tasks', {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(405);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('every answer', () => {
  it('has the security headers and is not stored, also an error of the door', async () => {
    const answers = [
      await world.ask('/livez'),
      await world.ask('/api/tasks'),
      await world.ask('/api/nothing', { token: null }),
      await world.ask('/api/tasks', { headers: { host: 'evil.example' } }),
      await world.ask('/api/tasks', { headers: { 'x-large': 'a'.repeat(20_000) } }),
    ];
    for (const { headers, status } of answers) {
      for (const [name, value] of Object.entries(securityHeaders))
        expect([status, name, headers[name]]).toEqual([status, name, value]);
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('an error', () => {
  it('never gives back more than 120 characters of what was sent', async () => {
    const long = 'A'.repeat(5_000);
    const asks = [
      ['/api/tasks', { method: 'POST', body: { pipeline: long, input: {} } }],
      ['/api/tasks', { method: 'POST', body: { [long]: 1, pipeline: 'card', input: {} } }],
      ['/api/tasks', { method: 'POST', raw: `{"pipeline":"card","input":{"${long}":{"constructor":1}}}` }],
      ['/api/tasks', { method: 'POST', raw: `{"${long}":1,"${long}":2}` }],
      [`/api/tasks/${long}`, {}],
      [`/api/tasks?${long}=1`, {}],
      [`/api/tasks?cursor=${long}`, {}],
      ['/api/tasks', { method: 'POST', body: {}, headers: { 'content-type': `text/${long}` } }],
      ['/api/tasks', { headers: { host: long } }],
    ] as const;
    for (const [path, ask] of asks) {
      const { status, text } = await world.ask(path, ask);
      expect([path.slice(0, 30), status >= 400 && status < 500]).toEqual([path.slice(0, 30), true]);
      expect(text).not.toContain('A'.repeat(121));
    }
  });

  it('tells of a bug only that there is one: INTERNAL, with the stack in the log', async () => {
    world.client.answers['get'] = () => {
      throw new TypeError('secret-canary: cannot read properties of undefined');
    };
    const answer = await world.ask('/api/tasks/t-1');
    delete world.client.answers['get'];
    expect(answer).toMatchObject({ status: 500, errorCode: 'INTERNAL' });
    expect(answer.text).not.toContain('canary');
    const { requestId } = (answer.body as { readonly error: { readonly requestId: string } }).error;
    const line = world.logger.lines.find(({ fields }) => fields['requestId'] === requestId);
    expect(line).toMatchObject({ level: 'error', message: 'an admin request met a bug' });
    expect((line?.fields['err'] as Error | undefined)?.stack).toContain('secret-canary');
  });
});

/** A key and a certificate of this test's own. */
async function selfSigned(): Promise<{ key: Buffer; cert: Buffer }> {
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=console.example', '-days', '2', '-nodes'];
  await promisify(execFile)('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ]);
  const pair = { key: await readFile(key), cert: await readFile(cert) };
  await rm(folder, { recursive: true });
  return pair;
}
