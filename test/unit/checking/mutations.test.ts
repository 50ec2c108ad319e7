import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkHistory, formatViolation } from '../../../src/checking/check-history.ts';
import type { HistoryEvent } from '../../../src/checking/history-events.ts';
import type { History, HistoryEntry } from '../../../src/checking/history.ts';
import { Story } from '../../../src/checking/story.ts';
import type { Epoch } from '../../../src/core/ids.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { listingPipeline } from '../../support/a-task.ts';
import { histories, wander } from '../../support/random-history.ts';
import { recordedRun } from '../../support/recorded-run.ts';
import { HistoryWriter } from '../../support/written-history.ts';

/** At most so many places of the run are changed by one mutation. */
const triedPlaces = 12;

/** A change of one thing of a history; null where it does not apply. */
type Mutation = (history: History, index: number) => History | null;

/** What one entry of the journal may become. */
const entryMutations: Readonly<Record<string, Mutation>> = {
  'drop an entry': (history, index) => ({ ...history, entries: history.entries.toSpliced(index, 1) }),
  'duplicate an entry': (history, index) => ({
    ...history,
    entries: history.entries.toSpliced(index, 0, history.entries[index] as HistoryEntry),
  }),
  'swap an entry with the next one of its shard': (history, index) => {
    const entry = history.entries[index] as HistoryEntry;
    const next = history.entries.findIndex(({ shard }, at) => at > index && shard === entry.shard);
    const other = history.entries[next];
    if (other === undefined) return null;
    const swapped = history.entries.with(index, moved(other, entry)).with(next, moved(entry, other));
    return { ...history, entries: swapped };
  },
  'raise the epoch of a commit': (history, index) =>
    changeCommit(history, index, (commit) => ({ ...commit, epoch: (commit.epoch + 1) as Epoch })),
  'lower the epoch of a commit': (history, index) =>
    changeCommit(history, index, (commit) => ({ ...commit, epoch: (commit.epoch - 1) as Epoch })),
  'change the batch of a commit': (history, index) =>
    changeCommit(history, index, (commit) => ({ ...commit, batch: commit.batch + 1 })),
  'change the attempt of a record': (history, index) =>
    changeFirst(history, index, (record) =>
      'attempt' in record.event ? withEvent(record, { attempt: record.event.attempt + 1 }) : null,
    ),
  'change the outcome of a record': (history, index) => changeFirst(history, index, otherOutcome),
  'change the place that a record leads to': (history, index) =>
    changeFirst(history, index, (record) => ({ ...record, to: record.to === 'completed' ? 'canceled' : 'completed' })),
  'change the task of a record': (history, index) =>
    changeFirst(history, index, (record) => ({ ...record, task: `${record.task}x` as TaskRecord['task'] })),
  'drop a record': (history, index) =>
    changeCommit(history, index, (commit) =>
      commit.records.length === 0 ? null : { ...commit, records: commit.records.slice(1) },
    ),
  'repeat a record': (history, index) =>
    changeCommit(history, index, (commit) =>
      commit.records.length === 0 ? null : { ...commit, records: [...commit.records, ...commit.records.slice(-1)] },
    ),
};

/** What one event of the run may become. */
const eventMutations: Readonly<Record<string, Mutation>> = {
  'drop an effect': changeOf('effect', () => null),
  'add an effect of the same attempt': changeOf('effect', (event) => [event, { ...event, result: 'applied' }]),
  'add an effect of a later attempt': changeOf('effect', (event) => [
    event,
    { ...event, result: 'applied', attempt: event.attempt + 1 },
  ]),
  'add an effect of another stage': changeOf('effect', (event) => [event, { ...event, stage: `${event.stage}x` }]),
  'change the epoch of an effect': changeOf('effect', (event) => ({
    ...event,
    fence: { ...event.fence, epoch: event.fence.epoch + 1 },
  })),
  'change the attempt of an effect': changeOf('effect', (event) => ({ ...event, attempt: event.attempt + 1 })),
  'change the key of an effect': changeOf('effect', (event) => ({ ...event, key: `${event.key}-x` })),
  'change what an effect gave': changeOf('effect', (event) =>
    event.result === 'refused' ? undefined : { ...event, receipt: 'another' },
  ),
  'drop a submit': changeOf('call', (call) => (call.kind === 'submit' ? null : undefined)),
  'change the task of a submit': changeOf('call', (call) =>
    call.kind === 'submit' ? { ...call, task: `${call.task}x` } : undefined,
  ),
  'refuse a submit': changeOf('call', (call) =>
    call.kind === 'submit' ? { ...call, outcome: { kind: 'error', code: 'OVERLOADED' } } : undefined,
  ),
  'change the input of a submit': changeOf('call', (call) =>
    call.kind === 'submit' ? { ...call, argumentsHash: 'x' } : undefined,
  ),
  'drop a call of a driver': changeOf('driver.started', () => null),
  'repeat a call of a driver': changeOf('driver.started', (event) => [event, event]),
  'change the attempt of a call of a driver': changeOf('driver.started', (event) => ({
    ...event,
    attempt: event.attempt + 1,
  })),
  'drop the end of a driver': changeOf('driver.ended', () => null),
  'change the end of a driver': changeOf('driver.ended', (event) =>
    event.outcome.kind === 'completed'
      ? { ...event, outcome: { kind: 'failed', class: 'fatal' } }
      : { ...event, outcome: { kind: 'completed' } },
  ),
  'drop an append': changeOf('append', () => null),
  'change the batch of an append': changeOf('append', (event) => ({ ...event, batch: event.batch + 1 })),
  'change the answer to an append': changeOf('append', (event) => ({
    ...event,
    outcome: event.outcome === 'committed' ? 'unknown' : 'committed',
  })),
  'change the epoch of an opened shard': changeOf('shard.opened', (event) => ({ ...event, epoch: event.epoch + 1 })),
  'change the count of a snapshot': changeOf('snapshot', (event) => ({ ...event, seq: event.seq + 1 })),
  'change the state of a snapshot': changeOf('snapshot', (event) => ({ ...event, stateHash: 'x' })),
};

/** Where a mutation may go unnoticed, and why that is no harm. Everywhere else it must be found. */
const harmless: Readonly<Record<string, (story: Story, index: number) => boolean>> = {
  // An attempt that was told a known answer has left no trace of its own: it may as well have died before it asked.
  'drop an effect': ({ history }, index) =>
    isOf(history.events[index], 'effect', ({ result }) => result === 'replayed'),
  // A driver that was cut off may never end; only what became a record needs its end.
  'drop the end of a driver': isOfNoRecord,
  'change the end of a driver': isOfNoRecord,
  // An answer may be lost on its way: unknown is always legal, and was resolved by what stands in the journal.
  'change the answer to an append': ({ history }, index) =>
    isOf(history.events[index], 'append', ({ outcome }) => outcome === 'committed'),
};

function isOf<Type extends HistoryEvent['type']>(
  event: HistoryEvent | undefined,
  type: Type,
  holds: (event: Extract<HistoryEvent, { type: Type }>) => boolean,
): boolean {
  return event?.type === type && holds(event as Extract<HistoryEvent, { type: Type }>);
}

/** Whether the driver's attempt did not end by what it came to. */
function isOfNoRecord(story: Story, index: number): boolean {
  return isOf(
    story.history.events[index],
    'driver.ended',
    ({ task, stage, attempt }) => story.completionOf(task, stage)?.attempt !== attempt,
  );
}

function moved(entry: HistoryEntry, place: HistoryEntry): HistoryEntry {
  const { previous, ...rest } = entry;
  void previous;
  return {
    ...rest,
    sequence: place.sequence,
    storedAt: place.storedAt,
    ...(place.previous === undefined ? {} : { previous: place.previous }),
  };
}

function changeCommit(
  history: History,
  index: number,
  change: (commit: NonNullable<HistoryEntry['commit']>) => HistoryEntry['commit'],
): History | null {
  const entry = history.entries[index] as HistoryEntry;
  const commit = entry.commit === null ? null : change(entry.commit);
  return commit === null ? null : { ...history, entries: history.entries.with(index, { ...entry, commit }) };
}

function changeFirst(
  history: History,
  index: number,
  change: (record: TaskRecord) => TaskRecord | null,
): History | null {
  return changeCommit(history, index, (commit) => {
    const [first, ...others] = commit.records;
    const changed = first === undefined ? null : change(first);
    return changed === null ? null : { ...commit, records: [changed, ...others] };
  });
}

function withEvent(record: TaskRecord, fields: object): TaskRecord {
  return { ...record, event: { ...record.event, ...fields } };
}

/** Another thing that could have happened there. */
function otherOutcome(record: TaskRecord): TaskRecord | null {
  const { event } = record;
  switch (event.type) {
    case 'stage.completed':
      return withEvent(record, { output: { json: 'another' } });
    case 'stage.failed':
      return withEvent(record, { decision: { kind: 'deadLetter', reason: 'attemptsExhausted' } });
    case 'owner.changed':
      return withEvent(record, { decision: { kind: 'park' } });
    case 'stage.started':
    case 'stage.checkpointed':
    case 'retry.due':
    case 'task.submitted':
    case 'task.paused':
    case 'task.resumed':
    case 'task.canceled':
    case 'task.redriven':
    case 'task.quarantined':
    case 'stage.released':
    case 'stage.cleared':
    case 'outcome.resolved':
      return null;
    default:
      return event satisfies never;
  }
}

/** Changes the event at an index if it is of that type: to another, to several, to none (null), or not at all (undefined). */
function changeOf<Type extends HistoryEvent['type']>(
  type: Type,
  change: (event: Extract<HistoryEvent, { type: Type }>) => HistoryEvent | readonly HistoryEvent[] | null | undefined,
): Mutation {
  return (history, index) => {
    const event = history.events[index];
    if (event?.type !== type) return null;
    const changed = change(event as Extract<HistoryEvent, { type: Type }>);
    if (changed === undefined) return null;
    const inPlace = changed === null ? [] : 'type' in changed ? [changed] : changed;
    return { ...history, events: history.events.toSpliced(index, 1, ...inPlace) };
  };
}

/** The tasks' records in turn, as one owner commits them. */
function interleaved(tasks: readonly (readonly TaskRecord[])[]): History {
  const writer = new HistoryWriter().claim();
  const records = tasks.flatMap((own, index) =>
    own.map((record) => ({ ...record, task: `t-${index}` as TaskRecord['task'] })),
  );
  const turns = tasks.flatMap((own, index) => own.map((_, turn) => ({ turn, index })));
  for (const { turn, index } of turns.toSorted((left, right) => left.turn - right.turn)) {
    const before = tasks.slice(0, index).reduce((sum, own) => sum + own.length, 0);
    const record = records[before + turn];
    if (record !== undefined) writer.commit(record);
  }
  // Random timers fire when chance says, due or not.
  return writer.history([], { timerEarlyMs: Infinity, maxInterruptions: 3 });
}

describe('a good history', () => {
  it('of random tasks breaks no invariant', () => {
    fc.assert(
      fc.property(fc.array(histories, { minLength: 1, maxLength: 4 }), (tasks) => {
        const history = interleaved(tasks.map((task) => wander(task).records));
        const { violations } = checkHistory(history, { definitions: [listingPipeline] });
        expect(violations.map(formatViolation)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a history with one thing changed', () => {
  let good: History;
  let definitions: readonly PipelineDefinition[];
  let story: Story;

  beforeAll(async () => {
    ({ history: good, definitions } = await recordedRun());
    story = new Story(good, definitions);
  }, 60_000);

  /** Where the mutation goes unnoticed, of as many places as are tried, evenly spread over the run. */
  function unnoticed(name: string, mutation: Mutation, count: number): readonly number[] {
    const places = Array.from({ length: count }, (_, index) => index).filter(
      (index) => mutation(good, index) !== null && harmless[name]?.(story, index) !== true,
    );
    expect(places.length).toBeGreaterThan(0);
    const stride = Math.max(1, Math.ceil(places.length / triedPlaces));
    return places.filter((place, turn) => {
      const mutant = turn % stride === 0 ? mutation(good, place) : null;
      return mutant !== null && checkHistory(mutant, { definitions }).violations.length === 0;
    });
  }

  it.each(Object.entries(entryMutations))('is found, whichever entry it is: %s', (name, mutation) => {
    expect(unnoticed(name, mutation, good.entries.length).map((index) => good.entries[index])).toEqual([]);
  });

  it.each(Object.entries(eventMutations))('is found, whichever event it is: %s', (name, mutation) => {
    expect(unnoticed(name, mutation, good.events.length).map((index) => good.events[index])).toEqual([]);
  });
});
