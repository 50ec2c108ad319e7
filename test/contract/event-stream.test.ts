import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventStream } from '../../src/core/subjects.ts';
import { SystemRandom } from '../../src/platform/system-random.ts';
import { MemoryEventStream } from '../../src/store/memory-event-stream.ts';
import { ensureEventStream, NatsEventStream } from '../../src/store/nats-event-stream.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { expectEngineError, openStoreKit, until, type NatsStoreKit } from '../support/nats-store-kit.ts';
import { anEvent, eventStreamContract } from './event-stream.contract.ts';

const random = new SystemRandom();

eventStreamContract('memory', () => {
  const stream = new MemoryEventStream();
  const contents = () => Promise.resolve(stream.events.map(({ position, subject }) => [position, subject] as const));
  return Promise.resolve({ stream, other: stream, contents, subjectOf: (subject) => subject });
});

for (const servers of [1, 3] as const) {
  describe(`on ${servers === 1 ? 'one nats-server' : 'three nats-servers'}`, () => {
    let nats: NatsFixture;
    let kit: NatsStoreKit;
    let otherKit: NatsStoreKit;
    let count = 0;

    beforeAll(async () => {
      nats = await startNats({ servers });
      kit = await openStoreKit(nats.urls[0] ?? '');
      otherKit = await openStoreKit(nats.urls.at(-1) ?? '');
    });

    afterAll(async () => {
      await kit.close();
      await otherKit.close();
      await nats.stop();
    });

    const open = async (maximumBytes?: number) => {
      count += 1;
      const namespace = `e${count}`;
      // A cluster that has just started places a stream when it knows its peers.
      await until(async () =>
        ensureEventStream(kit.api, { namespace, replicas: servers, maximumBytes }).then(
          () => true,
          () => false,
        ),
      );
      const name = eventStream(namespace);
      const stream = new NatsEventStream({ ...kit, random, namespace });
      await until(() =>
        stream.end().then(
          () => true,
          () => false,
        ),
      );
      const contents = async (): Promise<readonly (readonly [string, string])[]> => {
        const { sequence } = await stream.end();
        const found: (readonly [string, string])[] = [];
        for (let at = 1; at <= sequence; at += 1) {
          const message = await kit.api.nextMessage(name, `${namespace}.events.>`, at);
          if (message?.sequence !== at) continue;
          found.push([message.headers.get('Nats-Msg-Id') ?? '', message.subject]);
          expect(message.headers.get('content-type')).toContain('application/cloudevents+json');
        }
        return found;
      };
      const other = new NatsEventStream({ ...otherKit, random, namespace });
      const subjectOf = (subject: string): string => `${namespace}.events.${subject}`;
      return { stream, other, contents, subjectOf, namespace };
    };

    eventStreamContract(`JetStream, ${servers} replica(s)`, () => open());

    it('is bounded by bytes: the oldest go, the last one stays and says where to go on', async () => {
      const { stream, contents, subjectOf } = await open(64 * 1024);
      let end = 0;
      for (let round = 0; round < 10; round += 1) {
        const events = Array.from({ length: 50 }, (_, index) => ({
          ...anEvent(end + index + 1),
          subject: subjectOf('listing.stage.started'),
          body: Buffer.alloc(1_000, 'x'),
        }));
        expect(await stream.publish(events, end)).toMatchObject({ kind: 'published' });
        end += 50;
      }
      expect(await stream.end()).toEqual({ position: '500-1-1', sequence: 500 });
      const left = await contents();
      expect(left.length).toBeLessThan(70);
      expect(left.at(-1)?.[0]).toBe('500-1-1');
    });

    it('STREAM_MISCONFIGURED: a stream that forgets by age would lose its place', async () => {
      const namespace = `aged${servers}`;
      const settings = { name: eventStream(namespace), subjects: [`${namespace}.events.>`], max_age: 3_600 * 1e9 };
      await kit.api.createStream({ ...settings, num_replicas: servers, storage: 'file' });
      const error = await expectEngineError(
        ensureEventStream(kit.api, { namespace, replicas: servers }),
        'STREAM_MISCONFIGURED',
      );
      expect(error.field).toContain(eventStream(namespace));
    });

    it('unknown when there is no stream, and UNAVAILABLE for its end', async () => {
      const stream = new NatsEventStream({ ...kit, random, namespace: 'nowhere' });
      const event = { ...anEvent(1), subject: 'nowhere.events.listing.stage.started' };
      expect(await stream.publish([event], 0)).toMatchObject({ kind: 'unknown' });
      await expectEngineError(stream.end(), 'UNAVAILABLE');
    });
  });
}
