import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { OperatorResolution } from '../../../src/core/messages.ts';
import type { LookupAnswer, LookupContext } from '../../../src/index.ts';
import { definePipeline } from '../../../src/index.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { commitsOf, taskOf } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld, type Sent } from '../../support/shard-world.ts';

/** A lookup that answers when the test says so, whatever its signal says. */
class HeldLookups {
  readonly asked: LookupContext[] = [];
  #answer: ((answer: LookupAnswer<never>) => void)[] = [];

  readonly lookup = (ctx: LookupContext): Promise<LookupAnswer<never>> => {
    this.asked.push(ctx);
    return new Promise((resolve) => this.#answer.push(resolve));
  };

  answer(answer: { readonly kind: 'done'; readonly output: unknown } | { readonly kind: 'notDone' }): void {
    for (const tell of this.#answer.splice(0)) tell(answer as LookupAnswer<never>);
  }
}

/** A world where task `a` lost its owner in the stage `publish`, and is `unknown`. */
async function parked({ asks = false, inlinePayloadBytes = 256 } = {}) {
  const drivers = new HeldDrivers();
  const lookups = new HeldLookups();
  /** Values that the output schema of `publish` has looked at. */
  const checked: unknown[] = [];
  const output = z.any().refine((value) => {
    checked.push(value);
    return typeof value === 'string';
  });
  const stage = { retry: { maxAttempts: 3, retryOn: ['retryable' as const] }, timeoutMs: 60_000 };
  const card = definePipeline({
    name: 'card',
    version: 1,
    input: z.any(),
    stages: (pipeline) =>
      pipeline
        .stage('publish', {
          ...stage,
          output,
          effect: 'atMostOnce',
          driver: asks ? { execute: drivers.run as never, lookup: lookups.lookup } : (drivers.run as never),
        })
        .stage('export', { ...stage, output: z.any(), driver: drivers.run as never }),
  });
  const [world, engine] = await ShardWorld.start({ pipelines: [card], config: { inlinePayloadBytes } });
  await world.answer(world.submit('a'));
  await world.test.run(engine.abandon());
  const heir = world.engine('node-1');
  await world.test.run(heir.start());
  await world.untilState('a', 'publish.unknown');
  checked.length = 0;
  const resolve = (resolution: OperatorResolution, commandId = 'c-resolve'): Sent =>
    world.send({ type: 'task.resolve', taskId: taskOf('a'), commandId: commandId as never, resolution });
  const resolutions = async (): Promise<number> => {
    const records = (await commitsOf(world.test.journal)).flatMap(({ commit }) => commit.records);
    return records.filter(({ event }) => event.type === 'outcome.resolved').length;
  };
  return { world, engine: heir, drivers, lookups, checked, resolve, resolutions };
}

const completed = { kind: 'completed', output: 'p-1' } as const;
const recorded = { kind: 'done', taskId: 'a', state: 'export.running', repeated: true };

describe('a resolve with an output', () => {
  it('NOT_ALLOWED: that was given for an earlier state is refused before its output is looked at', async () => {
    const { world, checked, resolutions } = await parked();
    const resolve = (expectedSeq: number, output: unknown): Sent =>
      world.send({
        type: 'task.resolve',
        taskId: taskOf('a'),
        commandId: 'c-resolve' as never,
        expectedSeq,
        resolution: { kind: 'completed', output: output as never },
      });
    expect(await world.answer(resolve(1, 7))).toMatchObject({ error: { code: 'NOT_ALLOWED', field: 'expectedSeq' } });
    expect(checked).toEqual([]);
    expect(await resolutions()).toBe(0);
    const view = await world.answer(world.send({ type: 'task.get', taskId: taskOf('a') }));
    if (view.kind !== 'task') throw new Error(`no view, but ${view.kind}`);
    expect(await world.answer(resolve(view.task.seq, 'p-1'))).toMatchObject({ kind: 'done', repeated: false });
  });

  it('R-IDEM-2: repeated with its id after the task went on gets the recorded answer, and its output is not looked at', async () => {
    const { world, checked, resolve, resolutions } = await parked();
    expect(await world.answer(resolve(completed))).toMatchObject({ ...recorded, repeated: false });
    expect(checked).toEqual(['p-1']);
    expect(await world.answer(resolve(completed))).toEqual(recorded);
    expect(await world.answer(resolve({ kind: 'completed', output: 7 }))).toEqual(recorded);
    expect(checked).toEqual(['p-1']);
    expect(await resolutions()).toBe(1);
  });

  it('R-IDEM-2: repeated gets the recorded answer from the next owner, and after the task has ended', async () => {
    const { world, engine, drivers, resolve, resolutions } = await parked();
    await world.answer(resolve(completed));
    await world.test.run(engine.stop({ graceMs: 0 }));
    await world.test.run(world.engine('node-1').start());
    expect(await world.answer(resolve(completed))).toEqual(recorded);
    drivers.ignoresAbort = true;
    await world.untilState('a', 'export.running');
    drivers.finish();
    await world.untilState('a', 'completed');
    // Forgotten in memory by now, and read back from its snapshot.
    await world.clock.advance(60_000);
    expect(await world.answer(resolve(completed))).toEqual(recorded);
    expect(await resolutions()).toBe(1);
  });

  it('R-IDEM-2: that comes again while the first is being stored has one effect', async () => {
    const { world, resolve, resolutions } = await parked();
    const large = { kind: 'completed', output: 'x'.repeat(1_000) } as const;
    const sent = [resolve(large), resolve(large), resolve(large)];
    await world.clock.advance(10);
    expect(sent.map(({ replies }) => replies)).toEqual([[{ ...recorded, repeated: false }], [recorded], [recorded]]);
    expect(await resolutions()).toBe(1);
  });

  it('R-IDEM-2: repeated with its id when the task is unknown once more settles nothing, whatever its output', async () => {
    const { world, engine, checked, resolve, resolutions } = await parked();
    await world.answer(resolve({ kind: 'notDone' }));
    await world.untilState('a', 'publish.running');
    await world.test.run(engine.abandon());
    await world.test.run(world.engine('node-1').start());
    await world.untilState('a', 'publish.unknown');
    const first = { kind: 'done', taskId: 'a', state: 'publish.queued', repeated: true };
    expect(await world.answer(resolve({ kind: 'completed', output: 7 }))).toEqual(first);
    expect(await world.answer(resolve(completed))).toEqual(first);
    expect(checked).toEqual([]);
    expect(await resolutions()).toBe(1);
    await world.untilState('a', 'publish.unknown');
  });

  it('R-IDEM-2 NOT_ALLOWED: in another state is refused without a look at its output', async () => {
    const { world, checked, resolve } = await parked();
    await world.answer(resolve(completed));
    checked.length = 0;
    for (const output of ['p-1', 7, 'x'.repeat(17 * 1024 * 1024)]) {
      expect(await world.answer(resolve({ kind: 'completed', output }, 'c-other'))).toMatchObject({
        error: { code: 'NOT_ALLOWED', got: 'export.running' },
      });
    }
    expect(checked).toEqual([]);
    await world.answer(world.control('cancel', 'a'));
    expect(outcomeOf(resolve(completed, 'c-other'))).toBe('NOT_ALLOWED');
  });

  it('R-IDEM-2 INVALID_ARGUMENT: with the id of another command of the task is refused, in every state', async () => {
    const { world, checked, resolve } = await parked();
    const id = 'c-redrive' as never;
    await world.answer(world.control('redrive', 'a', id));
    expect(await world.answer(resolve(completed, 'c-redrive'))).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', field: 'commandId' },
    });
    expect(checked).toEqual([]);
  });

  it('INVALID_ARGUMENT: of the wrong shape changes nothing, and its id may be used again', async () => {
    const { world, checked, resolve, resolutions } = await parked();
    expect(await world.answer(resolve({ kind: 'completed', output: 7 }))).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', field: 'output' },
    });
    expect(checked).toEqual([7]);
    expect(await resolutions()).toBe(0);
    expect(await world.answer(resolve(completed))).toMatchObject({ kind: 'done', repeated: false });
  });
});

describe('a lookup that is under way', () => {
  it.each([
    ['resolved as completed', 'export.running', completed],
    ['resolved as not done', 'publish.running', { kind: 'notDone' }],
    ['resolved as failed', 'deadLettered.publish', { kind: 'failed', message: 'lost' }],
  ] as const)('R-IDEM-3: is aborted when its task is %s, and what it says then is nothing', async (_what, to, how) => {
    const { world, lookups, resolve, resolutions } = await parked({ asks: true });
    expect(lookups.asked.map(({ signal }) => signal.aborted)).toEqual([false]);
    await world.answer(resolve(how));
    await world.untilState('a', to);
    expect(lookups.asked.map(({ signal }) => signal.aborted)).toEqual([true]);
    expect(lookups.asked[0]?.signal.reason).toMatchObject({ code: 'CANCELED' });
    lookups.answer({ kind: 'done', output: 'late' });
    await world.clock.advance(10);
    await world.untilState('a', to);
    expect(await resolutions()).toBe(1);
    expect(world.test.logger.messages('warn')).not.toContain('a lookup failed');
  });

  it.each([
    ['cancel', 'canceled'],
    ['redrive', 'publish.running'],
  ] as const)('R-IDEM-3: is aborted by a %s', async (name, to) => {
    const { world, lookups } = await parked({ asks: true });
    await world.answer(world.control(name, 'a'));
    await world.untilState('a', to);
    expect(lookups.asked.map(({ signal }) => signal.aborted)).toEqual([true]);
    lookups.answer({ kind: 'notDone' });
    await world.clock.advance(60_000);
    expect(lookups.asked).toHaveLength(1);
  });

  it('R-IDEM-3: is not aborted by a command that leaves the task unknown, and is believed', async () => {
    const { world, lookups, resolve } = await parked({ asks: true });
    expect(await world.answer(resolve({ kind: 'completed', output: 7 }))).toMatchObject({ kind: 'error' });
    expect(outcomeOf(world.control('resume', 'a'))).toBe('NOT_ALLOWED');
    expect(lookups.asked.map(({ signal }) => signal.aborted)).toEqual([false]);
    lookups.answer({ kind: 'done', output: 'p-1' });
    await world.untilState('a', 'export.running');
  });
});
