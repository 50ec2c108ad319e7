import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import type { ReplicaContent } from '../../src/checking/history.ts';
import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import type { Client } from '../../src/client.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { ledgerPipeline } from '../support/ledger-pipeline.ts';
import { askNats } from '../support/nats-api.ts';
import { eventually } from '../support/nats-world.ts';
import { readLeadersContent } from '../support/replica-content.ts';

const stream = journalStream('it');
const servers = [0, 1, 2] as const;

describe('the journal on three servers', () => {
  let world: EngineWorld;
  let client: Client;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary', servers: 3 });
    await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('I7: is the same on each, read from each while it leads, after each was killed in the middle of work', async () => {
    for (const server of servers) {
      const submitted = world.submitOrders(client, `killed-${server}`, 40);
      await world.ledger.interrupt(10, 'received', () => world.nats.kill(server));
      await submitted;
      await world.nats.restart(server);
      await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    }
    await world.untilAllEnd(client);
    await world.expectAllDone();
    await eventually('the stream has all its replicas', () => world.isJournalInSync(), 60_000);

    const journal = await world.journal();
    const { last } = await journal.bounds();
    const shardCount = world.settings.config.shardCount ?? 0;
    const entries = await readWholeJournal(journal, shardCount);
    const replicas: ReplicaContent[] = [];
    for (const server of servers) {
      await lead(server);
      const url = world.nats.urls[server] ?? '';
      replicas.push(await readLeadersContent(url, stream, { replica: `server ${server}`, through: last }));
      expect(await world.journalLeader()).toBe(server);
    }
    for (const { replica, digests } of replicas) {
      expect([replica, digests.length]).toEqual([replica, replicas[0]?.digests.length]);
    }
    expect(replicas[0]?.digests.length).toBeGreaterThan(200);

    const recorder = new HistoryRecorder({ namespace: 'it', shardCount, parts: [] });
    const history = recorder.finish({ entries, endedAt: Date.now(), isHealed: true, replicas });
    const { violations } = checkHistory(history, { definitions: [ledgerPipeline], needs: ['I7', 'J1', 'I16'] });
    expect(violations.map(formatViolation)).toEqual([]);
    // It bites: one message that one server has otherwise is seen.
    const [first, ...rest] = replicas;
    const spoiled = rest.map(({ replica, digests }, index) => ({
      replica,
      digests: digests.map(([sequence, digest]) => [sequence, index === 0 && sequence === 7 ? 'x' : digest] as const),
    }));
    const bad = { ...history, replicas: [...(first === undefined ? [] : [first]), ...spoiled] };
    const found = checkHistory(bad, { definitions: [ledgerPipeline] }).violations;
    expect(found.map(({ id, sequences }) => [id, sequences])).toEqual([['I7', [7]]]);
  }, 240_000);

  /** Lets a server lead the journal's stream. */
  async function lead(server: number): Promise<void> {
    const url = world.nats.urls[0] ?? '';
    await eventually(
      `server ${server} leads the stream`,
      async () => {
        const leader = await world.journalLeader().catch(() => null);
        if (leader === server) return true;
        const placement = { placement: { preferred: `n${server}` } };
        await askNats({ url }, `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, placement).catch(() => {});
        return false;
      },
      60_000,
      500,
    );
  }
});
