import type { JsonValue } from '../core/json.ts';
import { messagePackKey, MessagePackWriter } from '../core/messagepack-writer.ts';
import { writePayload } from '../core/record-writer.ts';
import type { Payload } from '../core/records.ts';
import type { StageProgress, TaskState } from './task-state.ts';

const keys = {
  format: messagePackKey('format'),
  value: messagePackKey('value'),
  control: messagePackKey('control'),
  taskId: messagePackKey('taskId'),
  pipeline: messagePackKey('pipeline'),
  version: messagePackKey('version'),
  seq: messagePackKey('seq'),
  input: messagePackKey('input'),
  inputHash: messagePackKey('inputHash'),
  outputs: messagePackKey('outputs'),
  checkpoints: messagePackKey('checkpoints'),
  commands: messagePackKey('commands'),
  stages: messagePackKey('stages'),
  failure: messagePackKey('failure'),
  submittedAt: messagePackKey('submittedAt'),
  updatedAt: messagePackKey('updatedAt'),
  endedAt: messagePackKey('endedAt'),
  lookupLosses: messagePackKey('lookupLosses'),
  traceparent: messagePackKey('traceparent'),
  stage: messagePackKey('stage'),
  status: messagePackKey('status'),
  attempts: messagePackKey('attempts'),
  interruptions: messagePackKey('interruptions'),
  handovers: messagePackKey('handovers'),
  startedAt: messagePackKey('startedAt'),
} as const;

/** Members that every snapshot has. */
const memberCount = 17;

const writer = new MessagePackWriter();

/** A state as its stored form in MessagePack, member by member: one is written for every task that ends. */
export function writeSnapshot(format: number, state: TaskState): Uint8Array {
  const { machine, lookupLosses, traceparent } = state;
  try {
    writer.map(memberCount + (lookupLosses === undefined ? 0 : 1) + (traceparent === undefined ? 0 : 1));
    writer.raw(keys.format);
    writer.number(format);
    writer.raw(keys.value);
    writer.text(machine.value);
    writer.raw(keys.control);
    writer.json(machine.control as unknown as JsonValue);
    writer.raw(keys.taskId);
    writer.text(state.taskId);
    writer.raw(keys.pipeline);
    writer.text(state.pipeline);
    writer.raw(keys.version);
    writer.number(state.version);
    writer.raw(keys.seq);
    writer.number(state.seq);
    writer.raw(keys.input);
    writePayload(writer, state.input);
    writer.raw(keys.inputHash);
    writer.text(state.inputHash);
    writer.raw(keys.outputs);
    writePayloads(state.outputs);
    writer.raw(keys.checkpoints);
    writePayloads(state.checkpoints);
    writer.raw(keys.commands);
    writer.json(state.commands as unknown as JsonValue);
    writer.raw(keys.stages);
    writer.list(state.stages.length);
    for (const progress of state.stages) writeProgress(progress);
    writer.raw(keys.failure);
    writer.json(state.failure as unknown as JsonValue);
    writer.raw(keys.submittedAt);
    writer.number(state.submittedAt);
    writer.raw(keys.updatedAt);
    writer.number(state.updatedAt);
    writer.raw(keys.endedAt);
    writer.numberOrNil(state.endedAt);
    if (lookupLosses !== undefined) {
      writer.raw(keys.lookupLosses);
      writer.number(lookupLosses);
    }
    if (traceparent !== undefined) {
      writer.raw(keys.traceparent);
      writer.text(traceparent);
    }
    return writer.take();
  } catch (error) {
    writer.clear();
    throw error;
  }
}

function writePayloads(payloads: Readonly<Record<string, Payload>>): void {
  writer.map(Object.keys(payloads).length);
  for (const name in payloads) {
    writer.text(name);
    writePayload(writer, payloads[name] as Payload);
  }
}

function writeProgress(progress: StageProgress): void {
  writer.map(7);
  writer.raw(keys.stage);
  writer.text(progress.stage);
  writer.raw(keys.status);
  writer.text(progress.status);
  writer.raw(keys.attempts);
  writer.number(progress.attempts);
  writer.raw(keys.interruptions);
  writer.number(progress.interruptions);
  writer.raw(keys.handovers);
  writer.number(progress.handovers);
  writer.raw(keys.startedAt);
  writer.numberOrNil(progress.startedAt);
  writer.raw(keys.endedAt);
  writer.numberOrNil(progress.endedAt);
}
