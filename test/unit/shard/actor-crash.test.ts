import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import { Bug } from '../../support/bug.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

async function buggy(stage: string, config: Partial<EngineConfig> = {}) {
  const bug = new Bug(stage);
  const drivers = new HeldDrivers();
  const pipelines = [bug.in(aPipeline({ run: drivers.run })), aPipeline({ name: 'healthy', run: drivers.run })];
  const [world, engine] = await ShardWorld.start({ pipelines, config });
  return { world, engine, bug, drivers };
}

async function statusOf(world: ShardWorld, id: string) {
  const reply = await world.answer(world.get(id));
  if (reply.kind !== 'task') throw new Error(`got ${reply.kind}`);
  return reply.task;
}

describe('an actor that crashes', () => {
  it('R-FAIL-1: on an outcome of its own is rebuilt and handles it again', async () => {
    const { world, bug, drivers } = await buggy('publish', { actorRestartIntensity: 3 });
    await world.answer(world.submit('a'));
    bug.left = 2;
    drivers.finish();
    await world.clock.advance(10);
    expect(bug.crashes).toBe(2);
    expect(await statusOf(world, 'a')).toMatchObject({ state: 'publish.running', failure: null });
    expect(world.test.metrics.value('actor_restarts_total')).toBe(2);
    expect(world.test.metrics.value('quarantines_total')).toBe(0);
  });

  it('R-FAIL-1: past its intensity is quarantined as poison, with what crashed it, and its siblings go on', async () => {
    const { world, bug, drivers } = await buggy('publish', { actorRestartIntensity: 2 });
    for (const id of ['sibling', 'a']) await world.answer(world.submit(id, id, id === 'a' ? 'card' : 'healthy'));
    bug.left = Number.POSITIVE_INFINITY;
    drivers.finish();
    await world.clock.advance(10);
    bug.left = 0;
    expect(bug.crashes).toBe(3);
    expect(await statusOf(world, 'a')).toMatchObject({
      state: 'deadLettered.parse',
      failure: { class: 'poison', code: 'POISON', message: 'stage.settled crashed the actor: a bug' },
      legalCommands: expect.arrayContaining(['redrive']),
    });
    expect(await statusOf(world, 'sibling')).toMatchObject({ state: 'publish.running' });
    expect(world.test.metrics.value('quarantines_total')).toBe(1);
    expect(world.test.logger.messages('error')).toContain('an actor crashed');
  });

  it('R-CORE-3: and was quarantined stays so after a restart, and is redriven', async () => {
    const { world, engine, bug, drivers } = await buggy('publish', { actorRestartIntensity: 0 });
    await world.answer(world.submit('a'));
    bug.left = 1;
    drivers.finish();
    await world.clock.advance(10);
    await world.test.run(engine.abandon());
    await world.test.run(world.engine('node-1').start());
    expect(await statusOf(world, 'a')).toMatchObject({ state: 'deadLettered.parse' });
    expect(await world.answer(world.control('redrive', 'a'))).toMatchObject({ kind: 'done' });
    await world.clock.advance(10);
    expect(await statusOf(world, 'a')).toMatchObject({ state: 'parse.running', attempt: 2 });
  });

  it('INTERNAL: on a command tells its caller so, keeps its state, and takes the next command', async () => {
    const { world, bug } = await buggy('parse');
    await world.answer(world.submit('a'));
    bug.left = 1;
    expect(await world.answer(world.control('pause', 'a'))).toMatchObject({
      kind: 'error',
      error: { code: 'INTERNAL', retryable: false, message: 'task a: task.pause crashed its actor' },
    });
    expect(await statusOf(world, 'a')).toMatchObject({ state: 'parse.running', pausing: false });
    expect(await world.answer(world.control('pause', 'a'))).toMatchObject({ kind: 'done' });
  });

  it('INTERNAL: on its submit tells its caller so, leaves no task, and takes the same submit again', async () => {
    const { world, engine, bug } = await buggy('parse');
    bug.left = 1;
    expect(outcomeOf(world.submit('a'))).toBeUndefined();
    await world.clock.advance(10);
    expect(world.sent.map(outcomeOf)).toEqual(['INTERNAL']);
    expect(engine.status.owned[0]?.tasks).toBe(0);
    expect(await world.answer(world.submit('a'))).toMatchObject({ kind: 'accepted' });
  });

  it('R-FAIL-1: now and then, over longer than the period, is never quarantined', async () => {
    const { world, bug } = await buggy('parse', { actorRestartIntensity: 1, actorRestartPeriodMs: 1_000 });
    await world.answer(world.submit('a'));
    for (let crash = 0; crash < 5; crash += 1) {
      bug.left = 1;
      expect(outcomeOf(world.control('pause', 'a'))).toBe('INTERNAL');
      await world.clock.advance(1_001);
    }
    expect(await statusOf(world, 'a')).toMatchObject({ state: 'parse.running' });
  });

  it('R-FAIL-1: also while it is quarantined leaves the shard and its siblings alone', async () => {
    const { world, engine, bug, drivers } = await buggy('parse', { actorRestartIntensity: 0 });
    for (const id of ['sibling', 'a']) await world.answer(world.submit(id, id, id === 'a' ? 'card' : 'healthy'));
    bug.left = Number.POSITIVE_INFINITY;
    world.control('pause', 'a');
    await world.clock.advance(10);
    bug.left = 0;
    drivers.finish('sibling/parse/1');
    await world.clock.advance(10);
    expect(await statusOf(world, 'sibling')).toMatchObject({ state: 'publish.running' });
    expect(engine.status.owned).toHaveLength(1);
    expect(world.test.metrics.value('quarantines_total')).toBe(0);
  });

  it('R-WRK-2: on the grant of a slot gives the slot back when it is quarantined', async () => {
    const { world, bug, drivers } = await buggy('parse', { actorRestartIntensity: 0, maxRunningStages: 1 });
    await world.answer(world.submit('first', 'x', 'healthy'));
    await world.answer(world.submit('a'));
    await world.answer(world.submit('next', 'x', 'healthy'));
    bug.left = 1;
    await world.answer(world.control('cancel', 'first'));
    await world.clock.advance(10);
    expect(await statusOf(world, 'a')).toMatchObject({ status: 'deadLettered' });
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['next/parse/1']);
    expect(world.test.metrics.value('running_stages')).toBe(1);
  });
});
