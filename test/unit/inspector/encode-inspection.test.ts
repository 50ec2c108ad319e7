import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { createMachine } from 'xstate';
import { describe, expect, it } from 'vitest';
import type { Epoch, NodeId, Sequence, TaskId } from '../../../src/core/ids.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { encodeInspection, type InspectionSubject } from '../../../src/inspector/encode-inspection.ts';
import { machineOf, outlineOf } from '../../../src/inspector/inspected-machine.ts';
import type { InspectedStep } from '../../../src/inspector/inspected-step.ts';
import type { InspectionFrame } from '../../../src/inspector/inspection-frame.ts';
import { maximumShownPayloadBytes } from '../../../src/inspector/shown-event.ts';
import { statelyVersion } from '../../../src/inspector/stately-frames.ts';
import { snapshotOf } from '../../../src/pipeline/machine-step.ts';
import { a, aFailure, aTask, listingPipeline, type TaskInTest } from '../../support/a-task.ts';
import { histories, wander } from '../../support/random-history.ts';

const taskId = 't-1' as TaskId;
const stately: InspectionSubject = {
  taskId,
  machine: machineOf(listingPipeline),
  format: 'stately',
  showsPayloads: false,
};
const engine: InspectionSubject = { ...stately, format: 'engine' };

function claim(sequence: number, epoch: number, node = `n-${epoch}`): InspectedStep {
  const owner = { epoch: epoch as Epoch, node: node as NodeId, incarnation: 'i' };
  return { kind: 'owner', sequence: sequence as Sequence, at: 900, owner };
}

/** The records as the journal has them, one a commit, under one owner. */
function stepsOf(records: readonly TaskRecord[], epoch = 1): InspectedStep[] {
  const own = records.map((record): InspectedStep => ({
    kind: 'record',
    sequence: (record.seq + 10) as Sequence,
    index: 0,
    epoch: epoch as Epoch,
    record,
  }));
  return [claim(1, epoch), ...own];
}

interface Snapshot {
  readonly value?: unknown;
  readonly status: string;
  readonly context?: { readonly engine: { readonly [name: string]: unknown }; readonly [name: string]: unknown };
}

function snapshotIn(frame: InspectionFrame): Snapshot {
  return frame['snapshot'] as Snapshot;
}

function lastOf(frames: readonly InspectionFrame[]): Snapshot {
  const last = frames.findLast(({ sessionId, snapshot }) => sessionId === taskId && snapshot !== undefined);
  if (last === undefined) throw new Error('no frame tells of the task');
  return snapshotIn(last);
}

function typesOf(frames: readonly InspectionFrame[]): string[] {
  return frames.map(({ type, sessionId, event, name }) =>
    [type.replace('@xstate.', ''), sessionId, (event as { type?: string } | undefined)?.type ?? name].join(' '),
  );
}

function flat(value: unknown): string {
  return typeof value === 'string'
    ? value
    : Object.entries(value as object)
        .flat()
        .join('.');
}

const ways: readonly (readonly [string, () => TaskInTest])[] = [
  ['is retried', () => aTask().running('photos', { attempt: 2 })],
  ['backs off', () => aTask().backingOff('parse', { attempt: 2 })],
  ['completes', () => aTask().completed()],
  ['is canceled', () => aTask().canceled()],
  ['is dead-lettered', () => aTask().deadLettered('photos')],
  ['is held', () => aTask().held('photos')],
  [
    'is redriven',
    () => {
      const task = aTask().deadLettered('photos');
      task.send(a.redrive());
      task.send(a.grant('photos'));
      return task;
    },
  ],
  [
    'skips a stage',
    () => {
      const task = aTask().running('parse');
      const skipped = [{ stage: 'photos' as never, reason: 'the card has no photos' }];
      const result = { kind: 'completed', output: { json: 'x' }, next: 'publish' as never, skipped } as const;
      task.send({ type: 'stage.settled', stage: 'parse' as never, attempt: 1, result });
      return task;
    },
  ],
  [
    'is handed over',
    () => {
      const task = aTask().running('photos');
      task.send(a.release('photos', 1));
      task.send(a.grant('photos'));
      return task;
    },
  ],
  [
    'loses its owner',
    () => {
      const task = aTask().running('photos');
      task.send(a.ownerChange(), { epoch: 2 as Epoch });
      return task;
    },
  ],
  [
    'is resolved by its driver',
    () => {
      const task = aTask().unknown('announce');
      task.send(a.lookup('announce', 'done'));
      return task;
    },
  ],
  [
    'is quarantined',
    () => {
      const task = aTask().running('parse');
      task.send(a.quarantine());
      return task;
    },
  ],
];

describe('the messages of an inspection', () => {
  it.each(ways)('end where a task stands that %s, with its context', (_way, make) => {
    const task = make();
    const { value, control } = task.known.machine;
    for (const subject of [stately, engine]) {
      const last = lastOf(encodeInspection(subject, stepsOf(task.records)));
      expect(flat(last.value)).toBe(value);
      expect(last.context).toMatchObject(control);
      expect(last.context?.engine).toMatchObject({ isContextKnown: true, seq: task.known.seq });
    }
  });

  it('end where a task stands, for random histories: state, context, failure, outputs and running attempt', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const { records, known } = wander(history);
        const frames = encodeInspection(stately, stepsOf(records));
        const last = lastOf(frames);
        expect(flat(last.value)).toBe(known.machine.value);
        expect(last.context).toMatchObject(known.machine.control);
        expect(last.context?.engine['failure']).toEqual(known.failure);
        expect(Object.keys(last.context?.engine['outputs'] as object)).toEqual(Object.keys(known.outputs));
        const snapshot = JSON.parse(JSON.stringify(snapshotOf(listingPipeline, known.machine))) as Snapshot;
        expect([last.status, last.value]).toEqual([snapshot.status, snapshot.value]);
      }),
      { numRuns: 150 },
    );
  });

  it('tell the same of a task to a viewer that comes late as to one that saw it all, and the attempts that run', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const steps = stepsOf(wander(history).records);
        const whole = encodeInspection(stately, steps);
        const late = encodeInspection(stately, steps, { from: 'now' });
        expect(lastOf(late)).toEqual(lastOf(whole));
        expect(runningIn(late)).toEqual(runningIn(whole));
      }),
      { numRuns: 100 },
    );
  });

  it('begin with the actor, its machine in the order of its author, and its state once more as a snapshot', () => {
    const frames = encodeInspection(stately, stepsOf(aTask().running('photos').records), { from: 'now' });
    expect(typesOf(frames)).toEqual([
      'actor t-1 listing',
      'snapshot t-1 engine.baseline',
      'actor t-1/photos#1 photos#1',
    ]);
    const [actor, snapshot] = frames;
    expect(actor).toMatchObject({ sessionId: 't-1', rootId: 't-1', name: 'listing', _version: '0.7.2' });
    expect(actor?.['snapshot']).toEqual(snapshot?.['snapshot']);
    expect(snapshot).toMatchObject({ snapshot: { value: { photos: 'running' }, status: 'active' } });
  });

  it('are those of the package for actor, event and snapshot, with the same version', () => {
    const path = new URL('../../../node_modules/@statelyai/inspect/package.json', import.meta.url);
    expect(statelyVersion).toBe((JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version);
    const frames = encodeInspection(stately, stepsOf(aTask().running('photos').records));
    expect(typesOf(frames)).toEqual([
      'actor t-1 listing',
      'snapshot t-1 engine.baseline',
      'event t-1 task.submitted',
      'actor t-1/parse#1 parse#1',
      'snapshot t-1 task.submitted',
      'snapshot t-1/parse#1 stage.completed',
      'event t-1 stage.completed',
      'actor t-1/photos#1 photos#1',
      'snapshot t-1 stage.completed',
    ]);
    for (const frame of frames) {
      expect(frame['rootId']).toBe('t-1');
      expect(frame['createdAt']).toMatch(/^\d+$/);
      expect(frame['id']).toEqual(expect.any(String));
    }
    expect(new Set(frames.map(({ id }) => id)).size).toBe(frames.length);
    const definition = JSON.parse(String(frames[0]?.['definition'])) as { readonly states: object };
    expect(Object.keys(definition.states).slice(0, 3)).toEqual(['new', 'parse', 'photos']);
    // What a viewer does with it.
    expect(Object.keys(createMachine(definition as never).states)).toContain('photos');
    expect(
      frames.find(({ event }) => (event as { type?: string } | undefined)?.type === 'stage.completed'),
    ).toMatchObject({ event: { type: 'stage.completed' } });
  });

  it('say which attempt sent an event, and how it ended', () => {
    const frames = encodeInspection(stately, stepsOf(aTask().running('photos', { attempt: 2 }).records));
    const failed = frames.find(
      ({ event, type }) => type === '@xstate.event' && (event as { type: string }).type === 'stage.failed',
    );
    expect(failed?.['sourceId']).toBe('t-1/photos#1');
    const ended = frames.filter(({ sessionId, type }) => type === '@xstate.snapshot' && sessionId !== 't-1');
    expect(ended.map(({ sessionId, snapshot }) => [sessionId, snapshot])).toEqual([
      ['t-1/parse#1', { status: 'done' }],
      ['t-1/photos#1', { status: 'error' }],
    ]);
    expect(frames.filter(({ sessionId }) => sessionId === 't-1/photos#2')).toHaveLength(1);
  });

  it('show a new owner, under the same ids as before', () => {
    const { records } = aTask().completed();
    const steps = [...stepsOf(records.slice(0, 2)), claim(13, 2), ...stepsOf(records.slice(2), 2).slice(1)];
    const frames = encodeInspection(stately, steps);
    const moves = frames.filter(
      ({ event }) => (event as { type?: string } | undefined)?.type === 'engine.owner.changed',
    );
    expect(moves.map(({ type, sessionId }) => [type, sessionId])).toEqual([
      ['@xstate.event', 't-1'],
      ['@xstate.snapshot', 't-1'],
    ]);
    expect(moves[0]?.['event']).toMatchObject({ epoch: 2, node: 'n-2', previous: { epoch: 1, node: 'n-1' } });
    const unmoved = encodeInspection(stately, stepsOf(records));
    const others = frames.filter((frame) => !moves.includes(frame));
    expect(others.map(({ type, sessionId }) => [type, sessionId])).toEqual(
      unmoved.map(({ type, sessionId }) => [type, sessionId]),
    );
    expect(lastOf(frames).context?.engine['owner']).toEqual({ epoch: 2, node: 'n-2' });
  });

  it('show a new owner also when the entry that named it is trimmed, and none before the task or after its end', () => {
    const { records } = aTask().completed();
    const [first, second] = [records.slice(0, 2), records.slice(2)];
    const unnamed = encodeInspection(engine, [...stepsOf(first), ...stepsOf(second, 3).slice(1)]);
    expect(unnamed.filter(({ type }) => type === 'engine.owner.changed')).toMatchObject([{ epoch: 3, node: null }]);
    const quiet = encodeInspection(engine, [claim(1, 1), claim(2, 2), ...stepsOf(records, 2).slice(1), claim(99, 3)]);
    expect(quiet.filter(({ type }) => type === 'engine.owner.changed')).toEqual([]);
  });

  it('say how much of the past is trimmed, and claim no context that they cannot know', () => {
    const { records } = aTask().running('photos', { attempt: 2 });
    const [, , third] = records;
    const frames = encodeInspection(stately, stepsOf([third as TaskRecord]), { missingCount: 2 });
    expect(typesOf(frames)).toContain('event t-1 engine.history.trimmed');
    expect(lastOf(frames).context?.engine).toMatchObject({ isContextKnown: false, seq: 3 });
    expect(flat(lastOf(frames).value)).toBe('photos.backingOff');
  });

  it('know the context of a trimmed task again once it has come into another stage', () => {
    const task = aTask().running('publish');
    const rest = task.records.slice(1);
    const last = lastOf(encodeInspection(stately, stepsOf(rest), { missingCount: 1 }));
    expect(last.context).toMatchObject(task.known.machine.control);
  });

  it('have payloads by size and hash alone, unless their values are asked for and small', () => {
    const canary = 'canary-4711';
    const task = aTask();
    task.send(a.submit({ photos: 3, note: canary }));
    task.send(a.checkpoint('parse', 1, 'step', canary));
    const big = { photos: 3, note: 'x'.repeat(maximumShownPayloadBytes) };
    const steps = stepsOf(task.records);
    for (const subject of [stately, engine]) {
      expect(JSON.stringify(encodeInspection(subject, steps))).not.toContain(canary);
      expect(JSON.stringify(encodeInspection({ ...subject, showsPayloads: true }, steps))).toContain(canary);
    }
    const large = aTask();
    large.send(a.submit(big));
    const shown = encodeInspection({ ...stately, showsPayloads: true }, stepsOf(large.records));
    expect(JSON.stringify(shown)).not.toContain('xxxx');
    expect(JSON.stringify(shown)).toContain('sizeBytes');
  });

  it('tell the states of a task whose definition is not at hand, without transitions and context', () => {
    const { records } = aTask().deadLettered('photos');
    const machine = outlineOf('listing', 2, ['parse', 'photos', 'publish', 'announce']);
    const frames = encodeInspection({ ...stately, machine }, stepsOf(records));
    expect(flat(lastOf(frames).value)).toBe('deadLettered.photos');
    expect(lastOf(frames).context?.engine).toMatchObject({ isContextKnown: false });
    expect(typesOf(frames)).toContain('actor t-1/photos#1 photos#1');
    const definition = JSON.parse(String(frames[0]?.['definition'])) as never;
    expect(() => createMachine(definition)).not.toThrow();
  });

  it('name the running attempt by the records alone as the machine does', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const steps = stepsOf(wander(history).records);
        const machine = outlineOf('listing', 2, ['parse', 'photos', 'publish', 'announce']);
        expect(runningIn(encodeInspection({ ...stately, machine }, steps))).toEqual(
          runningIn(encodeInspection(stately, steps)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('begin anew when the id is used again', () => {
    const first = aTask().canceled();
    const second = aTask().running('parse');
    const later = stepsOf(second.records, 1).map((step) => ({ ...step, sequence: (step.sequence + 100) as Sequence }));
    const frames = encodeInspection(stately, [...stepsOf(first.records), ...later.slice(1)]);
    expect(frames.filter(({ type, sessionId }) => type === '@xstate.actor' && sessionId === 't-1')).toHaveLength(2);
    expect(lastOf(frames)).toMatchObject({ value: { parse: 'running' }, context: { engine: { seq: 1 } } });
  });

  it('are in our own form one transition a record, in the shape of XState 6', () => {
    const { records } = aTask().running('photos', { attempt: 2 });
    const frames = encodeInspection(engine, stepsOf(records));
    expect(frames[0]).toMatchObject({
      type: '@xstate.actor',
      id: 't-1',
      src: 'listing@2',
      stages: [
        { name: 'parse', canBeSkipped: false },
        { name: 'photos', canBeSkipped: true },
        { name: 'publish', canBeSkipped: false },
        { name: 'announce', canBeSkipped: false },
      ],
    });
    const own = frames.filter(({ type, sessionId }) => type === '@xstate.transition' && sessionId === 't-1');
    expect(own.map(({ seq }) => seq)).toEqual(records.map(({ seq }) => seq));
    expect(own.at(-1)).toMatchObject({ event: { type: 'retry.due' }, sourceId: null, microsteps: [], epoch: 1 });
    const unknownFailure = aFailure();
    expect(own.find(({ event }) => (event as { type: string }).type === 'stage.failed')).toMatchObject({
      event: { failure: unknownFailure },
      sourceId: 't-1/photos#1',
    });
  });
});

/** Attempts that appeared and have not ended. */
function runningIn(frames: readonly InspectionFrame[]): string[] {
  const running = new Set<string>();
  for (const { type, sessionId, snapshot } of frames) {
    if (sessionId === taskId) continue;
    if (type === '@xstate.actor') running.add(sessionId);
    else if ((snapshot as Snapshot | undefined)?.status !== 'active') running.delete(sessionId);
  }
  return [...running];
}
