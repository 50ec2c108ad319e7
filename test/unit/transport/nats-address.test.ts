import { describe, expect, it } from 'vitest';

import { parseNatsUrls, shownNatsUrl } from '../../../src/transport/nats-address.ts';

describe('NATS server URLs', () => {
  it('are taken apart into addresses and credentials', () => {
    expect(parseNatsUrls('nats://127.0.0.1:4222')).toEqual({
      servers: ['127.0.0.1:4222'],
      credentials: { kind: 'none' },
    });
    expect(parseNatsUrls('nats://user:p%40ss@host:4222')).toEqual({
      servers: ['host:4222'],
      credentials: { kind: 'user', user: 'user', pass: 'p@ss' },
    });
    expect(parseNatsUrls('nats://t0ken@host').credentials).toEqual({ kind: 'token', token: 't0ken' });
  });

  it('may be several, in a list or with commas between, with or without a scheme', () => {
    expect(parseNatsUrls(' a:1, nats://b:2 ,').servers).toEqual(['a:1', 'b:2']);
    expect(parseNatsUrls(['a:1,b:2', 'tls://c:3']).servers).toEqual(['a:1', 'b:2', 'tls://c:3']);
    expect(parseNatsUrls('nats://[::1]:4222').servers).toEqual(['[::1]:4222']);
  });

  it.each([
    ['nats://user:hush@host:4222', 'nats://host:4222'],
    ['hush@host:4222,other:1', 'nats://host:4222'],
    ['tls://user:p@hush@host', 'tls://host'],
    [['host:1', 'nats://user:hush@other:2'], 'nats://host:1'],
  ] as const)('of %j the first is shown without credentials', (urls, shown) => {
    expect(shownNatsUrl(urls)).toBe(shown);
  });

  it.each(['', ' , ', 'http://host:1', 'nats://', 'nats://user:hush@:port', 'nats://user:hush@host:99999'])(
    'are refused with CONFIG_INVALID when they are like %j, and never echoed',
    (url) => {
      expect(() => parseNatsUrls(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', field: 'servers' }));
      expect(() => parseNatsUrls(url)).not.toThrow(/hush/);
    },
  );
});
