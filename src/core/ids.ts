import { invalidArgument } from './errors.ts';

declare const brand: unique symbol;
type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };

/** The id of a task: `^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`, so that it is one safe token of a subject or key. */
export type TaskId = Branded<string, 'TaskId'>;
/** A caller's name for one command, the same on every repeat of it. Same alphabet as a task id. */
export type CommandId = Branded<string, 'CommandId'>;
/** A pipeline's name: `^[a-z][a-z0-9-]{0,62}$`. */
export type PipelineName = Branded<string, 'PipelineName'>;
/** A stage's name, unique within its pipeline: `^[a-z][a-z0-9-]{0,62}$`. */
export type StageName = Branded<string, 'StageName'>;
/** The name of an integration that stages depend on: `^[a-z][a-z0-9-]{0,62}$`. */
export type PortName = Branded<string, 'PortName'>;
/** The name of one engine node. Same alphabet as a task id. */
export type NodeId = Branded<string, 'NodeId'>;
/** A bucket of task ids, 0 up to the shard count less one. */
export type ShardId = Branded<number, 'ShardId'>;
/** How often a shard has been taken; grows by one each time, from 1. */
export type Epoch = Branded<number, 'Epoch'>;
/** A message's sequence in the journal stream, from 1; 0 stands for "nothing written yet". */
export type Sequence = Branded<number, 'Sequence'>;
/** Milliseconds since 1970 by a wall clock. Information and due times only; never a base of ownership. */
export type Millis = number;

/** Longest task, command or node id in characters. */
export const maximumIdLength = 128;
/** Longest pipeline, stage or port name in characters. */
export const maximumNameLength = 63;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const namePattern = /^[a-z][a-z0-9-]{0,62}$/;

/** `value` as a task id. @throws EngineError `INVALID_TASK_ID` with the field given, that names the first bad character. */
export function parseTaskId(value: unknown, field = 'taskId'): TaskId {
  return parseId(value, field, 'INVALID_TASK_ID') as TaskId;
}

/** `value` as a command id. @throws EngineError `INVALID_ARGUMENT` with field `commandId`. */
export function parseCommandId(value: unknown): CommandId {
  return parseId(value, 'commandId', 'INVALID_ARGUMENT') as CommandId;
}

/** `value` as a node id. @throws EngineError `INVALID_ARGUMENT` with field `nodeId`. */
export function parseNodeId(value: unknown): NodeId {
  return parseId(value, 'nodeId', 'INVALID_ARGUMENT') as NodeId;
}

/** `value` as a pipeline name. @throws EngineError `INVALID_ARGUMENT` with the field given. */
export function parsePipelineName(value: unknown, field = 'pipeline'): PipelineName {
  return parseName(value, field) as PipelineName;
}

/** `value` as a stage name. @throws EngineError `INVALID_ARGUMENT` with the field given. */
export function parseStageName(value: unknown, field = 'stage'): StageName {
  return parseName(value, field) as StageName;
}

/** `value` as a port name. @throws EngineError `INVALID_ARGUMENT` with the field given. */
export function parsePortName(value: unknown, field = 'port'): PortName {
  return parseName(value, field) as PortName;
}

function parseId(value: unknown, field: string, code: 'INVALID_TASK_ID' | 'INVALID_ARGUMENT'): string {
  if (typeof value === 'string' && idPattern.test(value)) return value;
  throw invalidArgument({
    code,
    field,
    message: `${field} ${explainId(value, maximumIdLength, /[A-Za-z0-9_-]/, /[A-Za-z0-9]/, 'A–Z a–z 0–9 _ -')}`,
    limit: `1 to ${maximumIdLength} characters of A–Z a–z 0–9 _ -, the first a letter or digit`,
    got: value,
  });
}

function parseName(value: unknown, field: string): string {
  if (typeof value === 'string' && namePattern.test(value)) return value;
  throw invalidArgument({
    field,
    message: `${field} ${explainId(value, maximumNameLength, /[a-z0-9-]/, /[a-z]/, 'a–z 0–9 -')}`,
    limit: `1 to ${maximumNameLength} characters of a–z 0–9 -, the first a letter`,
    got: value,
  });
}

function explainId(value: unknown, maximum: number, allowed: RegExp, allowedFirst: RegExp, alphabet: string): string {
  if (value === undefined) return 'is required';
  if (typeof value !== 'string') return `must be a string, got ${kindOf(value)}`;
  if (value === '') return 'must not be empty';
  if (value.length > maximum) return `must have at most ${maximum} characters, got ${value.length}`;
  const badIndex = Array.from({ length: value.length }, (_, index) => index).find(
    (index) => !(index === 0 ? allowedFirst : allowed).test(value.charAt(index)),
  );
  const index = badIndex ?? 0;
  if (index === 0 && allowed.test(value.charAt(0)))
    return `must start with ${allowedFirst.test('0') ? 'a letter or digit' : 'a letter'}, found '${value.charAt(0)}'`;
  return `may hold only ${alphabet}; found ${showCharacter(value, index)} at ${index}`;
}

function showCharacter(value: string, index: number): string {
  const codePoint = value.codePointAt(index) ?? 0;
  if (codePoint > 0x20 && codePoint < 0x7f) return `'${String.fromCodePoint(codePoint)}'`;
  return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
