import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { readNatsServerInfo } from '../../src/platform/nats-monitor.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { ensureJournalStream } from '../../src/store/journal-stream.ts';
import { checkServer, type ServerGateOptions } from '../../src/store/server-gate.ts';
import { connectNats, type NatsLink } from '../../src/transport/nats-connection.ts';
import { startFakeNats, type FakeAnswer, type FakeNats } from '../support/fake-nats.ts';
import { startNats, type NatsFixture, type NatsFixtureOptions } from '../support/nats-server.ts';
import { NatsWorld, RecordingLogger } from '../support/nats-world.ts';

const clock = new SystemClock();
const logger = new RecordingLogger();
const options: ServerGateOptions = { namespace: 'gate', durability: 'process-crash', replicas: 1, clock, logger };

describe('the gate on a real server', () => {
  let fixture: NatsFixture;
  let world: NatsWorld;
  let link: NatsLink;

  async function start(fixtureOptions: NatsFixtureOptions, replicas: 1 | 3 = 1): Promise<void> {
    fixture = await startNats(fixtureOptions);
    world = new NatsWorld(fixture, replicas);
    link = await world.link();
  }
  const monitored = (): ServerGateOptions => ({
    ...options,
    monitorUrls: fixture.monitorUrls,
    readMonitor: readNatsServerInfo,
  });

  afterEach(async () => {
    await world.stop();
  });

  it('lets a server pass, also a second time, and says that its durability is unverified without monitoring', async () => {
    await start({});
    const report = await checkServer(link, options);
    expect(report).toEqual({ level: 'unverified', replicas: 1, detail: expect.stringContaining('monitoring address') });
    await Promise.all([checkServer(link, options), checkServer(await world.link(), options)]);
  });

  it('reports power-loss on a server that syncs every write, and lets power-loss pass there', async () => {
    await start({ sync: 'always' });
    const report = await checkServer(link, { ...monitored(), durability: 'power-loss' });
    expect(report).toMatchObject({ level: 'power-loss', syncInterval: 'always', replicas: 1 });
  });

  it('refuses power-loss with DURABILITY_UNSAFE on a server that does not sync', async () => {
    await start({ sync: 'default' });
    expect(await checkServer(link, monitored())).toMatchObject({ level: 'process-crash', syncInterval: 'periodic' });
    await expect(checkServer(link, { ...monitored(), durability: 'power-loss' })).rejects.toMatchObject({
      code: 'DURABILITY_UNSAFE',
      field: 'durability',
      got: 'process-crash',
    });
  });

  it('refuses power-loss with DURABILITY_UNSAFE when nobody can tell', async () => {
    await start({ sync: 'always' });
    await expect(checkServer(link, { ...options, durability: 'power-loss' })).rejects.toMatchObject({
      code: 'DURABILITY_UNSAFE',
      got: 'unverified',
    });
  });

  it('proves the durability of a cluster by all of its servers', async () => {
    await start({ servers: 3, sync: 'always' }, 3);
    const cluster: ServerGateOptions = { ...monitored(), replicas: 3, durability: 'power-loss' };
    expect(await checkServer(link, cluster)).toMatchObject({ level: 'power-loss', replicas: 3 });
    const some = { ...cluster, monitorUrls: fixture.monitorUrls.slice(0, 2) };
    await expect(checkServer(link, some)).rejects.toMatchObject({ code: 'DURABILITY_UNSAFE', got: 'unverified' });
  });

  it('refuses a server without JetStream with JETSTREAM_DISABLED', async () => {
    await start({ jetStream: false });
    await expect(checkServer(link, options)).rejects.toMatchObject({
      code: 'JETSTREAM_DISABLED',
      hint: expect.stringContaining('jetstream {}'),
    });
  });

  it('refuses an account without JetStream with JETSTREAM_DISABLED', async () => {
    const extraConfig =
      'accounts { A { users: [ { user: a, password: pw } ] }, J { jetstream: enabled, users: [ { user: j, password: pw } ] } }';
    fixture = await startNats({ extraConfig });
    world = new NatsWorld(fixture, 1);
    const poor = await world.link({ user: 'a', pass: 'pw' });
    await expect(checkServer(poor, options)).rejects.toMatchObject({ code: 'JETSTREAM_DISABLED' });
  });

  it('refuses three replicas on one server with UNAVAILABLE that says so', async () => {
    await start({});
    await expect(checkServer(link, { ...options, replicas: 3 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('3 replicas'),
    });
  });

  const narrow = (publish: string, subscribe = '"_INBOX.>"'): string =>
    `authorization { users: [ { user: admin, password: pw }, ` +
    `{ user: narrow, password: pw, permissions: { publish: [${publish}], subscribe: [${subscribe}] } } ] }`;

  async function startNarrow(publish: string, subscribe?: string): Promise<NatsLink> {
    fixture = await startNats({ extraConfig: narrow(publish, subscribe) });
    world = new NatsWorld(fixture, 1);
    link = await world.link({ user: 'admin', pass: 'pw' });
    return world.link({ user: 'narrow', pass: 'pw' });
  }

  it('refuses a role that may not ask JetStream with BUS_FORBIDDEN and the subject', async () => {
    const poor = await startNarrow('"gate.>"');
    await expect(checkServer(poor, options)).rejects.toMatchObject({ code: 'BUS_FORBIDDEN', field: '$JS.API.INFO' });
  });

  it('refuses a role that cannot hear answers with BUS_FORBIDDEN and its inbox', async () => {
    const poor = await startNarrow('">"', '"gate.>"');
    await expect(checkServer(poor, options)).rejects.toMatchObject({
      code: 'BUS_FORBIDDEN',
      field: expect.stringMatching(/^_INBOX\.cabinet\./),
    });
  });

  it('tests the fence on the journal itself for a role that may not create streams', async () => {
    const poor = await startNarrow('"$JS.API.INFO", "gate.journal.>"');
    await expect(checkServer(poor, options)).rejects.toMatchObject({
      code: 'BUS_FORBIDDEN',
      field: '$JS.API.STREAM.CREATE.gate-self-test',
    });
    await ensureJournalStream(link, { namespace: 'gate', replicas: 1, clock, logger });
    await checkServer(poor, options);
    const journal = await world.journal('gate', { link });
    expect(await journal.bounds()).toEqual({ first: 0, last: 0 });
  });
});

describe('the gate on a server that lies', () => {
  let fake: FakeNats | undefined;
  let link: NatsLink | undefined;

  async function gate(version: string, answer?: FakeAnswer): Promise<unknown> {
    fake = await startFakeNats(version, answer);
    link = await connectNats({ servers: fake.url, name: 'test', clock, logger, closeTimeoutMs: 500 });
    return checkServer(link, options);
  }
  const healthy =
    (level: number): FakeAnswer =>
    (subject) =>
      subject === '$JS.API.INFO' ? { api: { level } } : { stream: 'gate-self-test', seq: 1, config: {} };

  afterEach(async () => {
    await link?.close();
    await fake?.stop();
  });

  it.each(['2.9.10', '2.12.1', '2.14.3', '1.0.0'])(
    'refuses version %s with SERVER_VERSION_UNSUPPORTED that says where to get a newer one',
    async (version) => {
      await expect(gate(version)).rejects.toMatchObject({
        code: 'SERVER_VERSION_UNSUPPORTED',
        got: version,
        limit: 'at least 2.14.4',
        message: expect.stringMatching(/nats-io\/nats-server\/releases.*Debian 12/),
      });
    },
  );

  it('refuses an old API level with SERVER_VERSION_UNSUPPORTED whatever the version says', async () => {
    await expect(gate('2.15.1', healthy(2))).rejects.toMatchObject({
      code: 'SERVER_VERSION_UNSUPPORTED',
      field: 'api.level',
      got: '2',
    });
  });

  it('R-LOCK-1: refuses a server that stores a stale append with SELF_TEST_FAILED', async () => {
    await expect(gate('2.15.1', healthy(5))).rejects.toMatchObject({
      code: 'SELF_TEST_FAILED',
      field: expect.stringMatching(/^gate\.self-test\./),
    });
  });
});

describe('the journal stream', () => {
  let fixture: NatsFixture;
  let world: NatsWorld;
  let link: NatsLink;

  beforeEach(async () => {
    fixture = await startNats({});
    world = new NatsWorld(fixture, 1);
    link = await world.link();
  });
  afterEach(async () => {
    await world.stop();
  });

  async function api(operation: string, request: object): Promise<void> {
    const answer = await link.connection.request(`$JS.API.${operation}`, JSON.stringify(request));
    expect(answer.json()).not.toHaveProperty('error');
  }

  const good = {
    name: 'own-journal',
    subjects: ['own.journal.*'],
    storage: 'file',
    retention: 'limits',
    discard: 'new',
    num_replicas: 1,
    duplicate_window: 120_000_000_000,
    deny_delete: true,
  };

  it('is created once by many nodes at a time and found again with the same limits', async () => {
    const request = { namespace: 'own', replicas: 1, clock, logger };
    const links = await Promise.all([world.link(), world.link(), world.link()]);
    const streams = await Promise.all(links.map((each) => ensureJournalStream(each, request)));
    expect(new Set(streams.map((stream) => JSON.stringify(stream))).size).toBe(1);
    expect(streams[0]).toEqual({
      name: 'own-journal',
      subjects: 'own.journal.*',
      replicas: 1,
      maximumMessageBytes: 1024 * 1024,
    });
  });

  it('is taken as it is when an operator has made it well', async () => {
    await api('STREAM.CREATE.own-journal', { ...good, max_msg_size: 65_536 });
    const stream = await ensureJournalStream(link, { namespace: 'own', replicas: 1, clock, logger });
    expect(stream.maximumMessageBytes).toBe(65_536);
  });

  it.each([
    ['subjects', { subjects: ['own.journal.>'] }, 'own.journal.*'],
    ['storage', { storage: 'memory' }, 'file'],
    ['discard', { discard: 'old' }, 'new'],
    ['max_age', { max_age: 3_600_000_000_000 }, '0'],
    ['max_msgs_per_subject', { max_msgs_per_subject: 1_000 }, '-1'],
    ['allow_rollup_hdrs', { allow_rollup_hdrs: true }, 'false'],
    ['deny_delete', { deny_delete: false }, 'true'],
    ['deny_purge', { deny_purge: true }, 'false'],
    ['retention', { retention: 'workqueue' }, 'limits'],
    ['no_ack', { no_ack: true }, 'false'],
    ['persist_mode', { persist_mode: 'async' }, 'not async'],
    ['duplicate_window', { duplicate_window: 1_000_000_000 }, 'at least 120000 ms'],
    ['max_msg_size', { max_msg_size: 1_024 }, '-1, or at least 16384 bytes'],
    ['subject_transform', { subject_transform: { src: 'own.journal.*', dest: 'own.journal.{{wildcard(1)}}' } }, 'none'],
  ])('with a wrong %s is refused with STREAM_MISCONFIGURED', async (field, change, limit) => {
    await api('STREAM.CREATE.own-journal', { ...good, ...change });
    await expect(ensureJournalStream(link, { namespace: 'own', replicas: 1, clock, logger })).rejects.toMatchObject({
      code: 'STREAM_MISCONFIGURED',
      field,
      limit,
      message: expect.stringContaining(`stream own-journal: ${field} must be ${limit}`),
    });
  });

  it('with fewer replicas than asked for is refused with STREAM_MISCONFIGURED', async () => {
    await api('STREAM.CREATE.own-journal', good);
    await expect(ensureJournalStream(link, { namespace: 'own', replicas: 3, clock, logger })).rejects.toMatchObject({
      code: 'STREAM_MISCONFIGURED',
      field: 'num_replicas',
      limit: 'at least 3',
      got: '1',
    });
  });

  it('that cannot be created for want of servers is UNAVAILABLE with a hint', async () => {
    await expect(ensureJournalStream(link, { namespace: 'big', replicas: 3, clock, logger })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('3 servers'),
    });
  });
});

describe('connecting to NATS', () => {
  it('fails with NATS_UNREACHABLE, without the password, when nobody answers until the deadline', async () => {
    const free = await startFakeNats('2.15.1');
    await free.stop();
    const servers = free.url.replace('nats://', 'nats://user:hush@');
    const failure: unknown = await connectNats({ servers, name: 'test', clock, logger, connectTimeoutMs: 700 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: 'NATS_UNREACHABLE', limit: '700 ms' });
    const texts = [failure, ...logger.lines].map((each) => `${JSON.stringify(each)} ${String(each)}`);
    expect(texts.join('\n')).not.toContain('hush');
    expect(String(failure)).toContain('127.0.0.1');
  });

  it('waits for a server that comes up before the deadline', async () => {
    const fixture = await startNats({ jetStream: false });
    try {
      await fixture.kill();
      const connecting = connectNats({ servers: fixture.url, name: 'test', clock, logger, connectTimeoutMs: 20_000 });
      await fixture.restart();
      const link = await connecting;
      expect(link.isConnected).toBe(true);
      await link.close();
      expect(link.isConnected).toBe(false);
    } finally {
      await fixture.stop();
    }
  });

  it('fails at once with BUS_FORBIDDEN, without the password, when the credentials are refused', async () => {
    const extraConfig = 'authorization { user: right, password: pw }';
    const fixture = await startNats({ jetStream: false, extraConfig });
    try {
      const failure: unknown = await connectNats({
        servers: fixture.url,
        name: 'test',
        clock,
        logger,
        user: 'right',
        pass: 'hush',
      }).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toMatchObject({ code: 'BUS_FORBIDDEN' });
      expect(String(failure)).not.toContain('hush');
      const link = await connectNats({
        servers: fixture.url.replace('nats://', 'nats://right:pw@'),
        name: 'test',
        clock,
        logger,
      });
      await link.close();
      await link.close();
    } finally {
      await fixture.stop();
    }
  });

  it('tells its listeners of disconnect, reconnect and close in order', async () => {
    const fixture = await startNats({ jetStream: false });
    try {
      const link = await connectNats({ servers: fixture.url, name: 'test', clock, logger });
      const seen: string[] = [];
      const ignored: string[] = [];
      link.onStatus((status) => {
        seen.push(status.kind);
        throw new Error('a listener may throw');
      });
      link.onStatus((status) => seen.push(`again ${status.kind}`));
      const unsubscribe = link.onStatus((status) => ignored.push(status.kind));
      unsubscribe();
      await fixture.kill();
      await expect.poll(() => link.isConnected, { timeout: 10_000 }).toBe(false);
      await fixture.restart();
      await expect.poll(() => link.isConnected, { timeout: 10_000 }).toBe(true);
      await link.close();
      await expect.poll(() => seen.at(-1)).toBe('again closed');
      expect(seen).toEqual([
        'disconnected',
        'again disconnected',
        'reconnected',
        'again reconnected',
        'closed',
        'again closed',
      ]);
      expect(ignored).toEqual([]);
    } finally {
      await fixture.stop();
    }
  });
});
