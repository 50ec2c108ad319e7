import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assembleCommit, encodeRecord } from '../../src/core/commit-codec.ts';
import type { Epoch, Sequence, ShardId } from '../../src/core/ids.ts';
import { eventStream, eventSubjects } from '../../src/core/subjects.ts';
import { SystemRandom } from '../../src/platform/system-random.ts';
import { eventsOfEntry, type PipelineEvent } from '../../src/projections/cloud-event.ts';
import { ensureEventStream, NatsEventStream } from '../../src/store/nats-event-stream.ts';
import { deadLettered, redriven, submitted } from '../support/array-journal.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { openStoreKit, type NatsStoreKit } from '../support/nats-store-kit.ts';
import { eventually, NatsWorld } from '../support/nats-world.ts';
import { argumentsOf } from '../support/test-processes.ts';

const shards = 4;

describe('publishers of events as processes', () => {
  let nats: NatsFixture;
  let world: NatsWorld;
  let kit: NatsStoreKit;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    nats = await startNats();
    world = new NatsWorld(nats, 1);
    kit = await openStoreKit(nats.url);
  });

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await kit.close();
    await world.stop();
  });

  async function startPublisher(namespace: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [...argumentsOf('publisher-process'), nats.url, namespace], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.push(child);
    await once(child, 'message');
    return child;
  }

  async function kill(child: ChildProcess | undefined): Promise<void> {
    if (child === undefined) throw new Error('nobody to kill');
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  it('R-EVT-1: two publish, and are killed one after the other in the middle: each event is there once and in order', async () => {
    const namespace = 'pub';
    const journal = await world.journal(namespace);
    await ensureEventStream(kit.api, { namespace, replicas: 1 });
    const stream = new NatsEventStream({ ...kit, random: new SystemRandom(), namespace });
    const last = Array.from({ length: shards }, () => 0 as Sequence);
    let serial = 0;
    const write = async (commits: number): Promise<void> => {
      for (let count = 0; count < commits; count += 1) {
        const shard = (serial += 1) % shards;
        const task = `t-${serial}`;
        const records = [submitted(task), deadLettered(task, 2), redriven(task, 3)].map(encodeRecord);
        const head = { format: 1 as const, epoch: 1 as Epoch, batch: serial, at: 1_700_000_000_000 };
        const outcome = await journal.append({
          shard: shard as ShardId,
          body: assembleCommit(head, records),
          expectedLast: last[shard] as Sequence,
          messageId: `m-${serial}`,
        });
        if (outcome.kind !== 'committed') throw new Error(`not committed: ${outcome.kind}`);
        last[shard] = outcome.sequence;
      }
    };
    await write(200);
    let publishers = await Promise.all([startPublisher(namespace), startPublisher(namespace)]);
    for (let round = 0; round < 4; round += 1) {
      const { sequence } = await stream.end();
      const writing = write(400);
      await eventually('something is published', async () => (await stream.end()).sequence > sequence + 50, 30_000);
      const [first, second] = publishers;
      await kill(round % 2 === 0 ? first : second);
      const survivor = round % 2 === 0 ? second : first;
      publishers = [survivor, await startPublisher(namespace)];
      if (round === 2) {
        // Nobody is left for a moment.
        await kill(survivor);
        publishers = [await startPublisher(namespace), publishers[1]];
      }
      await writing;
    }
    const expected: PipelineEvent[] = [];
    const { last: end } = await journal.bounds();
    const stop = new AbortController();
    for await (const entry of journal.follow({ after: 0 as Sequence, signal: stop.signal })) {
      expected.push(...eventsOfEntry(entry, namespace));
      if (entry.sequence >= end) break;
    }
    stop.abort();
    await eventually('all is published', async () => (await stream.end()).sequence >= expected.length, 60_000);
    expect((await stream.end()).sequence).toBe(expected.length);
    const name = eventStream(namespace);
    const messages = await Promise.all(
      expected.map((_, index) => kit.api.nextMessage(name, eventSubjects(namespace), index + 1)),
    );
    expect(messages.map((message) => message?.headers.get('Nats-Msg-Id'))).toEqual(expected.map(({ id }) => id));
    expect(messages.map((message) => JSON.parse(Buffer.from(message?.body ?? []).toString()) as unknown)).toEqual(
      expected,
    );
  });
});
