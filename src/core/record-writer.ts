import type { JsonValue } from './json.ts';
import { messagePackKey, MessagePackWriter } from './messagepack-writer.ts';
import type { Continuation, Payload, TaskEvent, TaskRecord } from './records.ts';

const keys = {
  task: messagePackKey('task'),
  seq: messagePackKey('seq'),
  at: messagePackKey('at'),
  event: messagePackKey('event'),
  to: messagePackKey('to'),
  pipeline: messagePackKey('pipeline'),
  version: messagePackKey('version'),
  type: messagePackKey('type'),
  stage: messagePackKey('stage'),
  attempt: messagePackKey('attempt'),
  output: messagePackKey('output'),
  input: messagePackKey('input'),
  inputHash: messagePackKey('inputHash'),
  origin: messagePackKey('origin'),
  next: messagePackKey('next'),
  skipped: messagePackKey('skipped'),
  reason: messagePackKey('reason'),
  start: messagePackKey('start'),
  json: messagePackKey('json'),
  completed: messagePackKey('stage.completed'),
  submitted: messagePackKey('task.submitted'),
} as const;

const writer = new MessagePackWriter();

/**
 * One record as MessagePack, a map of plain maps. The two events that every task has are written member by member; all others,
 * and whatever a member of theirs may hold, as any JSON value is. One format: which way was taken cannot be told from the bytes.
 */
export function writeRecord(record: TaskRecord): Uint8Array {
  try {
    writer.map(7);
    writer.raw(keys.task);
    writer.text(record.task);
    writer.raw(keys.seq);
    writer.number(record.seq);
    writer.raw(keys.at);
    writer.number(record.at);
    writer.raw(keys.event);
    writeEvent(record.event);
    writer.raw(keys.to);
    writer.text(record.to);
    writer.raw(keys.pipeline);
    writer.text(record.pipeline);
    writer.raw(keys.version);
    writer.number(record.version);
    return writer.take();
  } catch (error) {
    writer.clear();
    throw error;
  }
}

function writeEvent(event: TaskEvent): void {
  switch (event.type) {
    case 'stage.completed':
      writer.map(7);
      writer.raw(keys.type);
      writer.raw(keys.completed);
      writer.raw(keys.stage);
      writer.text(event.stage);
      writer.raw(keys.attempt);
      writer.number(event.attempt);
      writer.raw(keys.output);
      writePayload(writer, event.output);
      return writeContinuation(event);
    case 'task.submitted':
      writer.map(9);
      writer.raw(keys.type);
      writer.raw(keys.submitted);
      writer.raw(keys.pipeline);
      writer.text(event.pipeline);
      writer.raw(keys.version);
      writer.number(event.version);
      writer.raw(keys.input);
      writePayload(writer, event.input);
      writer.raw(keys.inputHash);
      writer.text(event.inputHash);
      writer.raw(keys.origin);
      writer.json(event.origin as unknown as JsonValue);
      return writeContinuation(event);
    default:
      return writer.json(event as unknown as JsonValue);
  }
}

function writeContinuation({ next, skipped, start }: Continuation): void {
  writer.raw(keys.next);
  writer.textOrNil(next);
  writer.raw(keys.skipped);
  writer.list(skipped.length);
  for (const { stage, reason } of skipped) {
    writer.map(2);
    writer.raw(keys.stage);
    writer.text(stage);
    writer.raw(keys.reason);
    writer.text(reason);
  }
  writer.raw(keys.start);
  writer.flag(start);
}

/** A payload: here, or where it lies. */
export function writePayload(to: MessagePackWriter, payload: Payload): void {
  if (!('json' in payload)) return to.json(payload as unknown as JsonValue);
  to.map(1);
  to.raw(keys.json);
  to.json(payload.json);
}
