import { asError, EngineError, type ErrorCode, unreachable } from '../../core/errors.ts';
import { hasRole, type Principal } from '../principal.ts';
import { idOfMessage, readLiveMessage } from './client-message.ts';
import type { FeedRequest, SharedDelta } from './feed.ts';
import { liveCloseCodes, type LiveFrame, type LiveMessage } from './protocol.ts';
import { isResumable, readTopic, roleOfTopic, type Topic } from './topic.ts';

/** Most subscriptions of one connection. */
export const maximumSubscriptions = 32;
/** Messages that a client may send in the long run, and at once. */
export const messageRate = { perSecond: 50, burst: 50 } as const;

/** A subscription of a connection. */
interface Subscription {
  /** Tells it from an earlier one of the same id, whose last words may still be under way. */
  readonly serial: number;
  readonly topic: Topic;
  readonly topicName: string;
  readonly isOpen: boolean;
  /** Of the last delta. */
  readonly seq: number;
}

/** One connection, as the protocol sees it. */
export interface ConnectionState {
  readonly principal: Principal;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  readonly lastSerial: number;
  /** Messages that may come at once, as of then. */
  readonly budget: { readonly messages: number; readonly atMs: number };
  /** Whether nothing was heard since the last ping. */
  readonly awaitsSign: boolean;
  readonly isClosed: boolean;
}

/** What happens to a connection. Feeds name a subscription by id and serial. */
export type ConnectionInput =
  | { readonly type: 'text'; readonly text: string; readonly nowMs: number }
  | { readonly type: 'binary' }
  /** A ping of the client's own: it costs as a message does. */
  | { readonly type: 'pinged'; readonly nowMs: number }
  | { readonly type: 'ponged' }
  | { readonly type: 'pingDue' }
  | { readonly type: 'rechecked'; readonly principal: Principal | null }
  | { readonly type: 'overflowed' }
  | { readonly type: 'stopping' }
  | ({ readonly id: string; readonly serial: number } & (
      | { readonly type: 'snapshot'; readonly position: string | null; readonly dataText: string }
      | { readonly type: 'resumed'; readonly from: string }
      | { readonly type: 'delta'; readonly delta: SharedDelta }
      | { readonly type: 'gap'; readonly from: string; readonly to: string }
      | { readonly type: 'failed'; readonly error: EngineError }
    ));

/** What is done for it, in order. */
export type ConnectionEffect =
  /** A frame of its own. */
  | { readonly type: 'send'; readonly text: string }
  /** A frame of which only the head is its own. */
  | { readonly type: 'sendShared'; readonly head: string; readonly body: Buffer }
  | { readonly type: 'open'; readonly id: string; readonly serial: number; readonly request: FeedRequest }
  | { readonly type: 'end'; readonly id: string }
  | { readonly type: 'ping' }
  /** Ends the connection; nothing comes after it. */
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  /** The same without a word, for a peer that is not there. */
  | { readonly type: 'cut' };

/** A connection that has just been let in, and its first words. */
export function beginConnection(
  principal: Principal,
  nowMs: number,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  const state: ConnectionState = {
    principal,
    subscriptions: new Map(),
    lastSerial: 0,
    budget: { messages: messageRate.burst, atMs: nowMs },
    awaitsSign: false,
    isClosed: false,
  };
  return [state, [send({ type: 'hello', version: 1, name: principal.name, role: principal.role })]];
}

/** The connection after an input, and what is to be done. Pure. */
export function afterInput(
  state: ConnectionState,
  input: ConnectionInput,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  if (state.isClosed) return [state, []];
  switch (input.type) {
    case 'text': {
      const paid = pay(state, input.nowMs);
      return paid === null ? rateLimited(state) : afterText({ ...paid, awaitsSign: false }, input.text);
    }
    case 'pinged': {
      const paid = pay(state, input.nowMs);
      return paid === null ? rateLimited(state) : [{ ...paid, awaitsSign: false }, []];
    }
    case 'binary':
      return closed(state, liveCloseCodes.notText, 'text frames only');
    case 'ponged':
      return [{ ...state, awaitsSign: false }, []];
    case 'pingDue':
      if (state.awaitsSign) {
        const [ended, effects] = closed(state, liveCloseCodes.silent, 'REQUEST_TIMEOUT');
        return [ended, [...effects, { type: 'cut' }]];
      }
      return [{ ...state, awaitsSign: true }, [{ type: 'ping' }, send({ type: 'ping' })]];
    case 'rechecked':
      return afterRecheck(state, input.principal);
    case 'overflowed':
      return closed(state, liveCloseCodes.slowConsumer, 'SLOW_CONSUMER');
    case 'stopping':
      return closed(state, liveCloseCodes.goingAway, 'the server stops');
    default:
      return afterFeed(state, input);
  }
}

function afterText(state: ConnectionState, text: string): readonly [ConnectionState, readonly ConnectionEffect[]] {
  let message: LiveMessage;
  try {
    message = readLiveMessage(text);
  } catch (thrown) {
    return refused(state, null, thrown);
  }
  switch (message.type) {
    case 'pong':
      return [state, []];
    case 'unsubscribe': {
      const { id } = message;
      const effects: ConnectionEffect[] = state.subscriptions.has(id) ? [{ type: 'end', id }] : [];
      return [without(state, id), [...effects, send({ type: 'unsubscribed', id })]];
    }
    case 'subscribe':
      try {
        return subscribed(state, message);
      } catch (thrown) {
        // The error would read as the end of the subscription that has the id.
        const isTaken = state.subscriptions.has(message.id);
        return refused(state, isTaken ? null : idOfMessage(text), thrown);
      }
    default:
      return unreachable(message);
  }
}

function subscribed(
  state: ConnectionState,
  message: Extract<LiveMessage, { readonly type: 'subscribe' }>,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  const { id, topic: topicName, filter, resumeFrom = null, allowGap = false } = message;
  if (state.subscriptions.has(id)) {
    throw new EngineError('INVALID_MESSAGE', `the subscription ${id} is there already`, { field: 'id', got: id });
  }
  if (state.subscriptions.size >= maximumSubscriptions) {
    throw new EngineError('RATE_LIMITED', 'the connection has as many subscriptions as it may', {
      limit: `${maximumSubscriptions}`,
    });
  }
  const topic = readTopic(topicName, filter);
  const role = roleOfTopic(topic);
  if (!hasRole(state.principal.role, role)) {
    throw new EngineError('FORBIDDEN', `the topic ${topicName} is for the role ${role}`, {
      field: 'topic',
      limit: role,
    });
  }
  if (resumeFrom !== null && !isResumable(topic)) {
    throw new EngineError(
      'RESUME_INVALID',
      `the topic ${topicName} tells what is so now; it has no place to resume from`,
      {
        field: 'resumeFrom',
      },
    );
  }
  const serial = state.lastSerial + 1;
  const subscription: Subscription = { serial, topic, topicName, isOpen: false, seq: 0 };
  const request: FeedRequest = { topic, resumeFrom, allowsGap: allowGap };
  return [
    { ...withSubscription(state, id, subscription), lastSerial: serial },
    [{ type: 'open', id, serial, request }],
  ];
}

function afterFeed(
  state: ConnectionState,
  input: Extract<ConnectionInput, { readonly serial: number }>,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  const { id } = input;
  const subscription = state.subscriptions.get(id);
  if (subscription?.serial !== input.serial) return [state, []];
  switch (input.type) {
    case 'snapshot': {
      const opened = withSubscription(state, id, { ...subscription, isOpen: true });
      const head = `{"type":"snapshot","id":${JSON.stringify(id)},"topic":${JSON.stringify(subscription.topicName)}`;
      const text = `${head},"position":${JSON.stringify(input.position)},"data":${input.dataText}}`;
      return [opened, [{ type: 'send', text }]];
    }
    case 'resumed':
      return [
        withSubscription(state, id, { ...subscription, isOpen: true }),
        [send({ type: 'resumed', id, from: input.from })],
      ];
    case 'delta': {
      const seq = subscription.seq + 1;
      const head = `{"type":"delta","id":${JSON.stringify(id)},"seq":${seq},`;
      return [
        withSubscription(state, id, { ...subscription, seq }),
        [{ type: 'sendShared', head, body: input.delta.body }],
      ];
    }
    case 'gap':
      return [state, [send({ type: 'gap', id, from: input.from, to: input.to })]];
    case 'failed':
      return [without(state, id), [{ type: 'end', id }, errorFrame(id, input.error)]];
    default:
      return unreachable(input);
  }
}

function afterRecheck(
  state: ConnectionState,
  principal: Principal | null,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  if (principal === null) return closed(state, liveCloseCodes.unauthenticated, 'UNAUTHENTICATED');
  let next: ConnectionState = { ...state, principal };
  const effects: ConnectionEffect[] = [];
  for (const [id, { topic, topicName }] of state.subscriptions) {
    if (hasRole(principal.role, roleOfTopic(topic))) continue;
    next = without(next, id);
    const error = new EngineError('FORBIDDEN', `the topic ${topicName} is for the role ${roleOfTopic(topic)}`);
    effects.push({ type: 'end', id }, errorFrame(id, error));
  }
  return [next, effects];
}

function pay(state: ConnectionState, nowMs: number): ConnectionState | null {
  const { messages, atMs } = state.budget;
  const filled = Math.min(messageRate.burst, messages + (Math.max(0, nowMs - atMs) * messageRate.perSecond) / 1_000);
  return filled < 1 ? null : { ...state, budget: { messages: filled - 1, atMs: nowMs } };
}

function rateLimited(state: ConnectionState): readonly [ConnectionState, readonly ConnectionEffect[]] {
  return closed(state, liveCloseCodes.rateLimited, 'RATE_LIMITED');
}

function closed(
  state: ConnectionState,
  code: number,
  reason: string,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  const ends = [...state.subscriptions.keys()].map((id): ConnectionEffect => ({ type: 'end', id }));
  return [{ ...state, subscriptions: new Map(), isClosed: true }, [...ends, { type: 'close', code, reason }]];
}

function refused(
  state: ConnectionState,
  id: string | null,
  thrown: unknown,
): readonly [ConnectionState, readonly ConnectionEffect[]] {
  const error = thrown instanceof EngineError ? thrown : new EngineError('INTERNAL', asError(thrown).message);
  return [state, [errorFrame(id, error)]];
}

function errorFrame(id: string | null, error: EngineError): ConnectionEffect {
  const code: ErrorCode = error.code;
  // What a bug says of itself is for the log.
  const message = code === 'INTERNAL' ? 'an unexpected error; the log has it' : error.message;
  const oldest = code === 'RESUME_TOO_OLD' && error.limit !== undefined ? { oldest: error.limit } : {};
  const { field, limit } = code === 'INTERNAL' || code === 'RESUME_TOO_OLD' ? {} : error;
  return send({
    type: 'error',
    id,
    code,
    message,
    ...(field === undefined ? {} : { field }),
    ...(limit === undefined ? {} : { limit }),
    ...oldest,
  });
}

function send(frame: LiveFrame): ConnectionEffect {
  return { type: 'send', text: JSON.stringify(frame) };
}

function withSubscription(state: ConnectionState, id: string, subscription: Subscription): ConnectionState {
  return { ...state, subscriptions: new Map(state.subscriptions).set(id, subscription) };
}

function without(state: ConnectionState, id: string): ConnectionState {
  if (!state.subscriptions.has(id)) return state;
  const subscriptions = new Map(state.subscriptions);
  subscriptions.delete(id);
  return { ...state, subscriptions };
}
