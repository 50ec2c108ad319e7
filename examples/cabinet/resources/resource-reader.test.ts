import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { answeringServers } from '../testing/answering-server.ts';
import { temporaryFolders } from '../testing/temporary-folder.ts';
import { isPrivateAddress } from './address-guard.ts';
import { createResourceReader } from './resource-reader.ts';
import { parseRetryAfterMs } from './retry-after.ts';

const newFolder = temporaryFolders();
const startServer = answeringServers();

function request(url: string, options: { maximumBytes?: number; signal?: AbortSignal } = {}) {
  return { url, kind: 'page', maximumBytes: 1_000, signal: new AbortController().signal, ...options } as const;
}

/** A port that nobody listens on: fetch refuses low ones before it tries. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

function webReader() {
  return createResourceReader({ pagesDir: '/nowhere', allowPrivateHosts: true });
}

describe('a file: resource', () => {
  it('is read inside the pages folder only, also through ..%2f and symbolic links', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, 'pages/sub'), { recursive: true });
    await writeFile(join(folder, 'pages/sub/a b.html'), 'inside');
    await writeFile(join(folder, 'secret.html'), 'outside');
    await symlink(join(folder, 'secret.html'), join(folder, 'pages/link.html'));
    const reader = createResourceReader({ pagesDir: join(folder, 'pages') });
    const { bytes } = await reader.read(request('file:sub/a%20b.html'));
    expect(Buffer.from(bytes).toString()).toBe('inside');
    expect(reader.hasFile(new URL('file:///sub/a%20b.html'))).toBe(true);
    for (const url of [
      'file:link.html',
      'file:..%2fsecret.html',
      'file:sub/..%2f..%2f..%2fsecret.html',
      'file:a%00b',
    ]) {
      await expect(reader.read(request(url)), url).rejects.toMatchObject({ code: 'SOURCE_NOT_ALLOWED' });
      expect(reader.hasFile(new URL(url)), url).toBe(false);
    }
    await expect(reader.read(request('file://host/a.html'))).rejects.toMatchObject({ code: 'SOURCE_NOT_ALLOWED' });
    await expect(reader.read(request('file:../secret.html'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('fails with FatalError NOT_FOUND for a folder and a missing file, and PAGE_TOO_LARGE over the bound', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'big.html'), 'x'.repeat(1_001));
    const reader = createResourceReader({ pagesDir: folder });
    await expect(reader.read(request('file:sub'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(reader.read(request('file:none.html'))).rejects.toBeInstanceOf(FatalError);
    await expect(reader.read(request('file:big.html'))).rejects.toMatchObject({ code: 'PAGE_TOO_LARGE' });
  });

  it.each(['ftp://a.example/x', 'data:text/html,x', 'javascript:1', 'x.html', ''])('is not %j', async (url) => {
    await expect(webReader().read(request(url))).rejects.toMatchObject({ code: 'SOURCE_NOT_ALLOWED' });
  });
});

describe('an http resource', () => {
  it.each([
    [500, RetryableError, 'HTTP_500'],
    [503, RetryableError, 'HTTP_503'],
    [408, RetryableError, 'HTTP_408'],
    [429, RateLimitedError, 'HTTP_429'],
    [404, FatalError, 'HTTP_404'],
    [410, FatalError, 'HTTP_410'],
    [403, FatalError, 'HTTP_403'],
    [304, FatalError, 'HTTP_304'],
  ])('that answers %i fails with the right class', async (status, type, code) => {
    const url = await startServer((_, response) => {
      response.writeHead(status, { 'retry-after': '7' }).end();
    });
    const failure = await webReader()
      .read(request(url))
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(type);
    expect(failure).toMatchObject({ code, ...(status === 429 ? { retryAfterMs: 7_000 } : {}) });
  });

  it('that nobody serves, and one that breaks off, fail with RetryableError and the network code', async () => {
    const cutting = await startServer((_, response) => {
      response.writeHead(200, { 'content-length': '500' }).write('half');
      setImmediate(() => response.destroy());
    });
    await expect(webReader().read(request(cutting))).rejects.toBeInstanceOf(RetryableError);
    const port = await freePort();
    await expect(webReader().read(request(`http://127.0.0.1:${port}/`))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('is read no further than the bound, announced, chunked or compressed', async () => {
    const announced = await startServer((_, response) => response.end('x'.repeat(1_001)));
    const chunked = await startServer((_, response) => {
      response.write('x'.repeat(900));
      response.end('x'.repeat(900));
    });
    const compressed = await startServer((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(500_000)));
    });
    for (const url of [announced, chunked, compressed]) {
      await expect(webReader().read(request(url)), url).rejects.toMatchObject({ code: 'PAGE_TOO_LARGE' });
    }
  });

  it('follows redirects, but not without end and not to a file', async () => {
    const url = await startServer((incoming, response) => {
      const targets: Record<string, string> = { '/once': '/end', '/loop': '/loop', '/file': 'file:///etc/passwd' };
      const location = targets[incoming.url ?? ''];
      if (location === undefined) response.writeHead(200, { 'content-type': 'text/html' }).end('there');
      else response.writeHead(302, { location }).end();
    });
    const found = await webReader().read(request(`${url}/once`));
    expect(found).toMatchObject({ url: `${url}/end`, contentType: 'text/html' });
    await expect(webReader().read(request(`${url}/loop`))).rejects.toMatchObject({ code: 'TOO_MANY_REDIRECTS' });
    await expect(webReader().read(request(`${url}/file`))).rejects.toMatchObject({ code: 'SOURCE_NOT_ALLOWED' });
  });

  it('on a private host is refused unless that is allowed', async () => {
    const guarded = createResourceReader({ pagesDir: '/nowhere' });
    for (const url of [
      'http://127.0.0.1:1/',
      'http://localhost:1/',
      'http://[::1]:1/',
      'http://169.254.169.254/latest',
    ]) {
      await expect(guarded.read(request(url)), url).rejects.toMatchObject({ code: 'SOURCE_NOT_ALLOWED' });
    }
    expect(
      ['10.1.2.3', '172.31.0.1', '192.168.1.1', '::ffff:127.0.0.1', 'fd00::1', 'fe80::1', 'x'].filter(
        (each) => !isPrivateAddress(each),
      ),
    ).toEqual([]);
    expect(['1.1.1.1', '172.32.0.1', '2606:4700::1111'].filter((each) => isPrivateAddress(each))).toEqual([]);
  });

  it('gives up with the reason of the signal', async () => {
    const controller = new AbortController();
    const url = await startServer(() => controller.abort(new Error('the lease was lost')));
    await expect(webReader().read(request(url, { signal: controller.signal }))).rejects.toThrow('the lease was lost');
  });
});

describe('parseRetryAfterMs', () => {
  const now = Date.parse('2026-05-01T12:00:00Z');

  it.each([
    ['3', 3_000],
    ['0', 0],
    ['Fri, 01 May 2026 12:00:30 GMT', 30_000],
    ['Fri, 01 May 2026 11:00:00 GMT', 0],
    ['999999999', 3_600_000],
    ['soon', 1_000],
    ['', 1_000],
    [null, 1_000],
  ])('reads %j as %i ms', (header, waitMs) => {
    expect(parseRetryAfterMs(header, now)).toBe(waitMs);
  });
});
