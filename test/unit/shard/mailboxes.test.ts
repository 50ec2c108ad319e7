import { describe, expect, it } from 'vitest';

import { HeldDrivers } from '../../support/held-drivers.ts';
import { Gate, tapJournal, tapSnapshots } from '../../support/port-taps.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';
import type { EngineConfig } from '../../../src/core/config.ts';

/** A world whose journal takes appends only while its gate is open. */
async function gated(config: Partial<EngineConfig> = {}) {
  const drivers = new HeldDrivers();
  const gate = new Gate();
  const lookups = new Gate();
  const world = new ShardWorld({ pipelines: [aPipeline({ run: drivers.run })], config });
  const { journal, snapshots } = world.test;
  const engine = world.engine('node-1', {
    journal: tapJournal(journal, async (call, make) => {
      if (call === 'journal.append') await gate.pass();
      return make();
    }),
    snapshots: tapSnapshots(snapshots, async (call, make) => {
      if (call === 'snapshots.findFinished' || call === 'snapshots.finishedIds') await lookups.pass();
      return make();
    }),
  });
  return { world, engine, gate, lookups, drivers };
}

describe('a mailbox', () => {
  it('MAILBOX_FULL: refuses what is over its capacity, with how long to wait, and nothing else', async () => {
    const { world, engine, lookups } = await gated({ mailboxCapacity: 3 });
    lookups.shut();
    await world.test.run(engine.start());
    // Until the id is looked up, all of its commands wait.
    const sent = [world.submit('a'), world.get('a'), world.control('pause', 'a'), world.get('a'), world.get('a')];
    expect(sent.map(outcomeOf)).toEqual([undefined, undefined, undefined, 'MAILBOX_FULL', 'MAILBOX_FULL']);
    expect(sent[3]?.replies[0]).toMatchObject({ error: { retryable: true, retryAfterMs: 50, limit: '3 messages' } });
    expect(outcomeOf(world.get('b'))).toBeUndefined();
    lookups.open();
    await world.clock.advance(100);
    expect(sent.map(outcomeOf)).toEqual(['accepted', 'task', 'done', 'MAILBOX_FULL', 'MAILBOX_FULL']);
  });

  it('OVERLOADED: a shard with as many waiting commands as it may hold refuses more, of any task', async () => {
    const { world, engine, lookups } = await gated({ maxWaitingMessages: 3 });
    lookups.shut();
    await world.test.run(engine.start());
    const sent = ['a', 'b', 'c', 'd'].map((id) => world.submit(id));
    expect(sent.map(outcomeOf)).toEqual([undefined, undefined, undefined, 'OVERLOADED']);
    expect(sent[3]?.replies[0]).toMatchObject({ error: { retryable: true, retryAfterMs: 50 } });
    lookups.open();
    await world.clock.advance(100);
    expect(sent.map(outcomeOf)).toEqual(['accepted', 'accepted', 'accepted', 'OVERLOADED']);
    expect(outcomeOf(world.submit('d'))).toBeUndefined();
  });

  it('R-LOCK-1: is worked off in order, one message at a time', async () => {
    const { world, engine } = await gated();
    await world.test.run(engine.start());
    const sent = [
      world.control('pause', 'a'),
      world.submit('a'),
      world.control('pause', 'a'),
      world.control('pause', 'a'),
      world.control('resume', 'a'),
      world.control('cancel', 'a'),
      world.control('resume', 'a'),
    ];
    await world.clock.advance(100);
    expect(sent.map(outcomeOf)).toEqual([
      'TASK_NOT_FOUND',
      'accepted',
      'done',
      'NOT_ALLOWED',
      'done',
      'done',
      'NOT_ALLOWED',
    ]);
  });

  it('R-IDEM-2: holds every other message while a submit is being checked and stored', async () => {
    const { world, engine } = await gated({ inlinePayloadBytes: 256 });
    await world.test.run(engine.start());
    // Large enough to be stored outside first, which takes turns.
    const input = 'x'.repeat(1_000);
    const sent = [world.submit('a', input), world.submit('a', input), world.submit('a', 'other'), world.get('a')];
    await world.clock.advance(100);
    expect(sent.map(outcomeOf)).toEqual(['accepted', 'existing', 'TASK_CONFLICT', 'task']);
  });

  it('R-FAIL-1: drops nothing: every command has one answer or still waits, also over the limit of pending records', async () => {
    const { world, engine, gate } = await gated({ maxPendingRecords: 4, mailboxCapacity: 4, maxWaitingMessages: 20 });
    await world.test.run(engine.start());
    gate.shut();
    for (let index = 0; index < 60; index += 1) {
      if (index % 3 === 0) world.submit(`t-${index % 12}`);
      else if (index % 3 === 1) world.get(`t-${index % 12}`);
      else world.control('pause', `t-${index % 12}`);
      if (index % 10 === 0) await world.clock.advance(1);
    }
    await world.clock.advance(1);
    expect(world.unanswered).toBeGreaterThan(0);
    expect(world.sent.some((sent) => outcomeOf(sent) === 'OVERLOADED')).toBe(true);
    gate.open();
    await world.clock.advance(1_000);
    expect(world.unanswered).toBe(0);
    expect(world.sent.every(({ replies }) => replies.length === 1)).toBe(true);
  });
});

describe('an answer that costs no record', () => {
  it('R-IDEM-3: is not told before what it was read off is committed', async () => {
    const { world, engine, gate } = await gated();
    await world.test.run(engine.start());
    await world.answer(world.submit('a'));
    gate.shut();
    const sent = [
      world.submit('b'),
      world.submit('b'),
      world.submit('b', 'other'),
      world.control('pause', 'a', 'c-pause' as never),
      world.control('pause', 'a', 'c-pause' as never),
      world.control('redrive', 'a'),
    ];
    await world.clock.advance(10);
    expect(sent.map(outcomeOf)).toEqual(Array.from({ length: 6 }));
    await world.test.run(engine.abandon());
    expect(sent.map(outcomeOf)).toEqual(Array.from({ length: 6 }, () => 'OWNERSHIP_LOST'));
  });
});

describe('a read', () => {
  it('shows only what is committed', async () => {
    const { world, engine, gate, drivers } = await gated();
    await world.test.run(engine.start());
    await world.answer(world.submit('a'));
    gate.shut();
    drivers.finish('a/parse/1');
    await world.clock.advance(10);
    expect(await world.answer(world.get('a'))).toMatchObject({ task: { state: 'parse.running', seq: 1 } });
    gate.open();
    await world.clock.advance(10);
    expect(await world.answer(world.get('a'))).toMatchObject({ task: { state: 'publish.running', seq: 2 } });
  });

  it('of a task whose submit is not committed waits for it', async () => {
    const { world, engine, gate } = await gated();
    await world.test.run(engine.start());
    gate.shut();
    const submit = world.submit('a');
    await world.clock.advance(10);
    const get = world.get('a');
    await world.clock.advance(10);
    expect([outcomeOf(submit), outcomeOf(get)]).toEqual([undefined, undefined]);
    gate.open();
    await world.clock.advance(10);
    expect([outcomeOf(submit), outcomeOf(get)]).toEqual(['accepted', 'task']);
  });

  it('that was held back behind the limit of pending records is answered when they are committed', async () => {
    const { world, engine, gate } = await gated({ maxPendingRecords: 2 });
    await world.test.run(engine.start());
    gate.shut();
    const submits = [world.submit('a'), world.submit('b')];
    await world.clock.advance(10);
    const get = world.get('b');
    gate.open();
    await world.clock.advance(10);
    expect([...submits, get].map(outcomeOf)).toEqual(['accepted', 'accepted', 'task']);
    expect(engine.status.owned).toHaveLength(1);
  });

  it('TASK_NOT_FOUND: of an unknown task leaves nothing behind', async () => {
    const { world, engine } = await gated();
    await world.test.run(engine.start());
    expect(await world.answer(world.get('nobody'))).toMatchObject({
      error: { code: 'TASK_NOT_FOUND', field: 'taskId' },
    });
    expect(await world.answer(world.result('nobody'))).toMatchObject({ error: { code: 'TASK_NOT_FOUND' } });
    expect(engine.status.owned[0]?.tasks).toBe(0);
  });
});
