import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { connectNats } from '../../src/transport/nats-connection.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { ledgerPipeline } from '../support/ledger-pipeline.ts';
import { askNats } from '../support/nats-api.ts';
import { eventually, RecordingLogger } from '../support/nats-world.ts';

const stream = journalStream('it');
const stepDowns = 5;
const stepDownEveryMs = 2_000;
/** Longest time without a finished task while leaders change. */
const progressGapMs = 5_000;
/** Three pings without an answer, and a second for what a loaded machine adds; the frozen server must not be dialed once more. */
const moveLimitMs = 4_500;
/** Of a request while no quorum is there. */
const deadlineMs = 4_000;
/** What a caller's own timers and a loaded machine may add to it. */
const deadlineSlackMs = 1_000;
/** From the moment that a stream has its leader again. */
const resumeLimitMs = 10_000;
// The shortest that a server takes.
const lameDuck = 'lame_duck_grace_period: "1s"\nlame_duck_duration: "30s"';

describe('a node whose stream changes its leader', () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary', servers: 3, extraConfig: lameDuck });
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-CORE-3 R-LOCK-1: goes on while its leader steps down every 2 s: nothing is lost, no shard is, and no pause is long', async () => {
    const startedAt = performance.now();
    const endings: number[] = [];
    let round = 0;
    while (performance.now() - startedAt < stepDowns * stepDownEveryMs) {
      if (performance.now() - startedAt >= round * stepDownEveryMs) {
        round += 1;
        await stepDown();
      }
      const [taskId = ''] = await world.submitOrders(client, `step-${endings.length}`, 1);
      await client.result(ledgerPipeline, taskId);
      endings.push(performance.now());
    }
    expect(round).toBe(stepDowns);
    const gaps = endings.map((endedAt, index) => endedAt - (endings[index - 1] ?? startedAt));
    expect(Math.max(...gaps)).toBeLessThan(progressGapMs);
    await world.expectAllDone();
    await expectNoLoss();
  });

  it('R-CORE-3 R-LOCK-1: goes on when the leader sends its clients away in lame duck mode and ends', async () => {
    const leader = await world.journalLeader();
    const submitted = world.submitOrders(client, 'lame', 100);
    await world.ledger.interrupt(50, 'received', async () => world.nats.enterLameDuckMode(leader));
    await submitted;
    await eventually('the server has ended', () => world.nats.pid(leader) === undefined, 60_000);
    await world.submitOrders(client, 'without', 20);
    await world.untilAllEnd(client);
    await world.nats.restart(leader);
    await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    await world.expectAllDone();
    await expectNoLoss();
  });

  it('R-LOCK-2: leaves a server that freezes for another one at once, whichever of the three it is: no lease is lost, no shard is', async () => {
    for (const [index, url] of world.nats.urls.entries()) {
      const logger = new RecordingLogger();
      // One of its connections knows of this server alone, until the server tells it of the others.
      const link = await connectNats({ servers: url, name: 'watch', clock: new SystemClock(), logger });
      const seen: string[] = [];
      link.onStatus(({ kind }) => seen.push(kind));
      const frozenAt = performance.now();
      await world.nats.freeze(index);
      await eventually('the link is up again', () => seen.includes('reconnected'));
      const movedMs = performance.now() - frozenAt;
      await world.nats.resume(index);
      await link.close();
      expect(seen.slice(0, 2)).toEqual(['disconnected', 'reconnected']);
      expect(movedMs).toBeLessThan(moveLimitMs);
      await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    }
    await world.submitOrders(client, 'frozen', 20);
    await world.untilAllEnd(client);
    await world.expectAllDone();
    await expectNoLoss();
    expect((await engine.metrics())['lease_lost_total']).toBe(0);
  });

  it('R-FAIL-1: without a quorum callers get an error within their deadline; work resumes within 10 s of the next leader', async () => {
    const leader = await world.journalLeader();
    const gone = [0, 1, 2].filter((index) => index !== leader);
    await Promise.all(gone.map((index) => world.nats.kill(index)));
    await eventually('no leader hears of a majority', async () => (await leaderSeenBy(leader)) === '', 30_000);
    const askedAt = performance.now();
    const refusals = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        client.submit(ledgerPipeline, {}, { taskId: `alone-${index}`, deadlineMs }).catch((error: unknown) => error),
      ),
    );
    expect(performance.now() - askedAt).toBeLessThan(deadlineMs + deadlineSlackMs);
    for (const refusal of refusals) {
      // DEADLINE_EXCEEDED where an append was sent off: only then nobody can tell yet what became of it.
      expect(refusal).toMatchObject({
        code: expect.stringMatching(/^(UNAVAILABLE|NO_OWNER|DEADLINE_EXCEEDED)$/) as string,
        retryable: true,
      });
    }
    await Promise.all(gone.map((index) => world.nats.restart(index)));
    await eventually('the stream has a leader', async () => (await leaderSeenBy(leader)) !== '', 60_000);
    const ledAt = performance.now();
    await world.submitOrders(client, 'after', 1);
    expect(performance.now() - ledAt).toBeLessThan(resumeLimitMs);
    await world.untilAllEnd(client);
    await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    await world.expectAllDone();
  });

  async function stepDown(): Promise<void> {
    await eventually('the leader steps down', async () => {
      const url = world.nats.urls[0] ?? '';
      const answer = await askNats<{ readonly success?: boolean }>({ url }, `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`);
      return answer.success === true;
    });
  }

  async function leaderSeenBy(index: number): Promise<string> {
    const url = world.nats.urls[index] ?? '';
    return askNats<{ readonly cluster?: { readonly leader?: string } }>({ url }, `$JS.API.STREAM.INFO.${stream}`).then(
      ({ cluster }) => cluster?.leader ?? '',
      () => '',
    );
  }

  async function expectNoLoss(): Promise<void> {
    expect((await engine.metrics())['appends_fenced_total']).toBe(0);
    expect(engine.logged('a shard was lost')).toEqual([]);
  }
});
