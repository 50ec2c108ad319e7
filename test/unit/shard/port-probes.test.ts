import { describe, expect, it } from 'vitest';

import { RetryableError } from '../../../src/index.ts';
import type { PortName } from '../../../src/core/ids.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { Gate, tapJournal } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

const breakerOpenMs = 1_000;

/** A world whose port has just opened its breaker by the failure of task `a`, with `b` and `c` in line. */
async function opened() {
  const drivers = new HeldDrivers();
  const gate = new Gate();
  const plain = aPipeline({ stages: ['parse'], run: drivers.run, delayMs: 60_000, concurrency: 1 });
  const world = new ShardWorld({
    pipelines: [onPort(plain, 'board' as PortName)],
    config: { breakerFailureThreshold: 1, breakerOpenMs, abortGraceMs: 100 },
  });
  const journal = tapJournal(world.test.journal, async (call, make) => {
    if (call === 'journal.append') await gate.pass();
    return make();
  });
  const engine = world.engine('node-1', { journal });
  await world.test.run(engine.start());
  for (const id of ['a', 'b', 'c']) await world.answer(world.submit(id));
  drivers.fail('a/parse/1', new RetryableError('down'));
  await world.clock.advance(10);
  const isOpen = (): number => world.test.metrics.value('port_breaker_open');
  expect([isOpen(), drivers.started]).toEqual([1, ['a/parse/1']]);
  const taken = (): number => world.test.metrics.value('running_stages');
  return { world, engine, gate, drivers, isOpen, taken };
}

function onPort(definition: PipelineDefinition, port: PortName): PipelineDefinition {
  const stages = definition.stages.map((stage) => ({ ...stage, port }));
  return { ...definition, stages, stage: (name) => ({ ...definition.stage(name), port }) };
}

describe('the probe of a port', () => {
  it('R-FAIL-2: goes to the next in line when its task was paused meanwhile, and says nothing of the port', async () => {
    const { world, gate, drivers, isOpen, taken } = await opened();
    gate.shut();
    world.control('pause', 'b');
    await world.clock.advance(breakerOpenMs);
    // It was granted to `b`, came back, and is reserved for `c`, whose start is not committed.
    expect([isOpen(), taken(), drivers.started]).toEqual([1, 1, ['a/parse/1']]);
    gate.open();
    await world.clock.advance(10);
    expect([isOpen(), drivers.running]).toEqual([1, ['c/parse/1']]);
    drivers.finish();
    await world.clock.advance(10);
    expect([isOpen(), taken()]).toEqual([0, 0]);
  });

  it('R-FAIL-2: that was never started comes back when the shard is lost, and says nothing of the port', async () => {
    const { world, engine, gate, drivers, isOpen, taken } = await opened();
    gate.shut();
    await world.clock.advance(breakerOpenMs);
    expect(taken()).toBe(1);
    await world.test.run(engine.abandon());
    expect([isOpen(), taken(), drivers.started]).toEqual([1, 0, ['a/parse/1']]);
  });

  it('R-FAIL-2: that is canceled says nothing of the port, and the next one tries it', async () => {
    const { world, drivers, isOpen } = await opened();
    await world.clock.advance(breakerOpenMs);
    expect(drivers.running).toEqual(['b/parse/1']);
    await world.answer(world.control('cancel', 'b'));
    await world.clock.advance(10);
    expect([isOpen(), drivers.running]).toEqual([1, ['c/parse/1']]);
  });

  it('R-FAIL-2: is not made by a shard that is handed over, and leaves no timer behind', async () => {
    const { world, engine, drivers, taken } = await opened();
    await world.test.run(engine.stop({ graceMs: 0 }));
    await world.clock.advance(10 * breakerOpenMs);
    expect([drivers.started, taken(), world.clock.pendingTimers]).toEqual([['a/parse/1'], 0, 0]);
  });
});
