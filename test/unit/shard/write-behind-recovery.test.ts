import { describe, expect, it } from 'vitest';

import { TestEngine } from '../../../src/testing.ts';
import { tapSnapshots, never, type PortTap } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';

const waiting = aPipeline({
  stages: ['parse'],
  delayMs: 3_600_000,
  run: (ctx) => {
    if (ctx.attempt === 1) throw new Error('not yet');
    return 'done';
  },
});

/** Lets every call through up to and including the first checkpoint, and none after it: the process dies there. */
function dieAfterFirstCheckpoint(): { readonly tap: PortTap; readonly isDead: () => boolean } {
  let dead = false;
  const tap: PortTap = async (call, make) => {
    if (dead) return never();
    const result = await make();
    if (call !== 'snapshots.checkpoint') return result;
    dead = true;
    return never();
  };
  return { tap, isDead: () => dead };
}

describe('a checkpoint that comes early', () => {
  it('R-CORE-3: never tells more than what one commit has changed, so no task of that commit is lost', async () => {
    const test = TestEngine.create({ pipelines: [waiting], config: { snapshotEveryRecords: 1 } });
    const death = dieAfterFirstCheckpoint();
    const doomed = test.createEngine('node-1', undefined, { snapshots: tapSnapshots(test.snapshots, death.tap) });
    await test.run(doomed.start());
    // One envelope, so one commit.
    const submits = test.client.submitMany(
      waiting,
      ['a', 'b', 'c'].map((id) => ({ taskId: id, input: id })),
    );
    await test.run(submits);
    await test.clock.runUntil(death.isDead);
    void doomed.abandon();
    await test.restart();
    for (const id of ['a', 'b', 'c']) expect((await test.get(id as never)).taskId).toBe(id);
    await test.stop();
  });

  it('R-CORE-3: of a new owner waits until it has every task it took over, so a second crash loses none', async () => {
    const test = await TestEngine.start({ pipelines: [waiting], config: { snapshotEveryRecords: 2 } });
    const ids = ['a', 'b', 'c', 'd', 'e'];
    await test.run(Promise.all(ids.map((id) => test.client.submit(waiting, id, { taskId: id }))));
    await test.advance(10_000);
    await test.kill();
    const death = dieAfterFirstCheckpoint();
    const doomed = test.createEngine('node-1', undefined, { snapshots: tapSnapshots(test.snapshots, death.tap) });
    await test.run(doomed.start());
    await test.clock.runUntil(death.isDead);
    void doomed.abandon();
    await test.restart();
    for (const id of ids) expect((await test.get(id as never)).status).toBe('backingOff');
    await test.stop();
  });
});
