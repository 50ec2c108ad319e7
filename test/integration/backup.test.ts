import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectClient } from '../../src/client.ts';
import {
  blobBucket,
  deadLetterBucket,
  journalStream,
  nodeBucket,
  shardBucket,
  snapshotBucket,
} from '../../src/core/subjects.ts';
import { bucketStream, objectStream } from '../../src/store/bucket-keys.ts';
import { CliFolder, until, type RunningDev } from '../support/cli.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { backUpStream, restoreStream, type StreamBackup } from '../support/stream-backup.ts';

// What docs/OPERATING.md says of backups, done as it says.

describe('a copy of the data folder, taken with the node stopped', () => {
  let folder: CliFolder;

  beforeAll(async () => {
    folder = await CliFolder.create();
  });

  afterAll(() => folder.remove());

  const start = (): Promise<RunningDev> =>
    folder.startCommand(['start', '-o', 'json', '--node-id', 'a', '--grace', '1s']);

  it('has every task that was accepted before, which go on where they were; what came after is gone', async () => {
    const first = await start();
    const before = await connectClient({ servers: String(first.ready['natsUrl']) });
    await before.submit('demo', { n: 21 }, { taskId: 'done' });
    await before.submit('gated', { gate: 'later' }, { taskId: 'held' });
    await until('it is done', async () => (await before.get('done'))?.status === 'completed');
    await until('it is held', async () => (await before.get('held'))?.state === 'hold.running');
    await before.close();
    expect(await first.stop()).toBe(0);

    const data = join(folder.path, '.cabinet');
    const copy = join(folder.path, 'backup');
    await cp(data, copy, { recursive: true, preserveTimestamps: true });

    const second = await start();
    const between = await connectClient({ servers: String(second.ready['natsUrl']) });
    await between.submit('demo', { n: 1 }, { taskId: 'after' });
    await until('it is done', async () => (await between.get('after'))?.status === 'completed');
    await between.close();
    expect(await second.stop()).toBe(0);

    await rm(data, { recursive: true });
    await rename(copy, data);
    const third = await start();
    const restored = await connectClient({ servers: String(third.ready['natsUrl']) });
    expect(await restored.get('done')).toMatchObject({ status: 'completed' });
    expect(await restored.get('held')).toMatchObject({ stage: 'hold' });
    await expect(restored.get('after')).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    await folder.write('later', '');
    await until('it ends', async () => (await restored.get('held'))?.status === 'completed');
    await restored.close();
    expect(await third.stop()).toBe(0);
  });
});

describe('backups of the streams, taken while the engine works', () => {
  let world: EngineWorld;
  let empty: NatsFixture;

  const namespace = 'it';
  const buckets = [shardBucket, nodeBucket, snapshotBucket, deadLetterBucket].map((name) =>
    bucketStream(name(namespace)),
  );
  const journal = journalStream(namespace);
  const payloads = objectStream(blobBucket(namespace));

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary' });
  });

  afterEach(() => empty?.stop());
  afterAll(() => world?.stop());

  async function backUp(streams: readonly string[]): Promise<readonly StreamBackup[]> {
    const backups: StreamBackup[] = [];
    for (const stream of streams) backups.push(await backUpStream(world.nats.url, stream));
    return backups;
  }

  async function restore(backups: readonly StreamBackup[]): Promise<void> {
    empty = await startNats({ provider: 'binary' });
    for (const backup of backups) await restoreStream(empty.url, backup);
  }

  it('R-IDEM-1: buckets first, then the journal, then payloads: all tasks end, and no effect comes twice', async () => {
    const engine = await world.startEngine();
    const client = await world.connect();
    const ids = await world.submitOrders(client, 'kept', 60);
    const backups = await backUp([...buckets, journal, payloads]);
    // The first server is lost, with whatever it did after the backup.
    await engine.kill();
    await restore(backups);

    const next = await world.startEngine({ servers: empty.urls, nodeId: 'n-2' });
    const restored = await world.connect({ servers: empty.urls });
    await world.untilAllEnd(restored);
    for (const taskId of ids) {
      expect([taskId, (await restored.get(taskId))?.status]).toEqual([taskId, 'completed']);
      // The receiver honors the key: what ran after the backup, and again after the restore, was applied once.
      expect(world.ledger.appliedCount(world.keyOf(taskId, 'charge'))).toBe(1);
    }
    expect(await next.terminate()).toBe(0);
  });

  it('LOG_REGRESSED: a journal that is older than the buckets beside it is refused, and nothing is written', async () => {
    const engine = await world.startEngine();
    const client = await world.connect();
    const [early] = await backUp([journal]);
    await world.submitOrders(client, 'later', 20);
    await world.untilAllEnd(client);
    // Its last act are checkpoints: until one has passed the end of the early journal, the buckets are not the newer ones.
    expect(await engine.terminate()).toBe(0);
    const late = await backUp([...buckets, payloads]);
    await restore([early as StreamBackup, ...late]);
    const next = world.spawnEngine({ servers: empty.urls });
    expect(await next.exit(60_000)).toBe(1);
    expect(next.said('failed')).toMatchObject({ code: 'LOG_REGRESSED' });
  });
});
