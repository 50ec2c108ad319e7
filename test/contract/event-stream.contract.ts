import { describe, expect, it } from 'vitest';
import type { EventPublishOutcome, EventStream, PublishableEvent } from '../../src/ports/event-stream.ts';

/** A new stream, seen by two of its publishers, and what consumers find in it. */
export interface EventStreamUnderTest {
  readonly stream: EventStream;
  readonly other: EventStream;
  /** Position and subject of each message, in order. */
  readonly contents: () => Promise<readonly (readonly [position: string, subject: string])[]>;
}

/** The n-th event of a feed, for tests. */
export function anEvent(number: number): PublishableEvent {
  return {
    position: `${number}-1-1`,
    subject: number % 2 === 0 ? 'listing.stage.started' : '_.shard.owner-changed',
    body: Buffer.from(JSON.stringify({ number })),
  };
}

/** The promises of an event stream, for each of its adapters. */
export function eventStreamContract(
  name: string,
  open: () => Promise<EventStreamUnderTest & { readonly subjectOf: (subject: string) => string }>,
): void {
  describe(`event stream: ${name}`, () => {
    const opened = async () => {
      const world = await open();
      const events = (from: number, count: number): readonly PublishableEvent[] =>
        Array.from({ length: count }, (_, index) => anEvent(from + index)).map((event) => ({
          ...event,
          subject: world.subjectOf(event.subject),
        }));
      return { ...world, events };
    };

    it('is empty at first', async () => {
      const { stream, contents } = await opened();
      expect(await stream.end()).toEqual({ position: null, sequence: 0 });
      expect(await contents()).toEqual([]);
    });

    it('R-EVT-1: holds what was published, in order, and its end names the last one', async () => {
      const { stream, other, contents, events } = await opened();
      expect(await stream.publish(events(1, 3), 0)).toEqual({ kind: 'published', sequence: 3 });
      expect(await other.end()).toEqual({ position: '3-1-1', sequence: 3 });
      expect(await other.publish(events(4, 200), 3)).toEqual({ kind: 'published', sequence: 203 });
      const expected = events(1, 203).map(({ position, subject }) => [position, subject]);
      expect(await contents()).toEqual(expected);
    });

    it('a publish from another end is a conflict and stores nothing', async () => {
      const { stream, other, contents, events } = await opened();
      await stream.publish(events(1, 3), 0);
      for (const expected of [0, 2, 4, 99]) {
        expect(await other.publish(events(9, 2), expected)).toEqual({ kind: 'conflict' });
      }
      expect(await contents()).toHaveLength(3);
    });

    it('two that publish the same feed at once leave each event once and in order', async () => {
      const { stream, other, contents, events } = await opened();
      let end = 0;
      for (let round = 0; round < 10; round += 1) {
        const both: EventPublishOutcome[] = await Promise.all(
          [stream, other].map((one) => one.publish(events(end + 1, 20), end)),
        );
        expect(both.map(({ kind }) => kind)).toContain('published');
        end = (await stream.end()).sequence;
        expect(end % 20).toBe(0);
      }
      const positions = (await contents()).map(([position]) => position);
      expect(positions).toEqual(events(1, end).map(({ position }) => position));
    });

    it('two that publish other feeds at once never mix them: each round is all of one of them', async () => {
      const { stream, other, contents, events } = await opened();
      let end = 0;
      for (let round = 0; round < 20; round += 1) {
        // The one that is late by some has read an older end than the other.
        const lateBy = Math.min(end, round % 4);
        await Promise.all([
          stream.publish(events(10_000 * (round + 1), 20), end),
          other.publish(events(500_000 + 10_000 * (round + 1), 20), end - lateBy),
        ]);
        const found = (await contents()).slice(end).map(([position]) => Number(position.split('-')[0]));
        const [first = 0] = found;
        expect(first % 10_000).toBe(0);
        expect(found).toEqual(Array.from({ length: 20 }, (_, index) => first + index));
        end += found.length;
      }
    });
  });
}
