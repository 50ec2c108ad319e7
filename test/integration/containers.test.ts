import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { probeContainerEngine } from '../support/container-engine.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { ledgerPipeline } from '../support/ledger-pipeline.ts';
import { eventually } from '../support/nats-world.ts';

const orderCount = 60;
/** Of a request while no quorum is there. */
const deadlineMs = 4_000;
/** What a caller's own timers and a loaded machine may add to it. */
const deadlineSlackMs = 1_000;
/** From the moment that a stream has its leader again. */
const resumeLimitMs = 10_000;
/** Servers notice in seconds that one of them is cut off; their own default is minutes. */
const quickPings = 'ping_interval: "1s"\nping_max: 2';

const probe = await probeContainerEngine();

describe('NATS in containers', () => {
  it(
    probe.kind === 'answers'
      ? 'a container engine answers, so the tests of this file run'
      : 'no container engine answers, so the other tests of this file do not run',
    () => {
      if (probe.kind === 'answers') {
        process.stdout.write(`container engine ${probe.name}\n`);
        return;
      }
      const text = `no container engine answers (${probe.reason}): the tests of NATS in containers do not run`;
      // Where one is promised, its absence is a failure.
      if (probe.isRequired) throw new Error(`CABINET_TEST_DOCKER is "required", and ${text}`);
      process.stdout.write(`${text}\n`);
    },
  );
});

describe.runIf(probe.kind === 'answers')('a node on one NATS server in a container', () => {
  let world: EngineWorld;
  let client: Client;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'testcontainers' });
    await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-CORE-3: no accepted task is lost when it is paused, killed and stopped under load', async () => {
    const faults = [
      async () => {
        await world.nats.freeze();
        await world.nats.resume();
      },
      async () => {
        await world.nats.kill();
        await world.nats.restart();
      },
      async () => world.nats.restart(),
    ];
    for (const [index, fault] of faults.entries()) {
      const submitted = world.submitOrders(client, `one-${index + 1}`, orderCount);
      await world.ledger.interrupt(30, 'received', fault);
      await submitted;
    }
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    expect(report.tasks.size).toBe(faults.length * orderCount);
    expect(await world.nats.log()).toContain('Server is ready');
  });
});

describe.runIf(probe.kind === 'answers')('a node on three NATS servers in containers', () => {
  let world: EngineWorld;
  let client: Client;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'testcontainers', servers: 3, extraConfig: quickPings });
    await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-CORE-3 R-LOCK-1: no accepted task is lost when the leader of its stream is paused', async () => {
    const submitted = world.submitOrders(client, 'pause', orderCount);
    const leader = await faultAtLeader(async (index) => world.nats.freeze(index));
    await untilLedByAnother(leader);
    await world.nats.resume(leader);
    await submitted;
    await expectNothingLost();
  });

  it('R-CORE-3 R-LOCK-1: no accepted task is lost when the leader of its stream is killed', async () => {
    const submitted = world.submitOrders(client, 'kill', orderCount);
    const leader = await faultAtLeader(async (index) => world.nats.kill(index));
    await untilLedByAnother(leader);
    await world.nats.restart(leader);
    await submitted;
    await expectNothingLost();
  });

  it('R-CORE-3 R-LOCK-1: no accepted task is lost when the leader of its stream is cut off from the others, but not from its clients', async () => {
    const submitted = world.submitOrders(client, 'partition', orderCount);
    const leader = await faultAtLeader(async (index) => world.nats.partition(index));
    await untilLedByAnother(leader);
    await world.nats.heal(leader);
    await submitted;
    await expectNothingLost();
  });

  it('R-FAIL-1: without a quorum callers get an error within their deadline and nothing is accepted; work resumes within 10 s of the next leader', async () => {
    await world.submitOrders(client, 'before', orderCount);
    const leader = await world.journalLeader();
    const cutOff = [0, 1, 2].filter((index) => index !== leader);
    for (const index of cutOff) await world.nats.partition(index);
    await eventually('no server knows a leader with a quorum', async () => !(await canWrite(leader)), 30_000);
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
    for (const index of cutOff) await world.nats.heal(index);
    await eventually('the stream has a leader with a quorum', () => canWrite(leader), 60_000);
    const ledAt = performance.now();
    await world.submitOrders(client, 'after', 1);
    expect(performance.now() - ledAt).toBeLessThan(resumeLimitMs);
    await expectNothingLost();
  });

  /** Makes a fault in the middle of an effect, at the server that leads the journal's stream then. */
  async function faultAtLeader(fault: (index: number) => Promise<void>): Promise<number> {
    let leader = -1;
    await world.ledger.interrupt(30, 'received', async () => {
      leader = await world.journalLeader();
      await fault(leader);
    });
    return leader;
  }

  async function expectNothingLost(): Promise<void> {
    await world.untilAllEnd(client);
    await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    await world.expectAllDone();
  }

  /** Resolves when another server leads the stream, as a third one tells. */
  async function untilLedByAnother(former: number): Promise<void> {
    const witness = (former + 1) % 3;
    await eventually(
      'another server leads the stream',
      async () => {
        const leader = await leaderSeenBy(witness);
        return leader !== '' && leader !== `n${former}`;
      },
      60_000,
    );
  }

  /** Whether the stream's leader, as one server knows it, hears of a majority. */
  async function canWrite(index: number): Promise<boolean> {
    return (await leaderSeenBy(index)) !== '';
  }

  async function leaderSeenBy(index: number): Promise<string> {
    const connection = await connect({ servers: world.nats.urls[index] ?? '', reconnect: false });
    try {
      const answer = await connection.request(`$JS.API.STREAM.INFO.${journalStream('it')}`, '', { timeout: 1_000 });
      return answer.json<{ readonly cluster?: { readonly leader?: string } }>().cluster?.leader ?? '';
    } catch {
      return '';
    } finally {
      await connection.close();
    }
  }
});
