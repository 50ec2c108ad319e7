import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assembleCommit, encodeRecord } from '../../src/core/commit-codec.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import type { TaskRecord } from '../../src/core/records.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import type { Journal } from '../../src/ports/journal.ts';
import { DeadLetterProjection } from '../../src/projections/dead-letter-projection.ts';
import { followEvents } from '../../src/projections/event-feed.ts';
import { parsePosition, type Position } from '../../src/projections/position.ts';
import { followTask } from '../../src/projections/task-feed.ts';
import { readTaskHistory } from '../../src/projections/task-history.ts';
import { NatsProjectionStore } from '../../src/store/nats-projections.ts';
import { deadLettered, redriven, submitted } from '../support/array-journal.ts';
import { startNats } from '../support/nats-server.ts';
import { freshNamespace, openStoreKit, type NatsStoreKit } from '../support/nats-store-kit.ts';
import { NatsWorld } from '../support/nats-world.ts';

/** Appends commits as owners do, each on the shard's last one. */
class Appender {
  readonly #journal: Journal;
  readonly #last = new Map<number, Sequence>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async commit(shard: number, records: readonly TaskRecord[]): Promise<Sequence> {
    const expectedLast = this.#last.get(shard) ?? (0 as Sequence);
    const head = { format: 1 as const, epoch: 1 as Epoch, batch: 1, at: 1_700_000_000_000 };
    const outcome = await this.#journal.append({
      shard: shard as ShardId,
      body: assembleCommit(head, records.map(encodeRecord)),
      expectedLast,
      messageId: `${shard}.1.${expectedLast}`,
    });
    if (outcome.kind !== 'committed') throw new Error(`the append is ${outcome.kind}`);
    this.#last.set(shard, outcome.sequence);
    return outcome.sequence;
  }
}

for (const servers of [1, 3] as const) {
  describe(`projections of a journal on ${servers} nats-server(s)`, () => {
    let world: NatsWorld;
    let kit: NatsStoreKit;

    beforeAll(async () => {
      const nats = await startNats({ servers });
      world = new NatsWorld(nats, servers);
      kit = await openStoreKit(nats.url);
    });

    afterAll(async () => {
      await kit.close();
      await world.stop();
    });

    async function take(journal: Journal, count: number, after?: Position): Promise<string[]> {
      const stop = new AbortController();
      const ids: string[] = [];
      for await (const event of followEvents({ journal, namespace: 'it', after, signal: stop.signal })) {
        ids.push(event.id);
        if (ids.length === count) break;
      }
      stop.abort();
      return ids;
    }

    it('R-EVT-1: the feed resumes within a commit, and says when another shard was trimmed behind its position', async () => {
      const journal = await world.freshJournal();
      const appender = new Appender(journal);
      await appender.commit(0, [submitted('idle')]);
      await appender.commit(1, [submitted('a'), submitted('b')]);
      await appender.commit(1, [deadLettered('a', 2)]);
      expect(await take(journal, 4, parsePosition('1-1-2'))).toEqual(['2-1-1', '2-1-2', '2-2-1', '2-2-2']);
      expect(await take(journal, 3, parsePosition('2-2-1'))).toEqual(['2-2-2', '3-1-1', '3-1-2']);
      await journal.trim(1 as ShardId, 2 as Sequence);
      expect((await journal.bounds()).first).toBe(1);
      await expect(take(journal, 1, parsePosition('1-1-2'))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('position 1-1-2 is trimmed'),
      });
      expect(await take(journal, 2, parsePosition('3-0-0'))).toEqual(['3-1-1', '3-1-2']);
    });

    it('R-EVT-1: a task is followed from its history to its end', async () => {
      const journal = await world.freshJournal();
      const appender = new Appender(journal);
      await appender.commit(2, [submitted('a')]);
      const task = { journal, shard: 2 as ShardId, taskId: 'a' as TaskId };
      const feed = followTask({ ...task, namespace: 'it', signal: new AbortController().signal });
      expect((await feed.next()).value).toMatchObject({ id: '1-1-1' });
      await appender.commit(2, [submitted('b'), deadLettered('a', 2)]);
      const rest: string[] = [];
      for await (const event of feed) rest.push(event.type);
      expect(rest).toEqual(['io.cabinet.stage.started', 'io.cabinet.stage.failed', 'io.cabinet.task.dead-lettered']);
      expect(await readTaskHistory(task)).toMatchObject({
        isComplete: true,
        records: [{ sequence: 1 }, { sequence: 2 }],
      });
    });

    it('R-RETRY-1: dead letters are stored, outlive trimming, and projectors at the same time converge', async () => {
      const journal = await world.freshJournal();
      const appender = new Appender(journal);
      const namespace = await freshNamespace(kit, { replicas: servers });
      const projector = (seed: number): DeadLetterProjection =>
        new DeadLetterProjection({
          journal,
          store: new NatsProjectionStore({ ...kit, namespace }),
          logger: kit.logger,
          clock: kit.clock,
          random: new SeededRandom(seed),
        });
      for (let index = 0; index < 60; index += 1) {
        await appender.commit(index % 4, [deadLettered(`t-${index}`, 2, `card ${index} is gone`)]);
        if (index % 3 === 0) await appender.commit(index % 4, [redriven(`t-${index}`, 3)]);
        if (index % 20 === 0) await Promise.all([1, 2, 3].map((seed) => projector(seed).catchUp()));
      }
      await projector(4).catchUp();
      const { last } = await journal.bounds();
      for (const shard of [0, 1, 2, 3]) await journal.trim(shard as ShardId, last);
      const page = await projector(5).list({ limit: 100 });
      expect(page.matchCount).toBe(40);
      const groups = await projector(6).groups();
      expect(groups).toMatchObject([{ count: 40, message: 'card <id> is gone', pipelines: ['listing'] }]);
      await projector(7).rebuild();
      expect((await projector(8).list({ limit: 100 })).deadLetters).toEqual(page.deadLetters);
    });
  });
}
