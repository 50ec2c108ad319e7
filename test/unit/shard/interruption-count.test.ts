import { expect, it } from 'vitest';

import { never, tapJournal } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

it('I26, R-FAIL-1: a start is counted although the process dies after its commit and before the driver’s first line', async () => {
  let calls = 0;
  const run = (): string => {
    calls += 1;
    return 'done';
  };
  const world = new ShardWorld({ pipelines: [aPipeline({ stages: ['work'], run })], config: { maxInterruptions: 3 } });
  /** A process that dies when its n-th append is stored, and before it hears of it. */
  const mortal = async (lastAppend: number): Promise<{ readonly isDead: boolean }> => {
    const process = { isDead: false };
    let appends = 0;
    const journal = tapJournal(world.test.journal, async (call, make) => {
      const result = await make();
      if (call === 'journal.append') appends += 1;
      if (appends < lastAppend) return result;
      process.isDead = true;
      void engine.abandon();
      return never();
    });
    const engine = world.engine('node-1', { journal });
    await world.test.run(engine.start());
    return process;
  };

  // The claim, and the submit that starts the stage.
  const first = await mortal(2);
  world.submit('poison');
  await world.clock.runUntil(() => first.isDead);
  for (let losses = 1; losses <= 3; losses += 1) {
    // The claim, the interruption, and the next start.
    const next = await mortal(3);
    await world.clock.runUntil(() => next.isDead);
  }
  await world.test.run(world.engine('node-1').start());
  expect(await world.answer(world.get('poison'))).toMatchObject({
    task: {
      state: 'deadLettered.work',
      stages: [{ attempts: 4, interruptions: 4 }],
      failure: { class: 'interrupted', message: 'stage work was running at 4 losses of its owner' },
    },
  });
  expect(calls).toBe(0);
});
