import { afterEach, describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import { eventsOfEntry, type PipelineEvent } from '../../../src/projections/cloud-event.ts';
import { maximumPublishedEvents } from '../../../src/ports/event-stream.ts';
import { EventPublisher } from '../../../src/projections/event-publisher.ts';
import { MemoryEventStream, type EventStreamFault } from '../../../src/store/memory-event-stream.ts';
import { anOwner, ArrayJournal, deadLettered, redriven, submitted } from '../../support/array-journal.ts';

const running: EventPublisher[] = [];

function aPublisher(journal: ArrayJournal, stream: MemoryEventStream, seed = 1) {
  const clock = new VirtualClock();
  const logger = new MemoryLogger();
  const metrics = new MemoryMetrics();
  const random = new SeededRandom(seed);
  const publisher = new EventPublisher({ journal, stream, clock, logger, metrics, random, namespace: 'cabinet' });
  running.push(publisher);
  return { publisher, clock, logger, metrics };
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((publisher) => publisher.stop()));
});

async function settled(condition: () => boolean, advance: () => Promise<unknown> = nothing): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (condition()) return;
    await advance();
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the condition did not come to hold');
}

function nothing(): Promise<void> {
  return Promise.resolve();
}

function everyEvent(journal: ArrayJournal): readonly PipelineEvent[] {
  return journal.entries.flatMap((entry) => eventsOfEntry(entry, 'cabinet'));
}

function published(stream: MemoryEventStream): readonly PipelineEvent[] {
  return stream.events.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as PipelineEvent);
}

function aJournal(tasks = 3): ArrayJournal {
  const journal = new ArrayJournal();
  journal.commit(0, [], { owner: anOwner(1) });
  for (let task = 0; task < tasks; task += 1) {
    journal.commit(task % 2, [submitted(`t-${task}`), deadLettered(`t-${task}`, 2), redriven(`t-${task}`, 3)]);
  }
  return journal;
}

describe('the event publisher', () => {
  it('R-EVT-1: publishes every event once, in order, on the subject of its pipeline and type', async () => {
    const journal = aJournal();
    const stream = new MemoryEventStream();
    const { publisher, metrics } = aPublisher(journal, stream);
    publisher.start();
    await settled(() => stream.events.length === everyEvent(journal).length);
    journal.commit(1, [submitted('later')]);
    await settled(() => stream.events.length === everyEvent(journal).length);
    expect(published(stream)).toEqual(everyEvent(journal));
    expect(stream.events.map(({ position }) => position)).toEqual(everyEvent(journal).map(({ id }) => id));
    expect(stream.events[0]?.subject).toBe('cabinet.events._.shard.owner-changed');
    expect(stream.events[1]?.subject).toBe('cabinet.events.listing.task.submitted');
    expect(stream.events.map(({ subject }) => subject)).toContain('cabinet.events.listing.task.dead-lettered');
    expect(metrics.value('events_published_total')).toBe(stream.events.length);
    await settled(() => publisher.status.lagMs === 0);
    expect(publisher.status).toMatchObject({ role: 'publishing', trouble: null });
  });

  it('R-EVT-1: killed anywhere, also within a commit, the next one goes on exactly after the last event', async () => {
    const journal = aJournal(4);
    const every = everyEvent(journal);
    for (let cut = 0; cut <= every.length; cut += 1) {
      const stream = new MemoryEventStream();
      const before = every.slice(0, cut).map((event) => ({
        position: event.id,
        subject: 'cabinet.events.x',
        body: Buffer.from(JSON.stringify(event)),
      }));
      await stream.publish(before, 0);
      const { publisher } = aPublisher(journal, stream);
      publisher.start();
      await settled(() => stream.events.length >= every.length);
      await publisher.stop();
      expect(published(stream)).toEqual(every);
    }
  });

  it('lost answers and lost requests leave no gap and no repeat', async () => {
    const journal = aJournal(40);
    const every = everyEvent(journal);
    const faults: EventStreamFault[] = ['lostAnswer', 'lostRequest', 'none'];
    let serial = 0;
    const stream = new MemoryEventStream({ faults: () => faults[(serial += 1) % faults.length] ?? 'none' });
    const { publisher, clock, logger } = aPublisher(journal, stream);
    publisher.start();
    await settled(
      () => stream.events.length >= every.length,
      () => clock.advance(1_000),
    );
    expect(published(stream)).toEqual(every);
    expect(logger.messages('warn').length).toBeGreaterThan(0);
  });

  it('of several publishers one publishes and the others stand by; when it is gone another goes on', async () => {
    const journal = aJournal(2);
    const stream = new MemoryEventStream();
    const publishers = [1, 2, 3].map((seed) => aPublisher(journal, stream, seed));
    for (const { publisher } of publishers) publisher.start();
    const advance = () => Promise.all(publishers.map(({ clock }) => clock.advance(500)));
    for (let round = 0; round < 30; round += 1) {
      journal.commit(round % 3, [submitted(`r-${round}`)]);
      if (round === 10) await publishers[0]?.publisher.stop();
      if (round === 20) await publishers[1]?.publisher.stop();
      const { length } = everyEvent(journal);
      await settled(() => stream.events.length >= length, advance);
    }
    expect(published(stream)).toEqual(everyEvent(journal));
    expect(publishers.flatMap(({ logger }) => logger.messages('info'))).not.toEqual([]);
  });

  it('publishes a large commit in bounded parts', async () => {
    const journal = new ArrayJournal();
    journal.commit(
      0,
      Array.from({ length: 2 * maximumPublishedEvents }, (_, task) => submitted(`t-${task}`)),
    );
    const sizes: number[] = [];
    class CountingStream extends MemoryEventStream {
      override publish(...given: Parameters<MemoryEventStream['publish']>) {
        sizes.push(given[0].length);
        return super.publish(...given);
      }
    }
    const stream = new CountingStream();
    aPublisher(journal, stream).publisher.start();
    await settled(() => stream.events.length === everyEvent(journal).length);
    expect(Math.max(...sizes)).toBe(maximumPublishedEvents);
    expect(published(stream)).toEqual(everyEvent(journal));
  });

  it('what was trimmed before it was published is said; nothing that is left comes twice', async () => {
    const journal = new ArrayJournal();
    journal.commit(1, [submitted('rests')]);
    journal.commit(0, [submitted('a')]);
    const stream = new MemoryEventStream();
    const first = aPublisher(journal, stream);
    first.publisher.start();
    await settled(() => stream.events.length === everyEvent(journal).length);
    await first.publisher.stop();
    const before = stream.events.length;
    const gone = journal.commit(0, [submitted('b')]);
    const kept = journal.commit(0, [submitted('c')]);
    await journal.trim(0 as ShardId, gone);
    const next = aPublisher(journal, stream);
    next.publisher.start();
    await settled(() => stream.events.length > before);
    const expected = eventsOfEntry(journal.entry(kept), 'cabinet');
    expect(published(stream).slice(before)).toEqual(expected);
    expect(next.logger.lines.find(({ level }) => level === 'error')?.fields).toEqual({ shard: 0, sequence: gone });
  });

  it('RECORD_CORRUPT: an entry that cannot be read has no events and holds nothing up', async () => {
    const journal = new ArrayJournal();
    journal.commit(0, [submitted('a')]);
    journal.put(1, Buffer.from('broken'));
    journal.commit(0, [submitted('b')]);
    const stream = new MemoryEventStream();
    const { publisher, logger } = aPublisher(journal, stream);
    publisher.start();
    await settled(() => stream.events.length === 4);
    expect(logger.messages('error')).toHaveLength(1);
  });

  it('LOG_REGRESSED: a journal that ends before what was published of it is said and nothing is published', async () => {
    class LostJournal extends ArrayJournal {
      override follow(): AsyncGenerator<JournalEntry> {
        throw new EngineError('LOG_REGRESSED', 'the journal is shorter');
      }
    }
    const stream = new MemoryEventStream();
    await stream.publish([{ position: '99-1-1', subject: 'x', body: Buffer.alloc(0) }], 0);
    const { publisher, logger } = aPublisher(new LostJournal(), stream);
    publisher.start();
    await settled(() => publisher.status.trouble !== null);
    expect(logger.messages('error')).toHaveLength(1);
    expect(stream.events).toHaveLength(1);
  });

  it('says how far it is behind', async () => {
    const journal = new ArrayJournal();
    const stream = new MemoryEventStream({ faults: () => 'lostRequest' });
    const { publisher, clock, metrics } = aPublisher(journal, stream);
    journal.commit(0, [submitted('a')]);
    publisher.start();
    await settled(() => publisher.status.trouble !== null);
    await clock.advance(5_000);
    expect(publisher.status.lagMs).toBeGreaterThanOrEqual(4_000);
    expect(metrics.value('event_publisher_lag_seconds')).toBeGreaterThanOrEqual(4);
  });
});
