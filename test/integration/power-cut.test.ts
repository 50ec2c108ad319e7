import { afterEach, describe, expect, it } from 'vitest';
import { EngineWorld } from '../support/engine-world.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { eventually } from '../support/nats-world.ts';

/** How often the power goes; more often in a long run. */
const cuts = Number(process.env['CABINET_POWER_CUTS'] ?? 3);
const diskBytes = 512 * 1024 * 1024;
const ordersPerCut = 60;

// Only root may mount. Who is not root is told that this was not tried.
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('power-cut.test.ts needs root to mount a disk, and was not run\n');

describe.runIf(isRoot)('the power of a NATS server is cut', () => {
  let world: EngineWorld | undefined;
  let disk: LoopDisk;

  afterEach(async () => {
    await world?.stop();
    world = undefined;
    await disk.remove();
  });

  async function start(sync: 'always' | 'default'): Promise<EngineWorld> {
    disk = await LoopDisk.create(diskBytes);
    const durability = sync === 'always' ? 'power-loss' : 'process-crash';
    world = await EngineWorld.start({ sync, parentFolder: disk.path, config: { durability } });
    // The server's configuration is a file of this disk too.
    await disk.sync();
    return world;
  }

  /**
   * The server stands still first: with the power all ends at once. One that lived on over a disk that takes nothing any more would
   * acknowledge what it could not sync, which is the failure of a disk and not of the power.
   */
  async function cutPower({ nats }: EngineWorld): Promise<void> {
    await nats.freeze();
    await disk.cut();
    await nats.kill();
    await disk.recover();
    await nats.restart();
  }

  it(
    `R-CORE-3: with sync_interval always, ${cuts} cuts in the middle of work cost no accepted task and repeat no effect`,
    async () => {
      const started = await start('always');
      const engine = await started.startEngine({ monitorUrls: started.nats.monitorUrls });
      expect(engine.logged('an acknowledgement survives a power cut')).toHaveLength(1);
      const client = await started.connect();
      for (let cut = 1; cut <= cuts; cut += 1) {
        // Accepted a moment ago, and at work: the cut comes between any two writes.
        await started.submitOrders(client, `cut${cut}`, ordersPerCut);
        await cutPower(started);
      }
      await started.untilAllEnd(client);
      await started.expectAllDone();
      expect(engine.hasExited).toBe(false);
    },
    120_000 + 30_000 * cuts,
  );

  it("R-CORE-3: with the server's default sync a cut loses accepted tasks, of which the engine had warned, and it goes on with none of them as if nothing were", async () => {
    const started = await start('default');
    const engine = await started.startEngine({ monitorUrls: started.nats.monitorUrls });
    const warning = 'an acknowledgement survives the end of any process, but not a power cut';
    expect(engine.logged(warning)).toHaveLength(1);
    const client = await started.connect();
    await started.submitOrders(client, 'before', ordersPerCut);
    await started.untilAllEnd(client);
    await disk.sync();
    const accepted = await started.submitOrders(client, 'lost', ordersPerCut);
    await cutPower(started);

    const { tasks } = await started.readJournal();
    const lost = accepted.filter((taskId) => !tasks.has(taskId));
    // That this test bites: were nothing lost here, the one above would prove nothing.
    expect(lost.length).toBeGreaterThan(0);
    await eventually(
      'the engine says that the journal was set back',
      () => engine.log.some(({ err }) => err?.code === 'LOG_REGRESSED'),
      60_000,
    );
  }, 180_000);
});
