import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import {
  openHealthServer,
  type HealthMetrics,
  type HealthServer,
  type HealthServerOptions,
} from '../../../src/platform/health-server.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { talkRaw } from '../../support/admin-kit.ts';

const token = 'a'.repeat(64);
const numbers: HealthMetrics = { token, text: async () => '# HELP up Up\nup 1\n' };

const open: HealthServer[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

interface World {
  readonly server: HealthServer;
  readonly state: { live: boolean; ready: boolean; started: boolean };
  readonly logger: MemoryLogger;
}

async function start(options: Partial<HealthServerOptions> = {}): Promise<World> {
  const state = { live: true, ready: true, started: true };
  const logger = new MemoryLogger();
  const server = await openHealthServer({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    probe: { isLive: () => state.live, isReady: () => state.ready, hasStarted: () => state.started },
    metrics: null,
    logger,
    ...options,
  });
  open.push(server);
  return { server, state, logger };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function ask(
  { server }: World,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {} } = options;
    const sent = request({ host: '127.0.0.1', port: server.port, path, method, headers, agent: false }, (message) => {
      let text = '';
      message.setEncoding('utf8').on('data', (part: string) => (text += part));
      message.on('end', () => resolve({ status: message.statusCode ?? 0, text, headers: message.headers }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the health paths', () => {
  it('tell yes and no and nothing else, to GET and HEAD', async () => {
    const world = await start();
    for (const path of ['/livez', '/readyz', '/startupz']) {
      expect(await ask(world, path)).toMatchObject({ status: 200, text: '{"ok":true}' });
      expect(await ask(world, path, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    }
    Object.assign(world.state, { live: false, ready: false, started: false });
    for (const path of ['/livez', '/readyz', '/startupz']) {
      expect(await ask(world, path)).toMatchObject({ status: 503, text: '{"ok":false}' });
    }
  });

  it('do not call a process ready that has not started, or will never serve again', async () => {
    const world = await start();
    world.state.started = false;
    expect((await ask(world, '/readyz')).status).toBe(503);
    expect((await ask(world, '/livez')).status).toBe(200);
    Object.assign(world.state, { started: true, live: false });
    expect((await ask(world, '/readyz')).status).toBe(503);
  });

  it.each(['/', '/livez/', '/x/livez', '/livez?a=1', '//livez', '/%6Civez', '/LIVEZ', '/metrics', '/api/health'])(
    'are exact: there is nothing at %s',
    async (path) => {
      expect(await ask(await start(), path)).toMatchObject({ status: 404 });
    },
  );

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])('take no %s', async (method) => {
    const answer = await ask(await start(), '/livez', { method });
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });

  it('keep no connection open, and are kept by nobody', async () => {
    const { headers } = await ask(await start(), '/livez');
    expect(headers).toMatchObject({ connection: 'close', 'cache-control': 'no-store' });
  });

  it('end headers over 8 KiB, and what is no HTTP, with 400', async () => {
    const world = await start();
    const padding = 'x'.repeat(9 * 1024);
    const large = await talkRaw(world.server.port, (send) => send(`GET /livez HTTP/1.1\r\nx: ${padding}\r\n\r\n`));
    expect(large).toMatch(/^HTTP\/1\.1 400 /);
    expect(await talkRaw(world.server.port, (send) => send('HELO there\r\n\r\n'))).toMatch(/^HTTP\/1\.1 400 /);
    expect((await ask(world, '/livez')).status).toBe(200);
  });

  it('answer a body that is announced without waiting for it', async () => {
    const world = await start();
    const answer = await talkRaw(world.server.port, (send) =>
      send('GET /livez HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('end upgrades and tunnels without a word', async () => {
    const { server } = await start();
    const upgrade = 'GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';
    expect(await talkRaw(server.port, (send) => send(upgrade))).toBe('');
    expect(await talkRaw(server.port, (send) => send('CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n'))).toBe('');
  });

  it('say which port cannot be had: CONFIG_INVALID', async () => {
    const { server } = await start();
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: 'CONFIG_INVALID', field: 'health.port' });
  });
});

describe('/metrics', () => {
  it('is told to whoever has the token', async () => {
    const answer = await ask(await start({ metrics: numbers }), '/metrics', {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer).toMatchObject({ status: 200, text: '# HELP up Up\nup 1\n' });
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  });

  it.each([
    ['no credential', undefined],
    ['another token', `Bearer ${'b'.repeat(64)}`],
    ['the beginning of the token', `Bearer ${'a'.repeat(63)}`],
    ['more than the token', `Bearer ${'a'.repeat(65)}`],
    ['another scheme', `Basic ${token}`],
    ['the token alone', token],
  ])('is refused to %s', async (_what, authorization) => {
    const answer = await ask(await start({ metrics: numbers }), '/metrics', {
      headers: authorization === undefined ? {} : { authorization },
    });
    expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
    expect(answer.text).not.toContain('up 1');
  });

  it.each([
    ['127.0.0.1:1', 200],
    ['10.1.2.3:8081', 200],
    ['[::1]:8081', 200],
    ['localhost', 200],
    ['node-1:8081', 200],
    ['evil.example:8081', 403],
    ['127.0.0.1.evil.example', 403],
    ['a.b', 403],
  ])('asked of the host %s is answered with %d: a name of a stranger may point here', async (host, status) => {
    const headers = { host, authorization: `Bearer ${token}` };
    expect((await ask(await start({ metrics: numbers }), '/metrics', { headers })).status).toBe(status);
  });

  it('that cannot be told is a 500 without the reason, which is logged', async () => {
    const world = await start({
      metrics: {
        token,
        text: async () => {
          throw new Error('no numbers today');
        },
      },
    });
    const answer = await ask(world, '/metrics', { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('today');
    expect(JSON.stringify(world.logger.messages())).toContain('could not be told');
  });
});
