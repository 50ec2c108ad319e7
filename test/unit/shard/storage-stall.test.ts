import { describe, expect, it } from 'vitest';

import type { AppendOutcome } from '../../../src/ports/journal.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { tapJournal } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

/** A world whose journal answers every append with this, while it is set. */
async function stalling() {
  const drivers = new HeldDrivers();
  const pipelines = [aPipeline({ run: drivers.run })];
  const world = new ShardWorld({ pipelines });
  const trouble: { answer: AppendOutcome | null } = { answer: null };
  const journal = tapJournal(world.test.journal, (call, make) => {
    if (call !== 'journal.append' || trouble.answer === null) return make();
    return Promise.resolve(trouble.answer) as unknown as ReturnType<typeof make>;
  });
  const engine = world.engine('node-1', { journal });
  await world.test.run(engine.start());
  return { world, engine, drivers, trouble, pipelines };
}

const full: AppendOutcome = { kind: 'unknown', code: 'STORAGE_FULL', detail: 'no space' };
const silent: AppendOutcome = { kind: 'unknown', code: 'UNAVAILABLE', detail: 'no answer' };

describe('a shard whose journal takes no append', () => {
  it.each([
    { code: 'STORAGE_FULL', answer: full },
    { code: 'UNAVAILABLE', answer: silent },
  ])('R-FAIL-1: refuses new commands with $code after two seconds, and not before', async ({ code, answer }) => {
    const { world, engine, trouble } = await stalling();
    trouble.answer = answer;
    const first = world.submit('a');
    await world.clock.advance(1_900);
    const second = world.submit('b');
    await world.clock.advance(200);
    const third = world.submit('c');
    expect([first, second, third].map(outcomeOf)).toEqual([undefined, undefined, code]);
    expect(third.replies[0]).toMatchObject({
      error: { retryable: true, retryAfterMs: 500, hint: expect.stringContaining('nothing that was accepted is lost') },
    });
    expect(outcomeOf(world.control('cancel', 'a'))).toBe(code);
    expect(engine.status.owned[0]?.stalledMs).toBeGreaterThan(2_000);
  });

  it('R-FAIL-1: STORAGE_FULL: still answers reads, from what is committed', async () => {
    const { world, drivers, trouble } = await stalling();
    await world.answer(world.submit('a'));
    trouble.answer = full;
    drivers.finish();
    await world.clock.advance(10_000);
    expect(await world.answer(world.get('a'))).toMatchObject({ task: { state: 'parse.running' } });
    expect(await world.answer(world.send({ type: 'task.list', limit: 10 }))).toMatchObject({
      kind: 'page',
      tasks: [{ taskId: 'a', state: 'parse.running' }],
    });
    expect(await world.answer(world.result('a', 1_000))).toMatchObject({ kind: 'pending', state: 'parse.running' });
  });

  it('R-CORE-3 R-IDEM-1: STORAGE_FULL: loses nothing that it had taken, and starts nothing twice, when there is room again', async () => {
    const { world, drivers, trouble, pipelines } = await stalling();
    await world.answer(world.submit('a'));
    trouble.answer = full;
    drivers.finish('a/parse/1');
    const taken = ['b', 'c'].map((id) => world.submit(id));
    await world.clock.advance(30_000);
    const refused = world.submit('d');
    expect(drivers.started).toEqual(['a/parse/1']);
    trouble.answer = null;
    await world.clock.advance(2_000);
    expect(taken.map(outcomeOf)).toEqual(['accepted', 'accepted']);
    expect(outcomeOf(refused)).toBe('STORAGE_FULL');
    expect(drivers.started.toSorted()).toEqual(['a/parse/1', 'a/publish/1', 'b/parse/1', 'c/parse/1']);
    expect(await world.answer(world.submit('d'))).toMatchObject({ kind: 'accepted' });
    const entries = await world.test.run(readWholeJournal(world.test.journal, 1));
    expect(checkJournal(entries, pipelines).violations).toEqual([]);
  });

  it('lets a driver’s checkpoint wait until it is committed', async () => {
    const done: string[] = [];
    const pipelines = [
      aPipeline({
        stages: ['parse'],
        run: async (ctx) => {
          const value = await ctx.checkpoint('one', () => 'sub-step');
          done.push(value);
          return value;
        },
      }),
    ];
    const world = new ShardWorld({ pipelines });
    let isFull = false;
    const journal = tapJournal(world.test.journal, (call, make) => {
      if (call !== 'journal.append' || !isFull) return make();
      return Promise.resolve(full) as unknown as ReturnType<typeof make>;
    });
    await world.test.run(world.engine('node-1', { journal }).start());
    const submit = world.submit('a');
    await world.clock.runUntil(() => submit.replies.length > 0 || done.length > 0);
    isFull = done.length === 0;
    await world.clock.advance(1_000);
    expect(done).toEqual(isFull ? [] : ['sub-step']);
    isFull = false;
    await world.clock.advance(2_000);
    expect(done).toEqual(['sub-step']);
  });
});
