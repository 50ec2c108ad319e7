import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { decodeSnapshot, encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { a, aTask, listingPipeline, type TaskInTest } from '../../support/a-task.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const registry = new PipelineRegistry([listingPipeline]);
const taskId = 't-1' as TaskId;

function errorOf(bytes: Uint8Array, id = taskId, from = registry): EngineError {
  try {
    decodeSnapshot(id, bytes, from);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** The snapshot of a task in the middle of its life, with some members changed. */
function changed(members: object): Uint8Array {
  const stored = packr.unpack(encodeSnapshot(aRichTask().known)) as object;
  return packr.pack({ ...stored, ...members });
}

function cutOffLookup(): TaskInTest {
  const task = aTask().running('announce');
  for (let time = 0; time < 2; time += 1) task.send(a.ownerChange());
  return task;
}

function aRichTask(): TaskInTest {
  const task = aTask().running('photos', { attempt: 2 });
  task.send(a.checkpoint('photos', 2, 'photo-1', { url: 'ümlaut', list: [1, null, true] }));
  task.send(a.pause());
  task.send(a.failing('photos', 2));
  return task;
}

describe('a snapshot', () => {
  it.each([
    ['queued', () => aTask().queued('parse')],
    ['running', () => aTask().running('photos')],
    ['backing off', () => aTask().backingOff('photos')],
    ['held', () => aTask().held('photos')],
    ['unknown', () => aTask().unknown('publish')],
    ['unknown, and its lookup was cut off', () => cutOffLookup()],
    ['dead-lettered', () => aRichTask()],
    ['completed', () => aTask().completed()],
    ['canceled', () => aTask().canceled()],
  ])('R-CORE-3: of a task that is %s gives back the same state, which goes on as before', (_what, come) => {
    const task = come();
    const restored = decodeSnapshot(taskId, encodeSnapshot(task.known), registry);
    expect(restored).toEqual(task.known);
    const again = aTask();
    again.state = restored;
    again.now = task.now;
    for (const message of [a.cancel(), a.redrive(), a.pause('c-x'), a.ownerChange(), a.completion('photos')]) {
      expect(again.decide(message)).toEqual(task.decide(message));
    }
  });

  it('holds no object of XState: a plain reader sees the state by its name', () => {
    expect(packr.unpack(encodeSnapshot(aTask().running('photos').known))).toMatchObject({
      format: 1,
      taskId: 't-1',
      value: 'photos.running',
      control: { attempt: 1 },
    });
  });

  it('RECORD_CORRUPT for any cut of its bytes', () => {
    const bytes = encodeSnapshot(aRichTask().known);
    for (let length = 0; length < bytes.length; length += 7) {
      expect(errorOf(bytes.slice(0, length)).code).toBe('RECORD_CORRUPT');
    }
  });

  it.each([
    ['another task', changed({ taskId: 't-2' }), 'holds another thing'],
    ['no map', packr.pack([1, 2]), 'holds another thing'],
    ['a text', packr.pack('t-1'), 'holds another thing'],
    ['another format', changed({ format: 2 }), 'has format 2'],
    ['a state that its pipeline does not have', changed({ value: 'photos.sleeping' }), 'has no such state'],
    ['a stage that its pipeline does not have', changed({ value: 'shred.running' }), 'has no such state'],
    ['a member of another type', changed({ seq: '7' }), 'state.seq must be a whole number from 1, got 7'],
    ['half a control', changed({ control: { attempt: 1 } }), 'state.control.attemptBase must be'],
    ['a list that is none', changed({ commands: {} }), 'state.commands must be a list'],
    ['a payload that is none', changed({ outputs: { parse: 7 } }), 'state.outputs.parse must be an object'],
    ['stages that are none', changed({ stages: [null] }), 'state.stages[0] must be an object'],
  ])('RECORD_CORRUPT for %s, never a TypeError later', (_what, bytes, message) => {
    const error = errorOf(bytes);
    expect(error.code).toBe('RECORD_CORRUPT');
    expect(error.message).toContain(message);
  });

  it('PIPELINE_UNKNOWN or PIPELINE_VERSION_UNKNOWN on a node that does not have its definition', () => {
    const bytes = encodeSnapshot(aRichTask().known);
    expect(errorOf(bytes, taskId, new PipelineRegistry()).code).toBe('PIPELINE_UNKNOWN');
    expect(errorOf(changed({ version: 3 })).code).toBe('PIPELINE_VERSION_UNKNOWN');
  });
});
