import { invalidArgument, showValue } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { count, membersOf, name, optional, ordinal, type Shape } from '../core/shape.ts';
import type { HostMessage, RunMessage } from './run-messages.ts';
import { objectList, stageRequestShape, type StageRequest } from './stage-request.ts';
import type { WireError } from './wire-error.ts';

// The protocol of docs/REMOTE-DRIVERS.md. A change here is a change there, and of services in other languages.

/** The version that both sides must speak. */
export const remoteProtocol = 1;

/** Where the parts of a remote driver are served, below its own subject. */
export const remoteSubjects = {
  /** Any instance answers. */
  offer: (subject: string): string => `${subject}.offer`,
  lookup: (subject: string): string => `${subject}.lookup`,
  /** One instance answers. */
  start: (subject: string, instance: string): string => `${subject}.${instance}.start`,
  poll: (subject: string, instance: string): string => `${subject}.${instance}.poll`,
  tell: (subject: string, instance: string): string => `${subject}.${instance}.tell`,
} as const;

/** The queue group that instances share for what any of them may answer. */
export const remoteQueue = 'drivers';

const subjectPattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const instancePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The subject, checked: plain tokens, no wildcards. @throws EngineError `INVALID_ARGUMENT` */
export function checkSubject(subject: unknown): string {
  if (typeof subject === 'string' && subject.length <= 200 && subjectPattern.test(subject)) return subject;
  const limit = 'tokens of A–Z a–z 0–9 _ - with dots between them';
  throw invalidArgument({ field: 'subject', message: `subject must be ${limit}`, limit, got: subject });
}

/** Asks for an instance that has room. */
export interface OfferRequest {
  readonly protocol: number;
}

/** Which run is meant: a key has at most one run at a time. */
export interface RunName {
  readonly idempotencyKey: string;
  readonly attempt: number;
}

/** Starts a run, or joins the one of that key and attempt. */
export type StartRequest = StageRequest & OfferRequest;

/** Asks how a run stands, and waits for news. */
export interface PollRequest extends RunName {
  /** Longest wait for news. */
  readonly waitMs: number;
  /** Number of the last message that was received; the service may forget it and those before. */
  readonly received: number;
}

/** Tells a run something. Repeated until it is answered: `number` counts from 1, and the service takes each once, in order. */
export interface TellRequest extends RunName {
  readonly number: number;
  readonly message: RunMessage;
}

/** A message of a run, with its number from 1. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: HostMessage;
}

/** Answer of `offer`. */
export type OfferReply =
  | { readonly status: 'offered'; readonly instance: string }
  | { readonly status: 'busy'; readonly retryAfterMs?: number }
  | { readonly status: 'failed'; readonly error: WireError };

/** Answer of `start` and `poll`. */
export type RunReply =
  | { readonly status: 'running'; readonly messages?: readonly NumberedMessage[] }
  | { readonly status: 'done'; readonly output?: JsonValue; readonly messages?: readonly NumberedMessage[] }
  | { readonly status: 'failed'; readonly error: WireError; readonly messages?: readonly NumberedMessage[] }
  /** No run of that name is known here. */
  | { readonly status: 'unknown' };

/** Answer of `tell`. */
export type TellReply = { readonly status: 'told' } | { readonly status: 'unknown' };

/** Answer of `lookup`. */
export type LookupReply =
  | { readonly status: 'answered'; readonly answer: { readonly kind: string; readonly output?: JsonValue } }
  | { readonly status: 'failed'; readonly error: WireError };

const protocolShape: Shape = (value) =>
  value === remoteProtocol ? null : ` must be ${remoteProtocol}, got ${showValue(value)}`;
const runNameShapes = { idempotencyKey: name, attempt: ordinal };

/** Shapes of the requests, as a service checks them. */
export const requestShapes = {
  offer: membersOf({ protocol: protocolShape }),
  start: both(membersOf({ protocol: protocolShape }), stageRequestShape),
  lookup: both(membersOf({ protocol: protocolShape }), stageRequestShape),
  poll: membersOf({ ...runNameShapes, waitMs: count, received: count }),
  tell: membersOf({ ...runNameShapes, number: ordinal, message: membersOf({ type: name }) }),
} as const;

const replyShape: Shape = membersOf({ status: name, messages: optional(objectList) });

/** A request or an answer as bytes. */
export function encodeRemote(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** A request from bytes. @throws EngineError `INVALID_MESSAGE` that names what is wrong */
export function decodeRequest(bytes: Uint8Array, shape: Shape): unknown {
  return decode(bytes, shape, 'the request');
}

/** An answer from bytes. @throws EngineError `INVALID_MESSAGE` */
export function decodeReply(bytes: Uint8Array): { readonly status: string } {
  return decode(bytes, replyShape, 'the answer of a remote driver') as { readonly status: string };
}

/** Whether an instance's name may stand in a subject. */
export function isInstanceName(value: unknown): value is string {
  return typeof value === 'string' && instancePattern.test(value);
}

function decode(bytes: Uint8Array, shape: Shape, what: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalidArgument({ code: 'INVALID_MESSAGE', field: 'body', message: `${what} is not JSON` });
  }
  const problem = shape(value);
  if (problem === null) return value;
  throw invalidArgument({ code: 'INVALID_MESSAGE', field: 'body', message: `${what}${problem}` });
}

function both(first: Shape, second: Shape): Shape {
  return (value) => first(value) ?? second(value);
}
