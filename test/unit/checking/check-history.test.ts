import { describe, expect, it } from 'vitest';
import { checkHistory, maximumToldViolations } from '../../../src/checking/check-history.ts';
import { HistoryRecorder } from '../../../src/checking/history-recorder.ts';
import type { History } from '../../../src/checking/history.ts';
import { invariants } from '../../../src/checking/registry.ts';
import { aTask, listingPipeline } from '../../support/a-task.ts';
import { HistoryWriter } from '../../support/written-history.ts';

const definitions = [listingPipeline];

function small(): History {
  return new HistoryWriter()
    .claim()
    .commit(...aTask().running('photos').records)
    .history();
}

/** A value that counts how often anything of it is read, however deep. */
function counted<Value extends object>(value: Value, counter: { reads: number }): Value {
  return new Proxy(value, {
    get(target, name, receiver) {
      counter.reads += 1;
      const member: unknown = Reflect.get(target, name, receiver);
      return typeof member === 'object' && member !== null ? counted(member, counter) : member;
    },
  });
}

/** A journal of many tasks, with an effect and a call each. */
function large(taskCount: number): History {
  const writer = new HistoryWriter().claim();
  const { records } = aTask().completed();
  for (let task = 0; task < taskCount; task += 1) {
    const id = `t-${task}`;
    writer.commit(...records.map((record) => ({ ...record, task: id as typeof record.task })));
    writer.event({
      type: 'call',
      client: 'c',
      call: id,
      kind: 'submit',
      task: id,
      invokedAt: 0,
      answeredAt: 1,
      outcome: { kind: 'accepted' },
    });
    for (const [stage, sequence] of [
      ['parse', writer.last - 4],
      ['photos', writer.last - 3],
    ] as const) {
      const fence = { shard: 0, epoch: 1, sequence };
      writer.event({
        type: 'effect',
        key: `cabinet:${id}:${stage}`,
        task: id,
        stage,
        attempt: 1,
        fence,
        result: 'applied',
        at: 0,
      });
    }
  }
  return writer.history(['calls', 'effects']);
}

describe('the check of a history', () => {
  it('says which invariants it could not judge, and what the history lacks for them', () => {
    const { checked, unchecked } = checkHistory(small(), { definitions });
    expect(checked).toEqual(expect.arrayContaining(['J1', 'I8', 'I15']));
    expect(unchecked.find(({ id }) => id === 'I1')).toMatchObject({ missing: ['calls'] });
    expect(unchecked.find(({ id }) => id === 'I5')).toMatchObject({ missing: ['healed'] });
    expect(unchecked.filter(({ id }) => id === 'I27')).toMatchObject([{ missing: ['timerLateMs'] }]);
    const judged = invariants.length - unchecked.length;
    expect(judged).toBeGreaterThan(10);
  });

  it('takes it for a violation that what the run is to prove could not be judged', () => {
    const { violations } = checkHistory(small(), { definitions, needs: ['I8', 'I13'] });
    expect(violations).toEqual([{ id: 'I13', says: 'it could not be judged: the history has no effects' }]);
  });

  it('tells at most so many violations of one row, and how many more there are', () => {
    const history = { ...large(maximumToldViolations + 7), isHealed: false };
    const { violations, untold } = checkHistory(
      { ...history, events: history.events.map((event) => (event.type === 'effect' ? { ...event, key: 'x' } : event)) },
      { definitions },
    );
    expect(violations.filter(({ id }) => id === 'I11')).toHaveLength(maximumToldViolations);
    expect(untold).toBeGreaterThanOrEqual(maximumToldViolations + 14);
  });

  it('refuses a record of a pipeline that it was not given, as I9', () => {
    const { violations } = checkHistory(small(), { definitions: [] });
    expect(violations).toMatchObject([{ id: 'I9', says: expect.stringContaining("no pipeline is named 'listing'") }]);
  });

  it('reads a history twice as long with twice as many looks: its time is linear', () => {
    const reads = [100, 200, 400].map((taskCount) => {
      const history = large(taskCount);
      const counter = { reads: 0 };
      const entries = history.entries.map((entry) => counted(entry, counter));
      const events = history.events.map((event) => counted(event, counter));
      const { violations } = checkHistory({ ...history, entries, events }, { definitions });
      expect(violations).toEqual([]);
      return counter.reads;
    });
    const [least = 0, middle = 0, most = 0] = reads;
    expect(middle / least).toBeLessThan(2.2);
    expect(most / middle).toBeLessThan(2.2);
  });
});

describe('a recorder of histories', () => {
  it('keeps no more events than its cap, and then claims no part to be whole but the journal', () => {
    const recorder = new HistoryRecorder({ namespace: 'n', shardCount: 1, parts: ['calls'], maximumEvents: 2 });
    for (let at = 0; at < 3; at += 1) recorder.record({ type: 'fault', kind: 'crash', target: 'n-1', at, until: null });
    const slot = recorder.open({ type: 'fault', kind: 'pause', target: 'n-1', at: 9, until: null });
    slot.complete({ type: 'fault', kind: 'pause', target: 'n-1', at: 9, until: 10 });
    const history = recorder.finish({ entries: [], endedAt: 3, isHealed: true });
    expect(recorder.dropped).toBe(2);
    expect(history.events).toHaveLength(2);
    expect(history.parts).toEqual(['journal']);
  });

  it('keeps what has begun where it began, and puts there what it came to', () => {
    const recorder = new HistoryRecorder({ namespace: 'n', shardCount: 1, parts: ['faults'] });
    const slot = recorder.open({ type: 'fault', kind: 'pause', target: 'n-1', at: 1, until: null });
    recorder.record({ type: 'fault', kind: 'crash', target: 'n-2', at: 2, until: null });
    slot.complete({ type: 'fault', kind: 'pause', target: 'n-1', at: 1, until: 5 });
    const { events } = recorder.finish({ entries: [], endedAt: 5, isHealed: true });
    expect(events).toMatchObject([{ kind: 'pause', until: 5 }, { kind: 'crash' }]);
  });

  it('keeps a message that cannot be read, with why, and sorts messages by their sequence', () => {
    const recorder = new HistoryRecorder({ namespace: 'n', shardCount: 1, parts: [] });
    const entries = [2, 1].map((sequence) => ({
      shard: 0 as never,
      sequence: sequence as never,
      storedAt: 0,
      body: new Uint8Array([0xc1]),
    }));
    const history = recorder.finish({ entries, endedAt: 0, isHealed: true });
    expect(history.entries).toMatchObject([
      { sequence: 1, commit: null, problem: 'journal message is not a commit' },
      { sequence: 2, commit: null },
    ]);
    expect(JSON.parse(JSON.stringify(history))).toEqual(history);
  });
});
