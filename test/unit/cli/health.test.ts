import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openHealth, type ProcessHealth } from '../../../src/cli/health.ts';
import type { EngineError } from '../../../src/core/errors.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';

let folder: string;
let tokenFile: string;
let tls: { readonly tlsKeyFile: string; readonly tlsCertFile: string };
const open: ProcessHealth[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-health-'));
  tokenFile = join(folder, 'token');
  await writeFile(tokenFile, `${'a'.repeat(64)}\n`);
  tls = { tlsKeyFile: join(folder, 'key.pem'), tlsCertFile: join(folder, 'cert.pem') };
  const { tlsKeyFile, tlsCertFile } = tls;
  const request = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node'.split(' ');
  await promisify(execFile)('openssl', [...request, '-keyout', tlsKeyFile, '-out', tlsCertFile]);
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((health) => health.close()));
});

afterAll(() => rm(folder, { recursive: true }));

async function start(
  settings: Parameters<typeof openHealth>[0],
): Promise<{ readonly health: ProcessHealth; readonly port: number }> {
  const logger = new MemoryLogger();
  const health = await openHealth(settings, { logger, metrics: async () => 'up 1\n' });
  open.push(health);
  const told = logger.lines.find(({ message }) => message === 'health is told');
  return { health, port: Number(told?.fields['port']) };
}

function ask(port: number, path: string, options: { readonly isTls?: boolean; readonly token?: string } = {}) {
  const { isTls = false, token } = options;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const call = { host: '127.0.0.1', port, path, agent: false, headers, rejectUnauthorized: false } as const;
  return new Promise<number>((resolve, reject) => {
    const sent = (isTls ? httpsRequest : httpRequest)(call, (message) => {
      message.resume();
      message.on('end', () => resolve(message.statusCode ?? 0));
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function statuses(port: number): Promise<readonly number[]> {
  return [await ask(port, '/startupz'), await ask(port, '/livez'), await ask(port, '/readyz')];
}

describe('the health of a process', () => {
  it('goes from alive, over ready, to not ready and still alive while it drains', async () => {
    const { health, port } = await start({ port: 0 });
    expect(await statuses(port)).toEqual([503, 200, 503]);
    const subject = { isReady: false, isLive: true };
    health.serves(subject);
    expect(await statuses(port)).toEqual([200, 200, 503]);
    subject.isReady = true;
    expect(await statuses(port)).toEqual([200, 200, 200]);
    health.ends();
    subject.isLive = false; // Its connections are closed at the end of the drain.
    expect(await statuses(port)).toEqual([200, 200, 503]);
  });

  it('is not alive when its connection is closed for good', async () => {
    const { health, port } = await start({ port: 0 });
    health.serves({ isReady: true, isLive: false });
    expect(await statuses(port)).toEqual([200, 503, 503]);
  });

  it('is told to nobody when no port is named', async () => {
    const logger = new MemoryLogger();
    const health = await openHealth({}, { logger, metrics: async () => '' });
    health.serves({ isReady: true, isLive: true });
    health.ends();
    await health.close();
    expect(logger.lines).toEqual([]);
  });

  it('may be told on any address, for it is yes or no; metrics there need TLS: CONFIG_INVALID', async () => {
    const { health, port } = await start({ port: 0, host: '0.0.0.0' });
    health.serves({ isReady: true, isLive: true });
    expect(await ask(port, '/readyz')).toBe(200);
    expect(await ask(port, '/metrics', { token: 'a'.repeat(64) })).toBe(404);
    await expect(start({ port: 0, host: '0.0.0.0', metricsTokenFile: tokenFile })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'health.metricsTokenFile',
    });
    const secure = await start({ port: 0, host: '0.0.0.0', metricsTokenFile: tokenFile, ...tls });
    expect(await ask(secure.port, '/metrics', { isTls: true, token: 'a'.repeat(64) })).toBe(200);
    expect(await ask(secure.port, '/metrics', { isTls: true })).toBe(401);
    expect(await ask(secure.port, '/livez', { isTls: true })).toBe(200);
  });

  it('is served with metrics on loopback to whoever has the token', async () => {
    const { port } = await start({ port: 0, metricsTokenFile: tokenFile });
    expect(await ask(port, '/metrics')).toBe(401);
    expect(await ask(port, '/metrics', { token: 'a'.repeat(64) })).toBe(200);
  });

  it.each([
    ['a host without a port', () => ({ host: '0.0.0.0' }), 'health.port'],
    ['a token without a port', () => ({ metricsTokenFile: tokenFile }), 'health.port'],
    ['a key without a certificate', () => ({ port: 0, tlsKeyFile: tls.tlsKeyFile }), 'health.tlsCertFile'],
    ['a certificate without a key', () => ({ port: 0, tlsCertFile: tls.tlsCertFile }), 'health.tlsKeyFile'],
    [
      'a token file that is not there',
      () => ({ port: 0, metricsTokenFile: join(folder, 'none') }),
      'health.metricsTokenFile',
    ],
    ['a key that is not there', () => ({ port: 0, ...tls, tlsKeyFile: join(folder, 'none') }), 'health.tlsKeyFile'],
  ])('is refused with %s: CONFIG_INVALID', async (_what, settings, field) => {
    await expect(start(settings())).rejects.toMatchObject({ code: 'CONFIG_INVALID', field });
  });

  it.each(['', 'short', 'a'.repeat(31), `${'a'.repeat(32)} ${'b'.repeat(32)}`, 'a'.repeat(513)])(
    'takes no token that can be guessed or sent by nobody: CONFIG_INVALID (%#)',
    async (text) => {
      const file = join(folder, 'weak');
      await writeFile(file, text);
      const refused = await start({ port: 0, metricsTokenFile: file }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'CONFIG_INVALID', field: 'health.metricsTokenFile' });
      if (text !== '') expect(JSON.stringify((refused as EngineError).toReport())).not.toContain(text);
    },
  );
});
