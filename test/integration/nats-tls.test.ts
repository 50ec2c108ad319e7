import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { nkeys } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { connectClient } from '../../src/client.ts';
import { EngineError } from '../../src/core/errors.ts';
import { startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { connectNats, linkDefaults, type NatsLinkOptions } from '../../src/transport/nats-connection.ts';
import { CertificateAuthority, type CertificateContents } from '../support/certificates.ts';
import { until } from '../support/cli.ts';
import { credentialsText, JwtAuthority } from '../support/nats-jwt.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';

const clock = new SystemClock();
const connectTimeoutMs = 1_000;
/** One dial may be under way when the time of the first connection is over. */
const mostMs = connectTimeoutMs + linkDefaults.dialTimeoutMs + 1_000;

const fixtures: NatsFixture[] = [];
let authority: CertificateAuthority;
let other: CertificateAuthority;

beforeAll(async () => {
  authority = await CertificateAuthority.create();
  other = await CertificateAuthority.create('another authority');
});

afterAll(async () => {
  await Promise.all(fixtures.map((fixture) => fixture.stop()));
  await Promise.all([authority, other].map((one) => one.remove()));
});

async function startServer(extraConfig: string, jetStream = false): Promise<NatsFixture> {
  const fixture = await startNats({ provider: 'binary', jetStream, extraConfig });
  fixtures.push(fixture);
  return fixture;
}

async function startTls(contents: CertificateContents, more = '', jetStream = false): Promise<NatsFixture> {
  const { keyFile, certFile } = await authority.issue(contents);
  const files = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${authority.caFile}"`;
  return startServer(`tls { ${files}${more} }`, jetStream);
}

/** What a connection comes to: `ok` after a word of the server, or the error; never later than is allowed. */
async function outcomeOf(
  options: Pick<NatsLinkOptions, 'servers'> & Partial<NatsLinkOptions>,
): Promise<'ok' | EngineError> {
  const logger = new MemoryLogger();
  const startedMs = performance.now();
  try {
    const link = await connectNats({ name: 'test', clock, logger, connectTimeoutMs, ...options });
    await link.connection.flush();
    await link.close();
    return 'ok';
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(EngineError);
    return thrown as EngineError;
  } finally {
    expect(performance.now() - startedMs).toBeLessThan(mostMs);
  }
}

const byName = (fixture: NatsFixture): string => fixture.url.replace('127.0.0.1', 'localhost');

describe('row 98: TLS to NATS', () => {
  it('a server is believed by its address, its name, or both, when its certificate is of the named authority', async () => {
    const tls = { caFile: authority.caFile };
    const both = await startTls({ names: ['IP:127.0.0.1', 'DNS:localhost'] });
    const address = await startTls({ names: ['IP:127.0.0.1'] });
    const name = await startTls({ names: ['DNS:localhost'] });
    for (const servers of [both.url, byName(both), address.url, byName(name), both.url.replace('nats:', 'tls:')]) {
      expect([servers, await outcomeOf({ servers, tls })]).toEqual([servers, 'ok']);
    }
    // Neither is one that is only near: Node itself would take the address for localhost.
    expect(await outcomeOf({ servers: name.url, tls })).toMatchObject({
      code: 'TLS_ERROR',
      message: expect.stringMatching(/ERR_TLS_CERT_ALTNAME_INVALID.*IP: 127\.0\.0\.1/) as string,
    });
    expect(await outcomeOf({ servers: byName(address), tls })).toMatchObject({
      code: 'TLS_ERROR',
      message: expect.stringMatching(/ERR_TLS_CERT_ALTNAME_INVALID.*localhost/) as string,
    });
  });

  it.each<[string, CertificateContents, () => NatsLinkOptions['tls'], RegExp]>([
    [
      'of another authority',
      { names: ['IP:127.0.0.1'] },
      () => ({ caFile: other.caFile }),
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/,
    ],
    [
      'of an authority that nobody named',
      { names: ['IP:127.0.0.1'] },
      () => ({}),
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/,
    ],
    [
      'for another host',
      { names: ['DNS:nats.example'] },
      () => ({ caFile: authority.caFile }),
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    ],
    [
      'that has expired',
      { names: ['IP:127.0.0.1'], days: 0 },
      () => ({ caFile: authority.caFile }),
      /CERT_HAS_EXPIRED/,
    ],
  ])(
    'TLS_ERROR: a certificate %s is refused at once, with its reason and what to mend',
    async (_name, contents, tls, says) => {
      const { url } = await startTls(contents);
      const startedMs = performance.now();
      const error = await outcomeOf({ servers: url, tls: tls(), token: 'hunter2' });
      expect(error).toMatchObject({
        code: 'TLS_ERROR',
        message: expect.stringMatching(says) as string,
        hint: expect.stringContaining('nats.tls') as string,
        retryable: false,
      });
      expect(String(error)).not.toContain('hunter2');
      // Another try cannot end otherwise.
      expect(performance.now() - startedMs).toBeLessThan(connectTimeoutMs);
    },
  );

  it('TLS_ERROR: a client without TLS settings is told by the server that TLS is needed, and takes no stranger for it', async () => {
    const { url } = await startTls({ names: ['IP:127.0.0.1', 'DNS:localhost'] });
    expect(await outcomeOf({ servers: url })).toMatchObject({ code: 'TLS_ERROR' });
  });

  it.each([
    ['by nats.tls', (url: string) => ({ servers: url, tls: { caFile: authority.caFile } })],
    ['by its URL', (url: string) => ({ servers: url.replace('nats:', 'tls:') })],
  ])(
    'TLS_ERROR: a server that speaks none, where TLS was asked for %s, is not spoken to in the clear',
    async (_name, optionsOf) => {
      const { url } = await startServer('');
      expect(await outcomeOf(optionsOf(url))).toMatchObject({
        code: 'TLS_ERROR',
        message: expect.stringContaining("server does not support 'tls'") as string,
      });
      // And one that only listens hears not a byte, the token least of all.
      const heard: Buffer[] = [];
      const eavesdropper = createServer((socket) => {
        socket.on('data', (bytes) => heard.push(bytes));
        socket.on('error', () => undefined);
        socket.write('INFO {"server_id":"E","version":"2.15.1","proto":1,"headers":true,"max_payload":1048576}\r\n');
      });
      await new Promise<void>((resolve) => void eavesdropper.listen(0, '127.0.0.1', resolve));
      const { port } = eavesdropper.address() as AddressInfo;
      const error = await outcomeOf({ ...optionsOf(`nats://127.0.0.1:${port}`), token: 'hunter2' });
      expect(error).toMatchObject({ code: 'TLS_ERROR' });
      expect(Buffer.concat(heard).toString()).toBe('');
      await new Promise((resolve) => void eavesdropper.close(resolve));
    },
  );

  it('NATS_UNREACHABLE: a server that stops in the middle of the handshake is given up', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.write('INFO {"server_id":"S","version":"2.15.1","proto":1,"tls_required":true,"max_payload":1048576}\r\n');
    });
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    expect(await outcomeOf({ servers: `nats://127.0.0.1:${port}`, tls: { caFile: authority.caFile } })).toMatchObject({
      code: 'NATS_UNREACHABLE',
    });
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => void silent.close(resolve));
  });

  it('a server that asks for a certificate takes the one of the client; NATS_UNREACHABLE without one, or with a stranger’s', async () => {
    const { url } = await startTls({ names: ['IP:127.0.0.1'] }, ', verify: true');
    const own = await authority.issue({ names: ['DNS:node'] });
    const strange = await other.issue({ names: ['DNS:node'] });
    expect(await outcomeOf({ servers: url, tls: { caFile: authority.caFile, ...own } })).toBe('ok');
    for (const files of [{}, strange]) {
      expect(await outcomeOf({ servers: url, tls: { caFile: authority.caFile, ...files } })).toMatchObject({
        code: expect.stringMatching(/^(?:NATS_UNREACHABLE|TLS_ERROR)$/) as string,
      });
    }
  });

  it('a handshake before the first word is made where it is asked for', async () => {
    const { url } = await startTls({ names: ['IP:127.0.0.1'] }, ', handshake_first: true');
    expect(await outcomeOf({ servers: url, tls: { caFile: authority.caFile, handshakeFirst: true } })).toBe('ok');
    expect(await outcomeOf({ servers: url, tls: { caFile: authority.caFile } })).toMatchObject({
      code: 'NATS_UNREACHABLE',
    });
  });

  it('of several servers one that cannot be trusted is passed over', async () => {
    const strange = await startTls({ names: ['DNS:nats.example'] });
    const good = await startTls({ names: ['IP:127.0.0.1'] });
    expect(await outcomeOf({ servers: [strange.url, good.url], tls: { caFile: authority.caFile } })).toBe('ok');
    expect(await outcomeOf({ servers: [strange.url], tls: { caFile: authority.caFile } })).toMatchObject({
      code: 'TLS_ERROR',
    });
  });

  it.each<[string, string, () => Promise<NatsLinkOptions['tls']>, RegExp]>([
    [
      'tls.caFile',
      'an authority that is not there',
      async () => ({ caFile: '/nowhere/ca.pem' }),
      /cannot be read: ENOENT/,
    ],
    ['tls.caFile', 'an authority that is none', async () => ({ caFile: await junk() }), /holds no certificate/],
    ['tls.caFile', 'a folder', async () => ({ caFile: authority.folder }), /cannot be read: EISDIR/],
    [
      'tls.certFile',
      'a certificate that is none',
      async () => ({ certFile: await junk(), keyFile: await junk() }),
      /holds no certificate/,
    ],
    [
      'tls.keyFile',
      'a key that is none',
      async () => ({ certFile: authority.caFile, keyFile: await junk() }),
      /holds no private key/,
    ],
    [
      'tls.keyFile',
      'the key of another',
      async () => ({ ...(await authority.issue({ names: ['DNS:a'] })), certFile: authority.caFile }),
      /is the key of another certificate/,
    ],
    ['tls.keyFile', 'a certificate alone', async () => ({ certFile: authority.caFile }), /belong together/],
    ['tls.certFile', 'a key alone', async () => ({ keyFile: authority.caFile }), /belong together/],
  ])('CONFIG_INVALID: %s: %s is refused before a server is asked', async (field, _name, tls, says) => {
    const error = await outcomeOf({ servers: 'nats://127.0.0.1:9', tls: await tls() });
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', field, message: expect.stringMatching(says) as string });
  });

  it('a node and a client work over TLS, and over a restart of the server', async () => {
    const pipeline = definePipeline({
      name: 'greet',
      version: 1,
      input: z.object({ name: z.string() }),
      stages: (stages) =>
        stages.stage('hello', {
          output: z.string(),
          driver: ({ input }) => `hello ${input.name}`,
          retry: { maxAttempts: 2 },
          timeoutMs: 5_000,
        }),
    });
    const server = await startTls({ names: ['IP:127.0.0.1'] }, '', true);
    const link = { servers: server.url, tls: { caFile: authority.caFile } };
    const node = await startNode({
      pipelines: [pipeline],
      nodeId: 'n-1',
      config: { shardCount: 2 },
      nats: link,
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
    const client = await connectClient({ ...link, deadlineMs: 20_000 });
    try {
      await client.submit(pipeline, { name: 'you' }, { taskId: 'before' });
      expect(await client.result(pipeline, 'before', { timeoutMs: 10_000 })).toEqual({ hello: 'hello you' });
      await server.restart();
      await until('the node is back', () => node.isReady);
      await client.submit(pipeline, { name: 'again' }, { taskId: 'after' });
      expect(await client.result(pipeline, 'after', { timeoutMs: 20_000 })).toEqual({ hello: 'hello again' });
    } finally {
      await client.close();
      await node.stop({ graceMs: 1_000 });
    }
  });

  async function junk(): Promise<string> {
    const file = join(authority.folder, 'junk.pem');
    await writeFile(file, '-----BEGIN JUNK-----\nhunter2\n-----END JUNK-----\n');
    return file;
  }
});

describe('keys and credentials for NATS', () => {
  const decoder = new TextDecoder();
  const seedOf = (pair: ReturnType<typeof nkeys.createUser>): string => decoder.decode(pair.getSeed());

  const otherLetter = (letter: string): string => (letter === 'A' ? 'B' : 'A');

  it('an NKey that the server knows is let in; BUS_FORBIDDEN for another one, for none, and at once', async () => {
    const known = nkeys.createUser();
    const { url } = await startServer(`authorization { users: [{ nkey: ${known.getPublicKey()} }] }`);
    expect(await outcomeOf({ servers: url, nkeySeed: seedOf(known) })).toBe('ok');
    for (const options of [{ nkeySeed: seedOf(nkeys.createUser()) }, {}, { token: 'hunter2' }]) {
      const startedMs = performance.now();
      const error = await outcomeOf({ servers: url, ...options });
      expect(error).toMatchObject({ code: 'BUS_FORBIDDEN', hint: expect.stringContaining('NKey') as string });
      expect(performance.now() - startedMs).toBeLessThan(connectTimeoutMs);
      expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
    }
  });

  it('credentials of the operator’s account are let in; BUS_FORBIDDEN for those of another operator, expired ones and none', async () => {
    const jwts = new JwtAuthority();
    const { url } = await startServer(jwts.serverConfig);
    expect(await outcomeOf({ servers: url, credentials: jwts.createCredentials() })).toBe('ok');
    const bad = [
      { credentials: new JwtAuthority().createCredentials() },
      { credentials: jwts.createCredentials({ expiresAt: Math.floor(Date.now() / 1_000) - 60 }) },
      // A token of this operator, signed for by the key of somebody else.
      { credentials: credentialsText(jwts.createCredentials().split('\n')[1] ?? '', seedOf(nkeys.createUser())) },
      {},
    ];
    for (const options of bad)
      expect(await outcomeOf({ servers: url, ...options })).toMatchObject({ code: 'BUS_FORBIDDEN' });
  });

  it.each<[field: 'nkeySeed' | 'credentials', string, string]>([
    ['nkeySeed', 'a word', 'hunter2'],
    ['nkeySeed', 'nothing', ''],
    ['nkeySeed', 'a public key', nkeys.createUser().getPublicKey()],
    // Its checksum finds any such change.
    ['nkeySeed', 'a seed with a letter changed', seedOf(nkeys.createUser()).replace(/(?<=^.{20})./, otherLetter)],
    ['nkeySeed', 'a seed with a line feed within', seedOf(nkeys.createUser()).replace(/^(.{10})/, '$1\n')],
    ['credentials', 'a word', 'hunter2'],
    ['credentials', 'nothing', ''],
    ['credentials', 'a seed alone', seedOf(nkeys.createUser())],
    ['credentials', 'a file without its seed', credentialsText('a.b.c', '')],
    ['credentials', 'a file with a seed that is none', credentialsText('a.b.c', 'SUHUNTER2')],
  ])('CONFIG_INVALID: %s: %s is refused before a server is asked, and not echoed', async (field, _name, text) => {
    const error = await outcomeOf({ servers: 'nats://127.0.0.1:9', [field]: text });
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', field });
    const told = JSON.stringify(error) + String(error);
    for (const line of text.split('\n').filter((one) => one.length > 4 && !one.startsWith('-')))
      expect(told).not.toContain(line);
  });
});
