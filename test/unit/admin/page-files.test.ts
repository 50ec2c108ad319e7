import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askServer, startAdminWorld, type AdminAnswer, type AdminWorld } from '../../support/admin-kit.ts';

const script = `console.log(${JSON.stringify('a page '.repeat(200))})`;

describe("the console's page on the admin server", () => {
  let folder: string;
  let world: AdminWorld;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cabinet-page-'));
    await mkdir(join(folder, 'assets'));
    await writeFile(join(folder, 'index.html'), '<!doctype html><title>page</title>');
    await writeFile(join(folder, 'assets/index-AbCd1_-9.js'), script);
    await writeFile(join(folder, 'assets/notes.txt'), 'not of the page');
    world = await startAdminWorld({ pageFolders: [join(folder, 'none'), folder] });
  });

  afterAll(async () => {
    await world.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const stranger = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<AdminAnswer> =>
    askServer(world.admin.port, path, { token: null, headers, method });

  it.each([
    '/',
    '/login',
    '/tasks',
    '/tasks/t-1',
    '/pipelines/card',
    '/dead-letters',
    '/bulk',
    '/cluster',
    '/audit',
    '/tokens',
  ])('answers %s with the HTML file, to be asked for each time, under the security headers', async (path) => {
    const answer = await stranger(path);
    expect(answer).toMatchObject({ status: 200, text: '<!doctype html><title>page</title>' });
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-security-policy']).toContain("script-src 'self'");
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
  });

  it('lets a browser keep a file whose name has a hash, and answers 304 for what it has', async () => {
    const answer = await stranger('/assets/index-AbCd1_-9.js');
    expect(answer).toMatchObject({ status: 200, text: script });
    expect(answer.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const again = await stranger('/assets/index-AbCd1_-9.js', { 'if-none-match': String(answer.headers['etag']) });
    expect(again).toMatchObject({ status: 304, text: '' });
  });

  it('sends it smaller to a browser that takes gzip, and not to one that refuses it', async () => {
    const small = await stranger('/assets/index-AbCd1_-9.js', { 'accept-encoding': 'br, gzip' });
    expect(small.headers['content-encoding']).toBe('gzip');
    expect(Number(small.headers['content-length'] ?? small.text.length)).toBeLessThan(script.length);
    const plain = await stranger('/assets/index-AbCd1_-9.js', { 'accept-encoding': 'gzip;q=0' });
    expect(plain.headers['content-encoding']).toBeUndefined();
  });

  it.each(['/assets/none.js', '/assets/notes.txt', '/assets', '/index.htm', '/tasks/t-1/more', '/package.json'])(
    'has nothing at %s: UNAUTHENTICATED for a stranger, NOT_FOUND for who may know',
    async (path) => {
      expect(await stranger(path)).toMatchObject({ status: 401, errorCode: 'UNAUTHENTICATED' });
      expect(await world.ask(path)).toMatchObject({ status: 404, errorCode: 'NOT_FOUND' });
    },
  );

  it('gives no data and takes no mutation without a credential', async () => {
    expect(await stranger('/api/tasks')).toMatchObject({ status: 401 });
    expect(await stranger('/tasks', { 'content-type': 'application/json' }, 'POST')).toMatchObject({ status: 401 });
  });

  it('says how to build it where it was not built, and serves the API all the same', async () => {
    const bare = await startAdminWorld({ pageFolders: [join(folder, 'none')] });
    try {
      const answer = await askServer(bare.admin.port, '/', { token: null });
      expect(answer).toMatchObject({ status: 503 });
      expect(answer.text).toContain('npm run build');
      expect(await bare.ask('/api/session')).toMatchObject({ status: 200 });
    } finally {
      await bare.stop();
    }
  });
});
