import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import { Bug } from '../../support/bug.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

const abortGraceMs = 1_000;

/** A world where any crash of an actor quarantines its task, and whose drivers do not heed their signal. */
async function served(config: Partial<EngineConfig> = {}) {
  const bug = new Bug('parse');
  const drivers = new HeldDrivers();
  drivers.ignoresAbort = true;
  const pipelines = [bug.in(aPipeline({ stages: ['parse'], run: drivers.run }))];
  const settings = { maxRunningStages: 4, abortGraceMs, actorRestartIntensity: 0, ...config };
  const [world, engine] = await ShardWorld.start({ pipelines, config: settings });
  const quarantine = async (id: string): Promise<void> => {
    bug.left = 1;
    expect(outcomeOf(world.control('pause', id))).toBe('INTERNAL');
    await world.clock.advance(0);
    bug.left = 0;
  };
  /** Runs the task's stage, puts it aside under its driver, and sends it back to work at once. */
  const redriven = async (id: string): Promise<void> => {
    await world.answer(world.submit(id));
    await quarantine(id);
    expect(await world.answer(world.control('redrive', id))).toMatchObject({ kind: 'done', state: 'parse.queued' });
    await world.clock.advance(10);
  };
  const taken = (): number => world.test.metrics.value('running_stages');
  return { world, engine, bug, drivers, quarantine, redriven, taken };
}

async function stateOf(world: ShardWorld, id: string): Promise<unknown> {
  const reply = await world.answer(world.get(id));
  return reply.kind === 'task' ? reply.task.state : reply.kind;
}

describe('a stage that is redriven while its aborted driver still stops', () => {
  it('R-LOCK-1: starts when that driver has stopped, and holds one slot from then on', async () => {
    const { world, drivers, redriven, taken } = await served();
    await redriven('a');
    expect(await stateOf(world, 'a')).toBe('parse.running');
    expect(drivers.started).toEqual(['a/parse/1']);
    expect(taken()).toBe(2);
    drivers.finish('a/parse/1');
    await world.clock.advance(0);
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2']);
    expect(taken()).toBe(1);
    drivers.finish('a/parse/2');
    await world.clock.advance(10);
    expect(await stateOf(world, 'a')).toBe('completed');
    expect(taken()).toBe(0);
  });

  it('R-LOCK-1: starts when the abort grace is over, and the driver that ignored it is counted as abandoned', async () => {
    const { world, drivers, redriven, taken } = await served();
    await redriven('a');
    await world.clock.advance(abortGraceMs - 20);
    expect(drivers.started).toEqual(['a/parse/1']);
    await world.clock.advance(20);
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2']);
    expect(world.test.metrics.value('abandoned_drivers_total')).toBe(1);
    expect(taken()).toBe(1);
    // What the one that was given up brings in the end is nothing.
    drivers.finish('a/parse/1');
    await world.clock.advance(10);
    expect(await stateOf(world, 'a')).toBe('parse.running');
  });

  it('R-LOCK-1: does not start when it is canceled before, and its slot goes to who waits', async () => {
    const { world, drivers, redriven, taken } = await served({ maxRunningStages: 2 });
    await redriven('a');
    world.submit('b');
    await world.clock.advance(10);
    expect(await stateOf(world, 'b')).toBe('parse.queued');
    expect(await world.answer(world.control('cancel', 'a'))).toMatchObject({ kind: 'done', state: 'canceled' });
    await world.clock.advance(10);
    expect(drivers.started).toEqual(['a/parse/1', 'b/parse/1']);
    expect(taken()).toBe(2);
    await world.clock.advance(abortGraceMs);
    drivers.finish('b/parse/1');
    await world.clock.advance(10);
    expect(drivers.started).toEqual(['a/parse/1', 'b/parse/1']);
    expect(taken()).toBe(0);
  });

  it('R-LOCK-1: starts once when it is put aside and redriven again before it could', async () => {
    const { world, drivers, quarantine, redriven, taken } = await served();
    await redriven('a');
    await quarantine('a');
    expect(taken()).toBe(1);
    await world.answer(world.control('redrive', 'a'));
    await world.clock.advance(10);
    expect(taken()).toBe(2);
    drivers.finish('a/parse/1');
    await world.clock.advance(10);
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/3']);
    expect(taken()).toBe(1);
  });

  it('R-LOCK-1 R-WRK-2: does not start when the shard closes before, and both slots come back', async () => {
    const { world, engine, drivers, redriven, taken } = await served();
    await redriven('a');
    await world.test.run(engine.abandon());
    await world.clock.advance(abortGraceMs + 10);
    expect(drivers.started).toEqual(['a/parse/1']);
    expect(taken()).toBe(0);
  });

  it('R-LOCK-1: is waited for by a shard that is handed over, as every start that was decided', async () => {
    const { world, engine, drivers, redriven, taken } = await served();
    await redriven('a');
    const stopped = engine.stop({ graceMs: 10_000 });
    await world.clock.advance(10);
    drivers.finish('a/parse/1');
    await world.clock.advance(10);
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2']);
    drivers.finish('a/parse/2');
    await world.test.run(stopped);
    expect(taken()).toBe(0);
    await world.test.run(world.engine('node-1').start());
    expect(await stateOf(world, 'a')).toBe('completed');
  });

  it('R-LOCK-1: never runs beside another attempt, and no slot is lost, over any order of commands, crashes and ends', async () => {
    const step = fc.record({
      kind: fc.constantFrom('submit', 'quarantine', 'redrive', 'cancel', 'finish', 'wait'),
      id: fc.constantFrom('a', 'b', 'c'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        // The grace is never over, so that no driver is given up.
        const { world, engine, bug, drivers, taken } = await served({ abortGraceMs: 600_000, maxRunningStages: 3 });
        const attemptsOf = (id: string): string[] => drivers.running.filter((label) => label.startsWith(id));
        for (const { kind, id } of steps) {
          if (kind === 'submit') world.submit(id);
          else if (kind === 'finish') drivers.finish(attemptsOf(id)[0] ?? 'none');
          else if (kind === 'wait') await world.clock.advance(10);
          else if (kind === 'quarantine') {
            bug.left = 1;
            world.control('pause', id);
            bug.left = 0;
          } else world.control(kind, id);
          for (const one of ['a', 'b', 'c']) expect(attemptsOf(one).length).toBeLessThanOrEqual(1);
          expect(taken()).toBeLessThanOrEqual(3);
        }
        await world.clock.advance(10);
        for (let rounds = 0; drivers.running.length > 0 && rounds < 20; rounds += 1) {
          drivers.finish();
          await world.clock.advance(10);
        }
        expect(taken()).toBe(0);
        await world.test.run(engine.stop({ graceMs: 0 }));
        expect(world.unanswered).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
