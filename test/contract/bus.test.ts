import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SystemClock } from '../../src/platform/system-clock.ts';
import { MemoryBus } from '../../src/transport/memory-bus.ts';
import { NatsBus } from '../../src/transport/nats-bus.ts';
import type { NatsLink } from '../../src/transport/nats-connection.ts';
import type { BusRequest, RequestOutcome } from '../../src/ports/bus.ts';
import { frameAnswers } from '../../src/transport/answer-frames.ts';
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

describe('the NATS bus between older and newer peers', () => {
  const body = Buffer.from('question');
  let fixture: NatsFixture;
  let world: NatsWorld;
  let link: NatsLink;
  let bus: NatsBus;
  const onPart = (): void => undefined;

  beforeEach(async () => {
    fixture = await startNats({ servers: 1, jetStream: false });
    world = new NatsWorld(fixture, 1);
    link = await world.link();
    bus = new NatsBus({ link, clock: world.clock, logger: world.logger });
  });
  afterEach(async () => {
    await world.stop();
  });

  /** Who knows no frames: what is not the question is answered as a codec would that finds no message in it. */
  async function serveAsOlder(subject: string): Promise<() => Promise<void>> {
    const older = await world.link();
    const subscription = older.connection.subscribe(subject, {
      callback: (_, message) => {
        message.respond(message.string() === 'question' ? 'older' : 'INVALID_MESSAGE');
      },
    });
    await older.connection.flush();
    return () => subscription.drain();
  }

  it('takes the one answer of somebody who knows no parts', async () => {
    await serveAsOlder('shard.1');
    for (let round = 0; round < 3; round += 1) {
      expect(replyText(await bus.request('shard.1', body, { timeoutMs: 5_000, onPart }))).toBe('older');
    }
  });

  it('asks again in the older form, at once, when an older peer has taken over from a newer one', async () => {
    const newer = new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger });
    const service = await newer.serve('shard.1', (request) => request.reply(Buffer.from('newer')));
    for (let round = 0; round < 3; round += 1) {
      expect(replyText(await bus.request('shard.1', body, { timeoutMs: 5_000, onPart }))).toBe('newer');
    }
    await service.stop();
    const stopOlder = await serveAsOlder('shard.1');
    const asked = Array.from({ length: 20 }, () => bus.request('shard.1', body, { timeoutMs: 5_000, onPart }));
    expect(new Set((await Promise.all(asked)).map(replyText))).toEqual(new Set(['older']));
    await stopOlder();
    await newer.serve('shard.1', (request) => request.reply(Buffer.from('newer')));
    for (let round = 0; round < 3; round += 1) {
      expect(replyText(await bus.request('shard.1', body, { timeoutMs: 5_000, onPart }))).toBe('newer');
    }
  });

  it('R-WRK-1: answers an older client, which takes one answer, with one message', async () => {
    await bus.serve('shard.1', (request) => {
      expect(request.takesParts ?? false).toBe(false);
      request.reply(Buffer.from('all'));
    });
    const older = await world.link();
    expect((await older.connection.request('shard.1', 'question', { timeout: 5_000 })).string()).toBe('all');
  });

  it('sends the answers of one turn to one asker in one message, each to its own request', async () => {
    const held: BusRequest[] = [];
    await bus.serve('shard.*', (request) => void held.push(request));
    const asker = new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger });
    const other = new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger });
    const askAll = (): Promise<RequestOutcome>[] => [
      ...[1, 2, 3].map((shard) => asker.request(`shard.${shard}`, body, { timeoutMs: 5_000, onPart })),
      other.request('shard.1', body, { timeoutMs: 5_000, onPart }),
    ];
    const answerAll = async (count: number): Promise<number> => {
      await eventually('the requests are there', () => held.length === count);
      await link.connection.flush();
      const before = link.connection.stats().outMsgs;
      for (const request of held.splice(0)) request.reply(Buffer.from(`to ${request.subject}`));
      await new Promise((resolve) => setImmediate(resolve));
      return link.connection.stats().outMsgs - before;
    };
    const texts = ['to shard.1', 'to shard.2', 'to shard.3', 'to shard.1'];
    const first = askAll();
    // Until an answer has shown that the other side knows frames, each has a reply subject of its own, and shares it with nobody.
    expect(await answerAll(4)).toBeLessThanOrEqual(4);
    expect((await Promise.all(first)).map(replyText)).toEqual(texts);
    const second = askAll();
    expect(await answerAll(4)).toBe(2);
    expect((await Promise.all(second)).map(replyText)).toEqual(texts);
  });

  it('ends requests in parts as disconnected at once when the link breaks, and starts anew when it is back', async () => {
    const parts: string[] = [];
    const service = new NatsBus({ link: await world.link(), clock: world.clock, logger: world.logger });
    await service.serve('silent', (request) => request.replyPart?.(Buffer.from('part')));
    await service.serve('echo', (request) => request.reply(request.body));
    const open = bus.request('silent', body, {
      timeoutMs: 60_000,
      onPart: (part) => parts.push(Buffer.from(part).toString()),
    });
    await eventually('the part is there', () => parts.length === 1);
    await fixture.kill();
    expect(await open).toEqual({ kind: 'disconnected' });
    await fixture.restart();
    await eventually('the link is up', () => link.isConnected);
    await eventually(
      'it is served again',
      async () => (await bus.request('echo', body, { timeoutMs: 5_000, onPart })).kind === 'reply',
    );
    expect(parts).toEqual(['part']);
  });

  it('drops a message of answers that ends too early, keeps those before, and says so', async () => {
    const older = await world.link();
    older.connection.subscribe('shard.1', {
      callback: (_, message) => {
        const number = Number(message.reply?.split('-').at(-1));
        const whole = frameAnswers([{ number, isLast: true, body: Buffer.from('whole') }]);
        message.respond(Buffer.concat([whole, whole.subarray(1, 5)]));
      },
    });
    await older.connection.flush();
    expect(replyText(await bus.request('shard.1', body, { timeoutMs: 5_000, onPart }))).toBe('whole');
    expect(world.logger.lines.map(({ message }) => message)).toContain('a message of answers ends too early');
  });
});

describe('the NATS bus of a role with few permissions', () => {
  it('goes back to one answer a request when the server allows no more, and answers all after that', async () => {
    const extraConfig =
      'authorization { users: [ { user: once, password: pw, permissions: { publish: ["ok.>"], subscribe: [">"], allow_responses: { max: 1, expires: "1m" } } }, { user: any, password: pw } ] }';
    const world = new NatsWorld(await startNats({ servers: 1, jetStream: false, extraConfig }), 1);
    try {
      const once = await world.link({ user: 'once', pass: 'pw' });
      const server = new NatsBus({ link: once, clock: world.clock, logger: world.logger });
      const takes: boolean[] = [];
      await server.serve('ok.parts', (request) => {
        takes.push(request.takesParts === true);
        if (request.takesParts === true) request.replyPart?.(Buffer.from('part'));
        setImmediate(() => request.reply(Buffer.from('whole')));
      });
      const client = new NatsBus({
        link: await world.link({ user: 'any', pass: 'pw' }),
        clock: world.clock,
        logger: world.logger,
      });
      const ask = (): Promise<RequestOutcome> =>
        client.request('ok.parts', Buffer.from('x'), { timeoutMs: 500, onPart: () => undefined });
      expect((await ask()).kind).toBe('timeout');
      await eventually('the refusal is noticed', () =>
        world.logger.lines.some(({ message }) => message === 'a second answer is forbidden: each request gets one'),
      );
      const outcomes = await Promise.all(Array.from({ length: 20 }, ask));
      expect(new Set(outcomes.map(replyText))).toEqual(new Set(['whole']));
      expect(takes).toEqual([true, ...Array.from({ length: 20 }, () => false)]);
    } finally {
      await world.stop();
    }
  });

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
