import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { HeldDrivers } from '../../support/held-drivers.ts';
import { Gate, tapJournal } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

/** A world whose journal answers appends only while its gate is open, and whose two slots are easily used up. */
async function gated(settings: Parameters<typeof aPipeline>[0] = {}) {
  const drivers = new HeldDrivers();
  const gate = new Gate();
  const pipelines = [aPipeline({ stages: ['parse', 'publish'], run: drivers.run, ...settings })];
  const world = new ShardWorld({ pipelines, config: { maxRunningStages: 2, abortGraceMs: 100, drainGraceMs: 1_000 } });
  const journal = tapJournal(world.test.journal, async (call, make) => {
    if (call === 'journal.append') await gate.pass();
    return make();
  });
  const engine = world.engine('node-1', { journal });
  await world.test.run(engine.start());
  const running = (): number => world.test.metrics.value('running_stages');
  return { world, engine, gate, drivers, running };
}

describe('the slots of a node', () => {
  it('R-WRK-2: of starts whose commit was refused come back when the shard is lost', async () => {
    const { world, engine, gate, drivers, running } = await gated();
    gate.shut();
    for (const id of ['a', 'b', 'c']) world.submit(id);
    await world.clock.advance(10);
    expect(running()).toBe(2);
    const thief = world.test.createEngine('node-1', undefined, {
      serve: () => Promise.resolve({ stop: () => Promise.resolve() }),
    });
    await world.test.run(thief.start());
    gate.open();
    await world.clock.runUntil(() => engine.status.owned.length === 0);
    await world.clock.advance(10);
    expect(drivers.started).toEqual([]);
    expect(running()).toBe(0);
  });

  it('R-WRK-2: of starts whose commit is unknown come back when the shard is closed', async () => {
    const { world, engine, gate, running } = await gated();
    gate.shut();
    for (const id of ['a', 'b']) world.submit(id);
    await world.clock.advance(10);
    await world.test.run(engine.abandon());
    expect(running()).toBe(0);
  });

  it('come back when the task is paused or canceled between the grant and its start', async () => {
    const { world, drivers, running } = await gated();
    for (const id of ['a', 'b', 'c', 'd']) world.submit(id);
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['a/parse/1', 'b/parse/1']);
    // In one turn: two slots become free, and those who are next in line are held.
    drivers.finish();
    world.control('pause', 'c');
    world.control('cancel', 'd');
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['a/publish/1', 'b/publish/1']);
    drivers.finish();
    await world.clock.advance(10);
    expect(running()).toBe(0);
    world.control('resume', 'c');
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['c/parse/1']);
  });

  it('stay with a task over to its next stage, before those who wait', async () => {
    const { world, drivers } = await gated();
    for (const id of ['a', 'b', 'c']) world.submit(id);
    await world.clock.advance(10);
    drivers.finish('a/parse/1');
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['b/parse/1', 'a/publish/1']);
  });

  it('go to who waits before a task that is submitted in the same turn', async () => {
    const { world, drivers } = await gated({ stages: ['parse'], concurrency: 1 });
    world.submit('a');
    world.submit('b');
    await world.clock.advance(10);
    drivers.finish();
    for (const id of ['c', 'd', 'e']) world.submit(id);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    world.submit('f');
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['b/parse/1']);
  });

  it('R-LOCK-1: are never over the limit and never lost, over any order of commands, ends and stalls', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const command = fc.oneof(
      fc.record({
        kind: fc.constantFrom('submit', 'pause', 'resume', 'cancel', 'redrive') as fc.Arbitrary<string>,
        id,
      }),
      fc.record({ kind: fc.constantFrom('finish', 'fail', 'shut', 'open', 'wait') as fc.Arbitrary<string>, id }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 30 }), async (commands) => {
        const { world, engine, gate, drivers, running } = await gated();
        for (const { kind, id: task } of commands) {
          if (kind === 'submit') world.submit(task);
          else if (kind === 'finish') drivers.finish(drivers.running.find((label) => label.startsWith(task)) ?? 'none');
          else if (kind === 'fail')
            drivers.fail(drivers.running.find((label) => label.startsWith(task)) ?? 'none', new Error('x'));
          else if (kind === 'shut') gate.shut();
          else if (kind === 'open') gate.open();
          else if (kind === 'wait') await world.clock.advance(50);
          else world.control(kind as 'pause', task);
          expect(drivers.running.length).toBeLessThanOrEqual(2);
          expect(running()).toBeLessThanOrEqual(2);
        }
        gate.open();
        await world.clock.advance(100);
        // Every slot that is taken has its driver.
        expect(running()).toBe(drivers.running.length);
        await world.test.run(engine.stop({ graceMs: 100 }));
        expect(running()).toBe(0);
        expect(world.unanswered).toBe(0);
        expect(world.sent.every(({ replies }) => replies.length === 1)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});
