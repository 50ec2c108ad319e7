import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SystemClock } from '../../src/platform/system-clock.ts';
import { MemoryBus } from '../../src/transport/memory-bus.ts';
import { NatsBus } from '../../src/transport/nats-bus.ts';
import type { NatsLink } from '../../src/transport/nats-connection.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { eventually, NatsWorld, RecordingLogger } from '../support/nats-world.ts';
import { forbiddenPrefix, replyText, testBus, type BusWorld } from './bus.contract.ts';

const thrown = 'a request handler threw';

function memoryWorld(latencyMs: number): () => Promise<BusWorld> {
  return () => {
    const logger = new RecordingLogger();
    const bus = new MemoryBus({
      clock: new SystemClock(),
      logger,
      latencyMs,
      faults: ({ subject }) => (subject.startsWith(forbiddenPrefix) ? 'forbidden' : 'none'),
    });
    return Promise.resolve({
      client: () => Promise.resolve(bus),
      sendWithoutReply: (subject, body) => bus.send(subject, body),
      thrownCount: () => logger.lines.filter((line) => line.message === thrown).length,
      stop: () => Promise.resolve(),
    });
  };
}

async function natsWorld(servers: 1 | 3): Promise<BusWorld> {
  const permissions = `{ publish: { deny: ["${forbiddenPrefix}>"] }, subscribe: [">"] }`;
  const extraConfig = `no_auth_user: any\nauthorization { users: [ { user: any, password: pw, permissions: ${permissions} } ] }`;
  const world = new NatsWorld(await startNats({ servers, jetStream: false, extraConfig }), 1);
  const plain = await world.link();
  return {
    client: async () => new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger }),
    sendWithoutReply: (subject, body) => plain.connection.publish(subject, body),
    thrownCount: () => world.logger.lines.filter((line) => line.message === thrown).length,
    stop: () => world.stop(),
  };
}

testBus('in memory', memoryWorld(0));
testBus('in memory, with latency', memoryWorld(2));
testBus('one NATS server', () => natsWorld(1));

describe('the NATS bus when its link breaks', () => {
  let fixture: NatsFixture;
  let world: NatsWorld;
  let link: NatsLink;
  let bus: NatsBus;
  const body = Buffer.from('x');

  beforeEach(async () => {
    fixture = await startNats({ servers: 1, jetStream: false });
    world = new NatsWorld(fixture, 1);
    link = await world.link();
    bus = new NatsBus({ link, clock: world.clock, logger: world.logger });
  });
  afterEach(async () => {
    await world.stop();
  });

  it('ends requests in flight as disconnected at once, long before their timeout', async () => {
    await bus.serve('silent', () => undefined);
    const open = Array.from({ length: 20 }, () => bus.request('silent', body, { timeoutMs: 60_000 }));
    await link.connection.flush();
    await fixture.kill();
    const outcomes = await Promise.all(open);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['disconnected']));
  });

  it('answers disconnected while it is down and serves again by itself when it is up', async () => {
    await bus.serve('echo', (request) => request.reply(request.body));
    await fixture.kill();
    await eventually('the link is seen to be down', () => !link.isConnected);
    expect(await bus.request('echo', body, { timeoutMs: 60_000 })).toEqual({ kind: 'disconnected' });
    await fixture.restart();
    await eventually('the link is up', () => link.isConnected);
    expect(replyText(await bus.request('echo', body, { timeoutMs: 5_000 }))).toBe('x');
  });

  it('resolves a serve that was begun while it is down when the server knows of it', async () => {
    await fixture.kill();
    await eventually('the link is seen to be down', () => !link.isConnected);
    let isServing = false;
    const serving = bus
      .serve('later', (request) => request.reply(request.body))
      .then((service) => {
        isServing = true;
        return service;
      });
    const stopped = await bus.request('later', body, { timeoutMs: 50 });
    expect(stopped).toEqual({ kind: 'disconnected' });
    expect(isServing).toBe(false);
    await fixture.restart();
    const service = await serving;
    const other = new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger });
    expect(replyText(await other.request('later', body, { timeoutMs: 5_000 }))).toBe('x');
    await service.stop();
    expect(await other.request('later', body, { timeoutMs: 5_000 })).toEqual({ kind: 'no-responders' });
  });

  it('stops a service while it is down, and the service stays stopped', async () => {
    const service = await bus.serve('gone', (request) => request.reply(request.body));
    await fixture.kill();
    await eventually('the link is seen to be down', () => !link.isConnected);
    await service.stop();
    await fixture.restart();
    await eventually('the link is up', () => link.isConnected);
    expect(await bus.request('gone', body, { timeoutMs: 5_000 })).toEqual({ kind: 'no-responders' });
  });

  it('times out on a frozen server and answers when it thaws', async () => {
    await bus.serve('echo', (request) => request.reply(request.body));
    await fixture.freeze();
    // The signal takes a moment to stop all of the server's threads.
    await eventually(
      'a request to the frozen server times out',
      async () => (await bus.request('echo', body, { timeoutMs: 200 })).kind === 'timeout',
    );
    await fixture.resume();
    expect(replyText(await bus.request('echo', body, { timeoutMs: 5_000 }))).toBe('x');
  });

  it('rejects serve with UNAVAILABLE and ends requests when the link is closed', async () => {
    const waiting = bus.request('nobody', body, { timeoutMs: 60_000 });
    await waiting;
    bus.close();
    expect(await bus.request('nobody', body, { timeoutMs: 60_000 })).toEqual({ kind: 'disconnected' });
    await fixture.kill();
    await eventually('the link is seen to be down', () => !link.isConnected);
    const serving = bus.serve('never', () => undefined);
    const refused = expect(serving).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await link.close();
    await refused;
  });
});

describe('the NATS bus of a role with few permissions', () => {
  it('rejects serve with BUS_FORBIDDEN that names the subject, and says forbidden to a request', async () => {
    const extraConfig =
      'authorization { users: [ { user: narrow, password: pw, permissions: { publish: ["ok.>"], subscribe: ["ok.>", "_INBOX.>"] } } ] }';
    const fixture = await startNats({ servers: 1, jetStream: false, extraConfig });
    const world = new NatsWorld(fixture, 1);
    try {
      const link = await world.link({ user: 'narrow', pass: 'pw' });
      const bus = new NatsBus({ link, clock: world.clock, logger: world.logger });
      await expect(bus.serve('secret.one', () => undefined)).rejects.toMatchObject({
        code: 'BUS_FORBIDDEN',
        field: 'secret.one',
      });
      expect(await bus.request('secret.two', Buffer.from('x'), { timeoutMs: 20_000 })).toEqual({
        kind: 'forbidden',
        operation: 'publish',
        subject: 'secret.two',
      });
      const service = await bus.serve('ok.echo', () => undefined);
      await service.stop();
    } finally {
      await world.stop();
    }
  });

  it('says forbidden to all requests, and sends none, when the inbox prefix is not its own', async () => {
    const extraConfig =
      'authorization { users: [ { user: narrow, password: pw, permissions: { publish: [">"], subscribe: ["_INBOX_own.>"] } }, { user: any, password: pw } ] }';
    const fixture = await startNats({ servers: 1, jetStream: false, extraConfig });
    const world = new NatsWorld(fixture, 1);
    try {
      let handled = 0;
      const server = new NatsBus({
        link: await world.link({ user: 'any', pass: 'pw' }),
        clock: world.clock,
        logger: world.logger,
      });
      await server.serve('ok.echo', (request) => {
        handled += 1;
        request.reply(request.body);
      });
      const wrong = new NatsBus({
        link: await world.link({ user: 'narrow', pass: 'pw' }),
        clock: world.clock,
        logger: world.logger,
      });
      const body = Buffer.from('x');
      const startedAt = performance.now();
      const forbidden = { kind: 'forbidden', operation: 'subscription', subject: expect.stringMatching(/^_INBOX\./) };
      expect(await wrong.request('ok.echo', body, { timeoutMs: 20_000 })).toEqual(forbidden);
      const later = Array.from({ length: 5 }, () => wrong.request('ok.echo', body, { timeoutMs: 20_000 }));
      expect(await Promise.all(later)).toEqual(Array.from({ length: 5 }, () => forbidden));
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      const link = await world.link({ user: 'narrow', pass: 'pw', inboxPrefix: '_INBOX_own' });
      const right = new NatsBus({ link, clock: world.clock, logger: world.logger });
      expect(replyText(await right.request('ok.echo', body, { timeoutMs: 5_000 }))).toBe('x');
      // The first one may have got there before the server refused the inbox; of those after it none was sent.
      expect([1, 2]).toContain(handled);
    } finally {
      await world.stop();
    }
  });
});
