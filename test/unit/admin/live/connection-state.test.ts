import { describe, expect, it } from 'vitest';
import {
  afterInput,
  beginConnection,
  maximumSubscriptions,
  type ConnectionEffect,
  type ConnectionInput,
  type ConnectionState,
} from '../../../../src/admin/live/connection-state.ts';
import { sharedDelta } from '../../../../src/admin/live/feed.ts';
import { afterFrame, beginSubscription, type LiveFrame } from '../../../../src/admin/live/protocol.ts';
import type { Role } from '../../../../src/admin/principal.ts';
import { EngineError } from '../../../../src/core/errors.ts';
import { aPrincipal } from '../../../support/live-kit.ts';

/** A connection under its rules alone. */
class Rules {
  state: ConnectionState;
  effects: readonly ConnectionEffect[];
  nowMs = 0;

  constructor(role: Role = 'viewer') {
    [this.state, this.effects] = beginConnection(aPrincipal(role), 0);
  }

  put(input: ConnectionInput): readonly ConnectionEffect[] {
    [this.state, this.effects] = afterInput(this.state, input);
    return this.effects;
  }

  say(message: unknown): readonly ConnectionEffect[] {
    this.nowMs += 20;
    return this.put({ type: 'text', text: JSON.stringify(message), nowMs: this.nowMs });
  }

  /** The frames among the effects of the last input. */
  get frames(): readonly LiveFrame[] {
    return this.effects.flatMap((effect) => {
      if (effect.type === 'send') return [JSON.parse(effect.text) as LiveFrame];
      return effect.type === 'sendShared' ? [JSON.parse(effect.head + effect.body.toString()) as LiveFrame] : [];
    });
  }
}

const subscribe = (id: string, topic: string, more: object = {}): object => ({ type: 'subscribe', id, topic, ...more });

describe('the rules of a connection', () => {
  it('open a subscription once, number its deltas from 1, and end it', () => {
    const rules = new Rules();
    expect(rules.frames).toEqual([{ type: 'hello', version: 1, name: 'a-viewer', role: 'viewer' }]);
    const [opened] = rules.say(subscribe('a', 'overview'));
    expect(opened).toMatchObject({ type: 'open', id: 'a', serial: 1, request: { topic: { kind: 'overview' } } });
    rules.put({ type: 'snapshot', id: 'a', serial: 1, position: null, dataText: '{"n":1}' });
    expect(rules.frames).toEqual([{ type: 'snapshot', id: 'a', topic: 'overview', position: null, data: { n: 1 } }]);
    for (const seq of [1, 2]) {
      rules.put({ type: 'delta', id: 'a', serial: 1, delta: sharedDelta('5-1-1', '{"n":2}') });
      expect(rules.frames).toEqual([{ type: 'delta', id: 'a', seq, position: '5-1-1', data: { n: 2 } }]);
    }
    expect(rules.say({ type: 'unsubscribe', id: 'a' })).toMatchObject([{ type: 'end', id: 'a' }, { type: 'send' }]);
    expect(rules.put({ type: 'delta', id: 'a', serial: 1, delta: sharedDelta(null, '1') })).toEqual([]);
  });

  it('do not let the last words of an ended subscription reach a new one of the same id', () => {
    const rules = new Rules();
    rules.say(subscribe('a', 'overview'));
    rules.say({ type: 'unsubscribe', id: 'a' });
    expect(rules.say(subscribe('a', 'cluster'))).toMatchObject([{ type: 'open', serial: 2 }]);
    expect(rules.put({ type: 'snapshot', id: 'a', serial: 1, position: null, dataText: '1' })).toEqual([]);
    expect(rules.put({ type: 'failed', id: 'a', serial: 1, error: new EngineError('UNAVAILABLE', 'x') })).toEqual([]);
  });

  it('refuse a second subscription of an id as INVALID_MESSAGE, without a word that would end the first', () => {
    const rules = new Rules();
    rules.say(subscribe('a', 'overview'));
    rules.say(subscribe('a', 'cluster'));
    expect(rules.frames).toMatchObject([{ type: 'error', id: null, code: 'INVALID_MESSAGE' }]);
    expect(rules.state.subscriptions.has('a')).toBe(true);
  });

  it('refuse more subscriptions than the bound as RATE_LIMITED', () => {
    const rules = new Rules();
    for (let index = 0; index < maximumSubscriptions; index += 1) rules.say(subscribe(`s-${index}`, 'overview'));
    rules.say(subscribe('more', 'overview'));
    expect(rules.frames).toMatchObject([{ type: 'error', id: 'more', code: 'RATE_LIMITED' }]);
  });

  it.each([
    ['an unknown topic as NOT_FOUND', subscribe('a', 'secrets'), 'NOT_FOUND'],
    ['a bad task id as INVALID_TASK_ID', subscribe('a', 'task:../x'), 'INVALID_TASK_ID'],
    ['a filter where none is taken as INVALID_ARGUMENT', subscribe('a', 'cluster', { filter: {} }), 'INVALID_ARGUMENT'],
    [
      'an unknown part of a filter as INVALID_ARGUMENT',
      subscribe('a', 'events', { filter: { x: 1 } }),
      'INVALID_ARGUMENT',
    ],
    [
      'an unknown event type as INVALID_ARGUMENT',
      subscribe('a', 'events', { filter: { types: ['x'] } }),
      'INVALID_ARGUMENT',
    ],
    [
      'a place in a topic that has none as RESUME_INVALID',
      subscribe('a', 'tasks', { resumeFrom: '1-1-1' }),
      'RESUME_INVALID',
    ],
    ['the audit log to a viewer as FORBIDDEN', subscribe('a', 'audit'), 'FORBIDDEN'],
  ])('refuse %s', (_name, message, code) => {
    const rules = new Rules();
    rules.say(message);
    expect(rules.frames).toMatchObject([{ type: 'error', id: 'a', code }]);
    expect(rules.state.subscriptions.size).toBe(0);
  });

  it('let an admin see the audit log, and end that as FORBIDDEN when the role is less', () => {
    const rules = new Rules('admin');
    rules.say(subscribe('a', 'audit'));
    rules.say(subscribe('o', 'overview'));
    rules.put({ type: 'rechecked', principal: aPrincipal('operator') });
    expect(rules.frames).toMatchObject([{ type: 'error', id: 'a', code: 'FORBIDDEN' }]);
    expect([...rules.state.subscriptions.keys()]).toEqual(['o']);
    expect(rules.put({ type: 'rechecked', principal: null })).toMatchObject([
      { type: 'end', id: 'o' },
      { type: 'close', code: 4401, reason: 'UNAUTHENTICATED' },
    ]);
    expect(rules.say({ type: 'pong' })).toEqual([]);
  });

  it('take 50 messages at once and 50 a second, then close as RATE_LIMITED', () => {
    const rules = new Rules();
    const pong = (nowMs: number): readonly ConnectionEffect[] =>
      rules.put({ type: 'text', text: '{"type":"pong"}', nowMs });
    for (let index = 0; index < 50; index += 1) expect(pong(0)).toEqual([]);
    expect(pong(20)).toEqual([]);
    expect(pong(20)).toMatchObject([{ type: 'close', code: 4429, reason: 'RATE_LIMITED' }]);
  });

  it('cut who was silent from one ping to the next, as REQUEST_TIMEOUT', () => {
    const rules = new Rules();
    expect(rules.put({ type: 'pingDue' })).toMatchObject([{ type: 'ping' }, { type: 'send' }]);
    rules.put({ type: 'ponged' });
    rules.put({ type: 'pingDue' });
    expect(rules.put({ type: 'pingDue' })).toMatchObject([
      { type: 'close', reason: 'REQUEST_TIMEOUT' },
      { type: 'cut' },
    ]);
  });

  it('say of a bug only that there is one (INTERNAL), and name the oldest place with RESUME_TOO_OLD', () => {
    const rules = new Rules();
    rules.say(subscribe('a', 'events'));
    rules.put({ type: 'failed', id: 'a', serial: 1, error: new EngineError('INTERNAL', 'secret detail') });
    expect(JSON.stringify(rules.frames)).not.toContain('secret');
    rules.say(subscribe('b', 'events'));
    const error = new EngineError('RESUME_TOO_OLD', 'gone', { limit: '9-0-0' });
    rules.put({ type: 'failed', id: 'b', serial: 2, error });
    expect(rules.frames).toMatchObject([{ id: 'b', code: 'RESUME_TOO_OLD', oldest: '9-0-0' }]);
  });
});

describe('a client of the protocol', () => {
  it('notices a delta that is missing, repeated or too early', () => {
    const open = afterFrame(beginSubscription(), { type: 'snapshot', id: 'a', topic: 'x', position: null, data: 1 });
    const delta = (seq: number): LiveFrame => ({ type: 'delta', id: 'a', seq, position: null, data: 1 });
    expect(() => afterFrame(beginSubscription(), delta(1))).toThrow('was opening');
    expect(() => afterFrame(open, delta(2))).toThrow('delta 2 came after delta 0');
    expect(() => afterFrame(afterFrame(open, delta(1)), delta(1))).toThrow('delta 1 came after delta 1');
  });
});
