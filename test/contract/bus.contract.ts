import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Bus, BusRequest, RequestOutcome } from '../../src/ports/bus.ts';

/** Where no client of a {@link BusWorld} may publish, as subjects that begin so. */
export const forbiddenPrefix = 'forbidden.';

/** An adapter under test: clients that can reach each other. */
export interface BusWorld {
  /** Another client of the same bus, that may publish everywhere but below {@link forbiddenPrefix}. */
  client(): Promise<Bus>;
  /** Sends a message that asks for no answer. */
  sendWithoutReply(subject: string, body: Uint8Array): void;
  /** How often the log says that a handler threw. */
  thrownCount(): number;
  stop(): Promise<void>;
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

/** The text of an outcome that must be a reply. */
export function replyText(outcome: RequestOutcome): string {
  expect(outcome.kind).toBe('reply');
  return outcome.kind === 'reply' ? Buffer.from(outcome.body).toString() : '';
}

function echo(request: BusRequest): void {
  request.reply(bytes(`echo ${Buffer.from(request.body).toString()}`));
}

/** The promise of the `Bus` port, asked of one adapter. */
export function testBus(name: string, start: () => Promise<BusWorld>): void {
  describe(`the bus contract: ${name}`, () => {
    let world: BusWorld;
    let server: Bus;
    let client: Bus;
    let lastSubject = 0;
    const nextSubject = (): string => `contract.s${(lastSubject += 1)}`;

    beforeAll(async () => {
      world = await start();
      server = await world.client();
      client = await world.client();
    });
    afterAll(async () => {
      await world.stop();
    });

    it('brings a request to who serves its subject and the answer back', async () => {
      const subject = nextSubject();
      const seen: BusRequest[] = [];
      await server.serve(subject, (request) => {
        seen.push(request);
        request.reply(bytes('answer'), { 'Cabinet-Kind': 'test' });
      });
      const outcome = await client.request(subject, bytes('question'), { timeoutMs: 5_000 });
      expect(replyText(outcome)).toBe('answer');
      expect(outcome.kind === 'reply' ? outcome.headers.get('Cabinet-Kind') : '').toBe('test');
      expect(seen).toHaveLength(1);
      expect(seen[0]).toMatchObject({ subject, canReply: true });
      expect(Buffer.from(seen[0]?.body ?? []).toString()).toBe('question');
    });

    it('brings the headers of a request to its handler, and none where there are none', async () => {
      const subject = nextSubject();
      const seen: (readonly [string, string])[][] = [];
      await server.serve(subject, (request) => {
        seen.push([...request.headers]);
        echo(request);
      });
      const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
      expect(replyText(await client.request(subject, bytes('one'), { timeoutMs: 5_000, headers }))).toBe('echo one');
      expect(replyText(await client.request(subject, bytes('two'), { timeoutMs: 5_000 }))).toBe('echo two');
      expect(seen).toEqual([Object.entries(headers), []]);
    });

    it('answers no-responders at once when nobody serves the subject', async () => {
      const startedAt = performance.now();
      expect(await client.request(nextSubject(), bytes('x'), { timeoutMs: 20_000 })).toEqual({ kind: 'no-responders' });
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    });

    it('says at once that a subject is forbidden, and brings the request to nobody, also when it is served', async () => {
      const subject = `${forbiddenPrefix}one`;
      let handled = 0;
      await server.serve(subject, () => (handled += 1));
      const startedAt = performance.now();
      const asked = Array.from({ length: 3 }, () => client.request(subject, bytes('x'), { timeoutMs: 20_000 }));
      const forbidden = { kind: 'forbidden', operation: 'publish', subject };
      expect(await Promise.all(asked)).toEqual([forbidden, forbidden, forbidden]);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      const open = nextSubject();
      await server.serve(open, echo);
      expect(replyText(await client.request(open, bytes('a'), { timeoutMs: 5_000 }))).toBe('echo a');
      expect(handled).toBe(0);
    });

    it('R-LOCK-2: answers no-responders as soon as the service has stopped', async () => {
      const subject = nextSubject();
      for (let round = 1; round <= 5; round += 1) {
        const service = await server.serve(subject, echo);
        expect(replyText(await client.request(subject, bytes('a'), { timeoutMs: 5_000 }))).toBe('echo a');
        await service.stop();
        await service.stop();
        expect(await client.request(subject, bytes('b'), { timeoutMs: 5_000 })).toEqual({ kind: 'no-responders' });
      }
    });

    it('serves from the moment that serve resolves', async () => {
      for (let round = 1; round <= 10; round += 1) {
        const subject = nextSubject();
        await server.serve(subject, echo);
        expect(replyText(await client.request(subject, bytes('a'), { timeoutMs: 5_000 }))).toBe('echo a');
      }
    });

    it('ends as timeout when the answer does not come in time, and drops it when it comes later', async () => {
      const subject = nextSubject();
      const held: BusRequest[] = [];
      await server.serve(subject, (request) => void held.push(request));
      expect(await client.request(subject, bytes('x'), { timeoutMs: 60 })).toEqual({ kind: 'timeout' });
      held[0]?.reply(bytes('late'));
      const next = client.request(subject, bytes('y'), { timeoutMs: 5_000 });
      await expect.poll(() => held.length).toBe(2);
      held[1]?.reply(bytes('in time'));
      expect(replyText(await next)).toBe('in time');
    });

    it('takes an answer that is given after the handler has returned, once', async () => {
      const subject = nextSubject();
      await server.serve(subject, (request) => {
        setImmediate(() => {
          request.reply(bytes('first'));
          request.reply(bytes('second'));
        });
      });
      expect(replyText(await client.request(subject, bytes('x'), { timeoutMs: 5_000 }))).toBe('first');
    });

    it('tells an empty answer from no answer', async () => {
      const subject = nextSubject();
      await server.serve(subject, (request) => request.reply(new Uint8Array(0)));
      expect(replyText(await client.request(subject, new Uint8Array(0), { timeoutMs: 5_000 }))).toBe('');
    });

    it('brings large bodies both ways byte for byte', async () => {
      const subject = nextSubject();
      await server.serve(subject, (request) => request.reply(request.body));
      const body = Uint8Array.from({ length: 900_000 }, (_, index) => (index * 31) % 256);
      const outcome = await client.request(subject, body, { timeoutMs: 10_000 });
      expect(outcome.kind === 'reply' ? Buffer.compare(outcome.body, body) : outcome.kind).toBe(0);
    });

    it('gives each of many concurrent requests its own answer', async () => {
      const subject = nextSubject();
      await server.serve(subject, echo);
      const texts = Array.from({ length: 500 }, (_, index) => `n${index}`);
      const outcomes = await Promise.all(
        texts.map((text) => client.request(subject, bytes(text), { timeoutMs: 10_000 })),
      );
      expect(outcomes.map(replyText)).toEqual(texts.map((text) => `echo ${text}`));
    });

    it('catches and logs what a handler throws, and goes on serving', async () => {
      const subject = nextSubject();
      const before = world.thrownCount();
      await server.serve(subject, (request) => {
        if (Buffer.from(request.body).toString() === 'bad') throw new Error('handler broke');
        request.reply(bytes('fine'));
      });
      expect(await client.request(subject, bytes('bad'), { timeoutMs: 100 })).toEqual({ kind: 'timeout' });
      expect(world.thrownCount()).toBe(before + 1);
      expect(replyText(await client.request(subject, bytes('good'), { timeoutMs: 5_000 }))).toBe('fine');
    });

    it('knows the wildcards * and >', async () => {
      const subject = nextSubject();
      await server.serve(`${subject}.*.end`, (request) => request.reply(bytes(`star ${request.subject}`)));
      await server.serve(`${subject}.tail.>`, (request) => request.reply(bytes(`tail ${request.subject}`)));
      const ask = (text: string): Promise<RequestOutcome> => client.request(text, bytes('x'), { timeoutMs: 5_000 });
      expect(replyText(await ask(`${subject}.one.end`))).toBe(`star ${subject}.one.end`);
      expect(replyText(await ask(`${subject}.tail.a.b`))).toBe(`tail ${subject}.tail.a.b`);
      expect(await ask(`${subject}.one.two.end`)).toEqual({ kind: 'no-responders' });
      expect(await ask(`${subject}.tail`)).toEqual({ kind: 'no-responders' });
    });

    it('shares the requests of a queue among its members, each request handled once', async () => {
      const subject = nextSubject();
      const counts = [0, 0];
      const services = await Promise.all(
        counts.map((_, index) =>
          server.serve(
            subject,
            (request) => {
              counts[index] = (counts[index] ?? 0) + 1;
              request.reply(bytes('ok'));
            },
            { queue: 'workers' },
          ),
        ),
      );
      await Promise.all(Array.from({ length: 200 }, () => client.request(subject, bytes('x'), { timeoutMs: 10_000 })));
      expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(200);
      expect(Math.min(...counts)).toBeGreaterThan(20);
      await services[0]?.stop();
      expect(replyText(await client.request(subject, bytes('x'), { timeoutMs: 5_000 }))).toBe('ok');
    });

    it('brings a request to everyone who serves without a queue; one answer counts', async () => {
      const subject = nextSubject();
      const handled: string[] = [];
      const others = await world.client();
      for (const [label, bus] of [['a', server] as const, ['b', others] as const]) {
        await bus.serve(subject, (request) => {
          handled.push(label);
          request.reply(bytes(label));
        });
      }
      expect(['a', 'b']).toContain(replyText(await client.request(subject, bytes('x'), { timeoutMs: 5_000 })));
      await expect.poll(() => handled.toSorted()).toEqual(['a', 'b']);
    });

    it('brings the parts of an answer in their order to one who takes them, before the last', async () => {
      const subject = nextSubject();
      await server.serve(subject, (request) => {
        expect(request.takesParts).toBe(true);
        request.replyPart?.(bytes('one'));
        setImmediate(() => {
          request.replyPart?.(bytes('two'));
          request.reply(bytes('three'));
          request.replyPart?.(bytes('four'));
          request.reply(bytes('five'));
        });
      });
      // The first request may be another kind of message than those that know who answers.
      for (let round = 0; round < 3; round += 1) {
        const parts: string[] = [];
        const onPart = (part: Uint8Array): void => void parts.push(Buffer.from(part).toString());
        const outcome = await client.request(subject, bytes('x'), { timeoutMs: 5_000, onPart });
        expect([...parts, replyText(outcome)]).toEqual(['one', 'two', 'three']);
      }
    });

    it('gives each of many concurrent requests its own parts', async () => {
      const subject = nextSubject();
      await server.serve(subject, (request) => {
        const text = Buffer.from(request.body).toString();
        request.replyPart?.(bytes(`${text} a`));
        setImmediate(() => request.reply(bytes(`${text} b`)));
      });
      const ask = async (text: string): Promise<readonly string[]> => {
        const answers: string[] = [];
        const onPart = (part: Uint8Array): void => void answers.push(Buffer.from(part).toString());
        answers.push(replyText(await client.request(subject, bytes(text), { timeoutMs: 10_000, onPart })));
        return answers;
      };
      for (let round = 0; round < 2; round += 1) {
        const texts = Array.from({ length: 300 }, (_, index) => `n${round}.${index}`);
        expect(await Promise.all(texts.map(ask))).toEqual(texts.map((text) => [`${text} a`, `${text} b`]));
      }
    });

    it('tells who answers that an asker takes one answer only', async () => {
      const subject = nextSubject();
      const seen: boolean[] = [];
      await server.serve(subject, (request) => {
        seen.push(request.takesParts === true);
        request.reply(bytes('all'));
      });
      expect(replyText(await client.request(subject, bytes('x'), { timeoutMs: 5_000 }))).toBe('all');
      expect(seen).toEqual([false]);
    });

    it('ends as timeout when the last part does not come, and drops what comes later', async () => {
      const subject = nextSubject();
      const held: BusRequest[] = [];
      await server.serve(subject, (request) => {
        request.replyPart?.(bytes('first'));
        held.push(request);
      });
      for (let round = 1; round <= 2; round += 1) {
        const parts: string[] = [];
        const onPart = (part: Uint8Array): void => void parts.push(Buffer.from(part).toString());
        expect(await client.request(subject, bytes('x'), { timeoutMs: 200, onPart })).toEqual({ kind: 'timeout' });
        held.at(-1)?.replyPart?.(bytes('late'));
        held.at(-1)?.reply(bytes('later'));
        const next = client.request(subject, bytes('y'), { timeoutMs: 5_000, onPart });
        await expect.poll(() => held.length).toBe(2 * round);
        held.at(-1)?.reply(bytes('in time'));
        expect(replyText(await next)).toBe('in time');
        expect(parts).toEqual(['first', 'first']);
      }
    });

    it('R-LOCK-2: answers no-responders to one who takes parts as soon as the service has stopped', async () => {
      const subject = nextSubject();
      const onPart = (): void => undefined;
      for (let round = 1; round <= 5; round += 1) {
        const service = await server.serve(subject, echo);
        for (let count = 0; count < 2; count += 1) {
          expect(replyText(await client.request(subject, bytes('a'), { timeoutMs: 5_000, onPart }))).toBe('echo a');
        }
        await service.stop();
        const startedAt = performance.now();
        expect(await client.request(subject, bytes('b'), { timeoutMs: 20_000, onPart })).toEqual({
          kind: 'no-responders',
        });
        expect(performance.now() - startedAt).toBeLessThan(10_000);
      }
    });

    it('brings large parts byte for byte', async () => {
      const subject = nextSubject();
      const large = Uint8Array.from({ length: 900_000 }, (_, index) => (index * 31) % 256);
      await server.serve(subject, (request) => {
        request.replyPart?.(large);
        request.reply(large);
      });
      const parts: Uint8Array[] = [];
      const onPart = (part: Uint8Array): void => void parts.push(part);
      const outcome = await client.request(subject, bytes('x'), { timeoutMs: 10_000, onPart });
      const all = [...parts, outcome.kind === 'reply' ? outcome.body : new Uint8Array(0)];
      expect(all.map((part) => Buffer.compare(part, large))).toEqual([0, 0]);
    });

    it('shows a message without a reply subject as one that cannot be answered', async () => {
      const subject = nextSubject();
      const seen: BusRequest[] = [];
      await server.serve(subject, (request) => {
        seen.push(request);
        request.reply(bytes('nobody hears this'));
      });
      world.sendWithoutReply(subject, bytes('just so you know'));
      await expect.poll(() => seen.length).toBe(1);
      expect(seen[0]?.canReply).toBe(false);
    });
  });
}
