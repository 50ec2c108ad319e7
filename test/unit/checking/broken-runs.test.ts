import { beforeAll, describe, expect, it } from 'vitest';
import { checkHistory, formatViolation } from '../../../src/checking/check-history.ts';
import type { FeedPlace, HistoryEvent } from '../../../src/checking/history-events.ts';
import type { History, HistoryEntry } from '../../../src/checking/history.ts';
import type { InvariantId } from '../../../src/checking/invariant.ts';
import { Story } from '../../../src/checking/story.ts';
import type { Epoch, NodeId, Sequence } from '../../../src/core/ids.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { aTask, listingPipeline } from '../../support/a-task.ts';
import { recordedRun } from '../../support/recorded-run.ts';
import { changeEvent, HistoryWriter, mapEvents, onlyParts } from '../../support/written-history.ts';

// One good run of real engines, in which a node was killed, one slept over its lease, and one drained; each test changes one thing.

let good: History;
let definitions: readonly PipelineDefinition[];
let story: Story;

beforeAll(async () => {
  ({ history: good, definitions } = await recordedRun());
  story = new Story(good, definitions);
}, 60_000);

function idsIn(history: History): readonly InvariantId[] {
  const { violations } = checkHistory(history, { definitions });
  return [...new Set(violations.map(({ id }) => id))].toSorted();
}

/** One more message of a shard, at the end of the journal. */
function withEntry(
  history: History,
  shard: number,
  commit: Partial<NonNullable<HistoryEntry['commit']>> & { readonly epoch: Epoch },
): History {
  const last = history.entries.at(-1);
  const before = history.entries.findLast((entry) => entry.shard === shard);
  if (last === undefined || before?.commit == null) throw new Error(`shard ${shard} has no message`);
  const entry: HistoryEntry = {
    shard: before.shard,
    sequence: (last.sequence + 1) as Sequence,
    previous: before.sequence,
    storedAt: history.endedAt,
    commit: { format: 1, batch: 1, at: history.endedAt, records: [], ...commit },
  };
  return { ...history, entries: [...history.entries, entry] };
}

function mustFind<Item>(items: readonly Item[], find: (item: Item) => boolean): Item {
  const found = items.find(find);
  if (found === undefined) throw new Error('the run has none such');
  return found;
}

/** The zombie's first refused append. */
function refusal() {
  const appends = story.eventsOf('append');
  return mustFind(
    appends,
    ({ outcome, shard, epoch, sentAt }) =>
      outcome === 'conflict' &&
      story.claims.some((claim) => claim.shard === shard && claim.epoch > epoch && claim.at < sentAt),
  );
}

/** What a client that was connected all along was sent. */
function deliveries(history: History): readonly HistoryEvent[] {
  const connection = 'console';
  return [
    { type: 'subscribed', connection, after: [0, 0, 0], at: 0 },
    ...history.entries.flatMap(({ sequence, commit }) =>
      (commit?.records ?? []).map((_, index): HistoryEvent => {
        const place: FeedPlace = [sequence, index + 1, 1];
        return { type: 'delivered', connection, place, at: 0 };
      }),
    ),
  ];
}

function delivered(): History {
  return { ...onlyParts(good, 'journal', 'deliveries'), events: deliveries(good) };
}

describe('a recorded run of real engines', () => {
  it('is good, and had what it is there for: a zombie that was refused, an effect that was replayed, a drain, a snapshot', () => {
    const report = checkHistory(good, { definitions });
    expect(report.violations.map(formatViolation)).toEqual([]);
    expect(refusal()).toMatchObject({ node: 'node-3' });
    expect(story.eventsOf('effect').some(({ result }) => result === 'replayed')).toBe(true);
    expect(story.eventsOf('process.draining').length).toBeGreaterThan(0);
    expect(story.eventsOf('snapshot').length).toBeGreaterThan(0);
    expect(story.eventsOf('checkpoint').length).toBeGreaterThan(0);
  });

  const breaks: readonly { readonly id: InvariantId; readonly what: string; readonly change: () => History }[] = [
    {
      id: 'I1',
      what: 'an accepted task that is not in the journal',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'submit',
          (call) => [call, { ...call, call: 'x', task: 'lost', answeredTask: 'lost' }],
        ),
    },
    {
      id: 'I1',
      what: 'an answer with a state that the task never had',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'result',
          (call) => ({ ...call, outcome: { kind: 'answer', state: 'canceled' } }),
        ),
    },
    {
      id: 'I2',
      what: 'a task that nobody asked for',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'submit',
          () => null,
        ),
    },
    {
      id: 'I3',
      what: 'a refused submit with a record',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'submit',
          (call) => ({ ...call, outcome: { kind: 'error', code: 'NO_OWNER' } }),
        ),
    },
    {
      id: 'I4',
      what: 'a submit with another input that was answered as existing',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'submit',
          (call) => ({ ...call, argumentsHash: 'another' }),
        ),
    },
    {
      id: 'I4',
      what: 'a conflict with the same input',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ kind }) => kind === 'submit',
          (call) => [call, { ...call, call: 'x', outcome: { kind: 'error', code: 'TASK_CONFLICT' } }],
        ),
    },
    {
      id: 'I7',
      what: 'a replica that has another message',
      change: () => ({
        ...good,
        parts: [...good.parts, 'replicas'],
        replicas: ['one', 'two'].map((replica) => ({
          replica,
          digests: good.entries.map(({ sequence }) => [sequence, sequence === 5 ? replica : 'same'] as const),
        })),
      }),
    },
    {
      id: 'I10',
      what: 'an output that the world did not give',
      change: () =>
        changeEvent(
          good,
          'effect',
          ({ receipt }) => receipt !== undefined,
          (event) => ({ ...event, receipt: 'another' }),
        ),
    },
    {
      id: 'I10',
      what: 'a completed stage whose effect never was',
      change: () => {
        const [first] = story.completions;
        return mapEvents(good, (event) =>
          event.type === 'effect' && event.task === first?.task && event.stage === first.stage ? null : event,
        );
      },
    },
    {
      id: 'I10',
      what: 'an output that its driver did not return',
      change: () =>
        changeEvent(
          good,
          'driver.ended',
          ({ outcome }) => outcome.kind === 'completed',
          (event) => ({ ...event, outcome: { kind: 'completed', outputHash: 'another' } }),
        ),
    },
    {
      id: 'I11',
      what: 'a key with the attempt in it',
      change: () =>
        changeEvent(
          good,
          'effect',
          () => true,
          (event) => ({ ...event, key: `${event.key}-${event.attempt}` }),
        ),
    },
    {
      id: 'I11',
      what: 'a driver that got another key',
      change: () =>
        changeEvent(
          good,
          'driver.started',
          () => true,
          (event) => ({ ...event, key: 'another' }),
        ),
    },
    {
      id: 'I12',
      what: 'an attempt that asks twice',
      change: () =>
        changeEvent(
          good,
          'effect',
          () => true,
          (event) => [event, { ...event, result: 'replayed' }],
        ),
    },
    {
      id: 'I13',
      what: 'an effect that the next attempt applied again',
      change: () =>
        changeEvent(
          good,
          'effect',
          ({ result }) => result === 'replayed',
          (event) => ({ ...event, result: 'applied' }),
        ),
    },
    {
      id: 'I14',
      what: 'a driver that was called twice for an attempt',
      change: () =>
        changeEvent(
          good,
          'driver.started',
          () => true,
          (event) => [event, event],
        ),
    },
    {
      id: 'I15',
      what: 'an epoch that was claimed late',
      change: () =>
        withEntry(onlyParts(good, 'journal'), 0, {
          epoch: 0 as Epoch,
          owner: { epoch: 0 as Epoch, node: 'node-9' as NodeId, incarnation: 'i-9' },
        }),
    },
    {
      id: 'I15',
      what: 'a shard that is served under an epoch that nobody claimed',
      change: () =>
        changeEvent(
          good,
          'shard.opened',
          () => true,
          (event) => [event, { ...event, epoch: 99 }, { ...event, type: 'shard.closed', epoch: 99, how: 'lost' }],
        ),
    },
    {
      id: 'I16',
      what: 'a commit of a superseded epoch',
      change: () =>
        withEntry(onlyParts(good, 'journal'), refusal().shard, { epoch: refusal().epoch as Epoch, batch: 999 }),
    },
    {
      id: 'I17',
      what: 'a zombie whose append was acknowledged',
      change: () =>
        changeEvent(
          good,
          'append',
          (event) => event === refusal(),
          (event) => ({ ...event, outcome: 'committed' }),
        ),
    },
    {
      id: 'I17',
      what: 'an older attempt that changed the world after a newer one',
      change: () => {
        const replayed = mustFind(story.eventsOf('effect'), ({ result }) => result === 'replayed');
        const older = mustFind(
          story.eventsOf('effect'),
          ({ key, attempt }) => key === replayed.key && attempt < replayed.attempt,
        );
        const swapped = new Map<HistoryEvent, HistoryEvent>([
          [older, { ...replayed, result: 'applied' }],
          [replayed, { ...older, result: 'replayed' }],
        ]);
        return mapEvents(good, (event) => swapped.get(event) ?? event);
      },
    },
    {
      id: 'I18',
      what: 'a zombie that keeps its shard',
      change: () => {
        const { shard, epoch, node } = refusal();
        return changeEvent(
          good,
          'shard.closed',
          (event) => event.shard === shard && event.epoch === epoch && event.node === node,
          (event) => ({ ...event, at: event.at + 1_000 }),
        );
      },
    },
    {
      id: 'I21',
      what: 'a node that starts stages while it drains',
      change: () =>
        changeEvent(
          good,
          'process.draining',
          () => true,
          (event) => ({ ...event, at: 0 }),
        ),
    },
    {
      id: 'I21',
      what: 'a node that drained and kept a shard',
      change: () => {
        const drained = mustFind(story.eventsOf('process.ended'), ({ how }) => how === 'drained');
        const kept = story.eventsOf('shard.closed').findLast(({ node }) => node === drained.node);
        return changeEvent(
          good,
          'shard.closed',
          (event) => event === kept,
          () => null,
        );
      },
    },
    {
      id: 'I22',
      what: 'a shard that nobody takes',
      change: () => ({
        ...onlyParts(good, 'ownership', 'faults'),
        bounds: { ownerlessMs: 5_000 },
        events: ownerless(20_000),
      }),
    },
    {
      id: 'I26',
      what: 'an effect under another fence than its start',
      change: () =>
        changeEvent(
          good,
          'effect',
          () => true,
          (event) => ({ ...event, fence: { ...event.fence, epoch: event.fence.epoch + 1 } }),
        ),
    },
    {
      id: 'I26',
      what: 'an effect of an attempt that was never started',
      change: () =>
        changeEvent(
          good,
          'effect',
          () => true,
          (event) => [event, { ...event, attempt: 77, result: 'replayed' }],
        ),
    },
    {
      id: 'I26',
      what: 'a driver that was called before its start was committed',
      change: () =>
        changeEvent(
          good,
          'driver.started',
          () => true,
          (event) => ({ ...event, at: 0 }),
        ),
    },
    {
      id: 'I31',
      what: 'a command that was done and is not in the journal',
      change: () =>
        changeEvent(
          good,
          'call',
          () => true,
          (call) => [
            call,
            { ...call, kind: 'pause', call: 'x', commandId: 'c-1', outcome: { kind: 'done', repeated: false } },
          ],
        ),
    },
    {
      id: 'I34',
      what: 'a snapshot ahead of the journal',
      change: () => {
        const last = story.eventsOf('snapshot').at(-1);
        return changeEvent(
          good,
          'snapshot',
          (event) => event === last,
          (event) => ({ ...event, seq: 99 }),
        );
      },
    },
    {
      id: 'I34',
      what: 'a checkpoint that goes back',
      change: () => {
        const last = story.eventsOf('checkpoint').at(-1);
        const first = mustFind(story.eventsOf('checkpoint'), ({ shard }) => shard === last?.shard);
        return mapEvents(good, (event) =>
          event === last ? [last, { ...first, epoch: last.epoch, at: last.at }] : event,
        );
      },
    },
    {
      id: 'I35',
      what: 'a snapshot of another state',
      change: () =>
        changeEvent(
          good,
          'snapshot',
          () => true,
          (event) => ({ ...event, stateHash: 'another' }),
        ),
    },
    {
      id: 'I35',
      what: 'a checkpoint over a record that is in no snapshot',
      change: () => {
        const last = story.eventsOf('snapshot').findLast((event) => event.isFinished === true);
        return mapEvents(good, (event) => (event.type === 'snapshot' && event.task === last?.task ? null : event));
      },
    },
    {
      id: 'I39',
      what: 'an append that goes past one of unknown outcome',
      change: () =>
        changeEvent(
          good,
          'append',
          ({ batch }) => batch > 1,
          (event) => [event, { ...event, outcome: 'busy', expectedLast: 0 }],
        ),
    },
    {
      id: 'I40',
      what: 'a commit that landed twice',
      change: () => {
        const last = good.entries.findLast(({ shard }) => shard === 0)?.commit;
        return withEntry(onlyParts(good, 'journal'), 0, {
          epoch: (last?.epoch ?? 0) as Epoch,
          batch: last?.batch ?? 0,
        });
      },
    },
    {
      id: 'I44',
      what: 'a commit while the store had no quorum',
      change: () => outage('storeDown'),
    },
    {
      id: 'I45',
      what: 'a commit while the store was full',
      change: () => outage('storeFull'),
    },
    {
      id: 'I47',
      what: 'a call that was answered twice',
      change: () =>
        changeEvent(
          good,
          'call',
          () => true,
          (call) => [call, call],
        ),
    },
    {
      id: 'I47',
      what: 'an answer about another task',
      change: () =>
        changeEvent(
          good,
          'call',
          () => true,
          (call) => ({ ...call, answeredTask: 'another' }),
        ),
    },
    {
      id: 'I47',
      what: 'an answer long after its deadline',
      change: () =>
        changeEvent(
          good,
          'call',
          ({ answeredAt }) => answeredAt !== null,
          (call) => ({ ...call, answeredAt: call.invokedAt + 999_000 }),
        ),
    },
    {
      id: 'I51',
      what: 'a process that ended by an error and said nothing',
      change: () => ({
        ...onlyParts(good, 'processes', 'logs'),
        events: [{ type: 'process.ended', node: 'node-1', incarnation: 'i-1', how: 'failed', at: 0 }],
      }),
    },
    {
      id: 'I53',
      what: 'an event that came twice',
      change: () =>
        changeEvent(
          delivered(),
          'delivered',
          () => true,
          (event) => [event, event],
        ),
    },
    {
      id: 'I54',
      what: 'an event from before the place of the resume',
      change: () => {
        const { events, ...rest } = delivered();
        const third = events[3] as Extract<HistoryEvent, { type: 'delivered' }>;
        return {
          ...rest,
          events: events.map((event) => (event.type === 'subscribed' ? { ...event, after: third.place } : event)),
        };
      },
    },
    {
      id: 'I55',
      what: 'an event that was left out without a word',
      change: () =>
        changeEvent(
          delivered(),
          'delivered',
          ({ place }) => place[0] > 20,
          () => null,
        ),
    },
    {
      id: 'A1',
      what: 'an append that stands elsewhere than it was acknowledged',
      change: () =>
        changeEvent(
          good,
          'append',
          ({ outcome }) => outcome === 'committed',
          (event) => ({ ...event, sequence: 1_000_000 }),
        ),
    },
    {
      id: 'A2',
      what: 'a message that nobody appended',
      change: () => {
        const { shard, epoch, batch } = mustFind(story.eventsOf('append'), ({ outcome }) => outcome === 'committed');
        return mapEvents(good, (event) =>
          event.type === 'append' && event.shard === shard && event.epoch === epoch && event.batch === batch
            ? null
            : event,
        );
      },
    },
    {
      id: 'A3',
      what: 'an owner that tries a conflict again',
      change: () =>
        changeEvent(
          good,
          'append',
          (event) => event === refusal(),
          (event) => [event, { ...event, sentAt: (event.answeredAt ?? 0) + 5 }],
        ),
    },
  ];

  it.each(breaks)('$id is found, and nothing else: $what', ({ id, change }) => {
    expect(idsIn(change())).toEqual([id]);
  });

  it('I18 is found, and nothing else: a driver that is called after the owner was refused', () => {
    expect(zombieCall(1_001)).toEqual([]);
    expect(zombieCall(1_003)).toEqual(['I18']);
  });

  it('tells a gap that the subscriber was told of from one that it was not', () => {
    const history = changeEvent(
      delivered(),
      'delivered',
      ({ place }) => place[0] > 20,
      (event) => ({ ...event, type: 'gap' }),
    );
    expect(idsIn(history)).toEqual([]);
  });

  it('takes no time without an owner for a breach while a fault is in force', () => {
    const history = { ...onlyParts(good, 'ownership', 'faults'), bounds: { ownerlessMs: 5_000 } };
    const fault = { type: 'fault', kind: 'storeDown', target: 'store', at: 900, until: 8_000 } as const;
    expect(idsIn({ ...history, events: [fault, ...ownerless(9_000)] })).toEqual([]);
    expect(idsIn({ ...history, events: [fault, ...ownerless(13_000)] })).toEqual(['I22']);
  });
});

/** What is found when an owner that was refused at 1,002 calls a driver at that time. */
function zombieCall(at: number): readonly InvariantId[] {
  const writer = new HistoryWriter()
    .claim()
    .commit(...aTask().running('parse').records)
    .claim();
  const process = { node: 'n-1', incarnation: 'i-1' };
  const { entries } = writer.history();
  for (const { shard, previous = 0, storedAt, commit } of entries) {
    if (commit === null) continue;
    const { epoch, batch } = commit;
    const owner = { node: `n-${epoch}`, incarnation: `i-${epoch}` };
    writer.event({
      type: 'append',
      ...owner,
      shard,
      epoch,
      batch,
      expectedLast: previous,
      sentAt: storedAt,
      answeredAt: storedAt,
      outcome: 'committed',
    });
  }
  writer.event(
    {
      type: 'append',
      ...process,
      shard: 0,
      epoch: 1,
      batch: 3,
      expectedLast: 2,
      sentAt: 1_001,
      answeredAt: 1_002,
      outcome: 'conflict',
    },
    {
      type: 'driver.started',
      ...process,
      task: 't-1',
      stage: 'parse',
      attempt: 1,
      key: 'cabinet:t-1:parse',
      fence: { shard: 0, epoch: 1, sequence: 2 },
      at,
    },
  );
  const { violations } = checkHistory(writer.history(['appends', 'drivers']), { definitions: [listingPipeline] });
  return [...new Set(violations.map(({ id }) => id))];
}

function ownerless(ms: number): readonly HistoryEvent[] {
  const of = { shard: 0, node: 'n-1', incarnation: 'i-1' } as const;
  return [
    { type: 'shard.opened', ...of, epoch: 1, at: 0 },
    { type: 'shard.closed', ...of, epoch: 1, how: 'released', at: 1_000 },
    { type: 'shard.opened', ...of, epoch: 2, at: 1_000 + ms },
  ];
}

/** The run with an outage around one of its commits. */
function outage(kind: 'storeDown' | 'storeFull'): History {
  const at = (story.steps[0]?.at ?? 0) - 1;
  const calls = onlyParts(good, 'journal', 'faults');
  return {
    ...calls,
    parts: [...calls.parts, 'calls'],
    events: [
      ...good.events.filter(({ type }) => type === 'call'),
      { type: 'fault', kind, target: 'store', at, until: at + 2 },
    ],
  };
}
