import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LiveConnection } from '../../../../src/admin/live/live-connection.ts';
import { beginSubscription } from '../../../../src/admin/live/protocol.ts';
import type { PipelineEvent } from '../../../../src/projections/cloud-event.ts';
import { eventsOfEntry } from '../../../../src/projections/cloud-event.ts';
import { VirtualClock } from '../../../../src/testing.ts';
import { anOwner, ArrayJournal, deadLettered, redriven, submitted } from '../../../support/array-journal.ts';
import { FeedHistory } from '../../../support/feed-history.ts';
import { EventReader, liveNamespace, LiveWorld, type MemorySocket } from '../../../support/live-kit.ts';

type Step =
  | { readonly type: 'commit'; readonly shard: number; readonly count: number }
  | { readonly type: 'pass'; readonly ms: number }
  | { readonly type: 'hold' | 'take' | 'drop' | 'come'; readonly reader: number }
  | { readonly type: 'restart' }
  | { readonly type: 'trim'; readonly shard: number; readonly keep: number };

const readers = 4;
const reader = fc.integer({ min: 0, max: readers - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('commit'),
      shard: fc.integer({ min: 0, max: 2 }),
      count: fc.integer({ min: 0, max: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('pass'), ms: fc.constantFrom(0, 1, 30, 6_000, 40_000) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constantFrom('hold', 'take', 'drop', 'come'), reader }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('trim'),
      shard: fc.integer({ min: 0, max: 2 }),
      keep: fc.integer({ min: 1, max: 6 }),
    }),
  },
) as fc.Arbitrary<Step>;

/** Some readers, their connections, a journal and a server that comes and goes. */
class Story {
  readonly clock = new VirtualClock();
  readonly journal = new ArrayJournal();
  readonly log: PipelineEvent[] = [];
  readonly history = new FeedHistory();
  readonly readers = Array.from({ length: readers }, () => new EventReader());
  readonly links: ({ readonly socket: MemorySocket; readonly connection: LiveConnection } | null)[] = [];
  world: LiveWorld;
  #tasks = 0;
  readonly #filter: Readonly<Record<string, unknown>> | undefined;

  constructor(filter: Readonly<Record<string, unknown>> | undefined) {
    this.#filter = filter;
    this.world = this.#open();
    this.links = this.readers.map(() => null);
  }

  #open(): LiveWorld {
    return new LiveWorld(this.journal, {
      clock: this.clock,
      // Small, so that readers fall out of memory and have to go to the journal.
      hub: { ringBytes: 6_000, warmEntries: 2, flushBytes: 1_500 },
      send: { maximumBytes: 12_000, windowBytes: 2_000, lowBytes: 1_000 },
    });
  }

  commit(shard: number, count: number): void {
    const records = Array.from({ length: count }, () => {
      this.#tasks += 1;
      const task = `t-${this.#tasks}`;
      return [submitted(task), deadLettered(task, 2), redriven(task, 3)].slice(0, 1 + (this.#tasks % 3));
    }).flat();
    const sequence = this.journal.commit(shard, records, count === 0 ? { owner: anOwner(1) } : {});
    const entry = this.journal.entry(sequence);
    this.history.committed(entry);
    this.log.push(...eventsOfEntry(entry, liveNamespace));
  }

  come(index: number): void {
    const before = this.links[index];
    if (before !== null && before?.connection.isClosed === false) {
      const over = this.readers[index]?.subscription.phase === 'ended';
      if (over) this.#subscribe(before, this.readers[index] as EventReader);
      return;
    }
    this.drop(index);
    const link = this.world.connect();
    this.links[index] = link;
    this.#subscribe(link, this.readers[index] as EventReader);
  }

  #subscribe({ socket, connection }: NonNullable<(typeof this.links)[number]>, one: EventReader): void {
    const record = this.history.subscribed(one.position, this.#filter !== undefined);
    socket.onFrame = (frame) => {
      record(frame);
      one.take(frame);
    };
    this.world.say(connection, one.message(this.#filter));
  }

  drop(index: number): void {
    const link = this.links[index];
    if (link === null || link === undefined) return;
    // What is under way is lost with the connection.
    link.socket.onFrame = () => {};
    link.connection.ended();
    this.links[index] = null;
  }

  async restart(): Promise<void> {
    for (let index = 0; index < readers; index += 1) this.drop(index);
    await this.world.feeds.stop();
    this.world = this.#open();
  }

  async do(one: Step): Promise<void> {
    switch (one.type) {
      case 'commit':
        return this.commit(one.shard, one.count);
      case 'pass':
        return this.clock.advance(one.ms);
      case 'restart':
        return this.restart();
      case 'trim': {
        const ofShard = this.journal.entries.filter(({ shard }) => shard === one.shard);
        const last = ofShard.at(-1 - one.keep);
        return last === undefined ? undefined : this.journal.trim(last.shard, last.sequence);
      }
      case 'come':
        return this.come(one.reader);
      case 'drop':
        return this.drop(one.reader);
      case 'hold':
      case 'take': {
        const link = this.links[one.reader];
        if (link === null || link === undefined) return;
        link.socket.isHeld = one.type === 'hold';
        if (one.type === 'take') link.socket.take();
      }
    }
  }

  /** All come, read, and are told of gaps until nothing is left to be told. */
  async settle(): Promise<void> {
    for (let round = 0; round < 40; round += 1) {
      for (let index = 0; index < readers; index += 1) {
        const link = this.links[index];
        if (link !== null && link !== undefined) {
          link.socket.isHeld = false;
          link.socket.take();
        }
        this.come(index);
      }
      await this.clock.advance(100);
    }
    await this.clock.advance(6_000);
  }
}

async function check(
  steps: readonly Step[],
  filter: { readonly types?: readonly string[] } | undefined,
): Promise<void> {
  const story = new Story(filter);
  for (const one of steps) await story.do(one);
  await story.settle();
  const log = story.log.filter(({ type }) => filter?.types?.includes(type) ?? true);
  for (const one of story.readers) {
    expect(one.subscription).toMatchObject({ phase: 'open', error: null });
    expect(one.events.map(({ id }) => id)).toEqual(one.expected(log));
  }
  expect(story.history.violations()).toEqual([]);
  await story.world.feeds.stop();
}

describe('the event feed of the socket, in any order of events, slow readers, losses, restarts and trims', () => {
  it('I53, I54, I55: every reader gets exactly the log after its beginning, less the gaps that it was told of', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => check(steps, undefined)),
      { numRuns: 60 },
    );
  });

  it('I54: the same for a filter, which does not let the place of its reader grow old', async () => {
    const filter = { types: ['io.cabinet.task.redriven'] };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => check(steps, filter)),
      { numRuns: 40 },
    );
  });

  it('I53: no gap is told where nothing is trimmed', async () => {
    const untrimmed = step.filter(({ type }) => type !== 'trim');
    await fc.assert(
      fc.asyncProperty(fc.array(untrimmed, { minLength: 5, maxLength: 60 }), async (steps) => {
        const story = new Story(undefined);
        for (const one of steps) await story.do(one);
        await story.settle();
        for (const one of story.readers) {
          expect(one.gaps).toEqual([]);
          expect(one.events.map(({ id }) => id)).toEqual(one.expected(story.log));
        }
        expect(story.history.violations()).toEqual([]);
        await story.world.feeds.stop();
      }),
      { numRuns: 40 },
    );
  });
});

describe('the event feed of the socket', () => {
  it.each(['from memory', 'from the journal'])(
    'I54: resumes %s after each event in turn, within an entry too, and goes on with the next',
    async (source) => {
      const story = new Story(undefined);
      // Entries of one to six records, so that most events have others of their entry behind them.
      story.come(0);
      for (const count of [3, 1, 4, 2]) {
        story.commit(count % 2, count);
        await story.do({ type: 'pass', ms: 30 });
      }
      const ids = story.log.map(({ id }) => id);
      expect(new Set(ids.map((id) => id.split('-')[0])).size).toBe(4);
      for (const [index, id] of ids.entries()) {
        if (source === 'from the journal') await story.restart();
        const resumed = new EventReader();
        resumed.subscription = beginSubscription(id);
        const { socket, connection } = story.world.connect();
        const record = story.history.subscribed(id, false);
        socket.onFrame = (frame) => {
          record(frame);
          resumed.take(frame);
        };
        story.world.say(connection, resumed.message());
        await story.clock.advance(100);
        expect([id, resumed.events.map((event) => event.id)]).toEqual([id, ids.slice(index + 1)]);
        connection.ended();
      }
      expect(story.history.violations()).toEqual([]);
      await story.world.feeds.stop();
    },
  );
});
