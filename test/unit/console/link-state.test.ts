import { describe, expect, it } from 'vitest';
import {
  afterLinkInput,
  backoffDelayMs,
  dueAt,
  keptWhileHiddenMs,
  mostUnopened,
  noLink,
  statusOf,
  type LinkEffect,
  type LinkInput,
  type LinkNotice,
  type LinkState,
  type LinkTopic,
} from '../../../console/src/live/link-state.ts';
import { liveCloseCodes, type LiveFrame, type LiveMessage } from '../../../src/admin/live/protocol.ts';

const events: LinkTopic = { name: 'task:t-1', isResumable: true };
const cluster: LinkTopic = { name: 'cluster', isResumable: false };
const hello: LiveFrame = { type: 'hello', version: 1, name: 'anna', role: 'admin' };

const again: LiveFrame = { type: 'snapshot', id: 'a', topic: 'task:t-1', position: null, data: 0 };

/** A socket's rules over a clock of its own. */
class Link {
  state: LinkState = noLink;
  now = 1_000_000;
  effects: LinkEffect[] = [];

  put(input: LinkInput, afterMs = 0): readonly LinkEffect[] {
    this.now += afterMs;
    const [state, effects] = afterLinkInput(this.state, input, this.now);
    this.state = state;
    this.effects.push(...effects);
    return effects;
  }

  frame(frame: LiveFrame, afterMs = 0): readonly LinkEffect[] {
    return this.put({ type: 'frame', frame, random: 0.5 }, afterMs);
  }

  closed(code = 1006, afterMs = 0): readonly LinkEffect[] {
    return this.put({ type: 'closed', code, random: 0.5 }, afterMs);
  }

  /** Lets time go on to what is due. */
  wait(): readonly LinkEffect[] {
    this.now = dueAt(this.state) ?? this.now;
    return this.put({ type: 'timer', random: 0.5 });
  }

  open(): void {
    this.put({ type: 'started' });
    this.frame(hello);
  }

  reopen(): readonly LinkEffect[] {
    this.wait();
    return this.frame(hello);
  }
}

function sent(effects: readonly LinkEffect[]): readonly LiveMessage[] {
  return effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
}

function told(effects: readonly LinkEffect[], id = 'a'): readonly LinkNotice[] {
  return effects.flatMap((effect) => (effect.type === 'tell' && effect.id === id ? [effect.notice] : []));
}

function delta(seq: number, position: string | null = `${seq}-1-1`): LiveFrame {
  return { type: 'delta', id: 'a', seq, position, data: [seq] };
}

describe("the page's socket", () => {
  it('is opened when somebody logs in, and asks for what is looked at when it is open', () => {
    const link = new Link();
    expect(link.put({ type: 'subscribed', id: 'a', topic: cluster })).toEqual([]);
    expect(statusOf(link.state)).toBe('off');
    expect(link.put({ type: 'started' })).toEqual([{ type: 'open' }]);
    expect(statusOf(link.state)).toBe('connecting');
    expect(sent(link.frame(hello))).toEqual([{ type: 'subscribe', id: 'a', topic: 'cluster' }]);
    expect(statusOf(link.state)).toBe('live');
    const filtered = { name: 'tasks', filter: { statuses: ['held'] }, isResumable: false };
    expect(sent(link.put({ type: 'subscribed', id: 'b', topic: filtered }))).toEqual([
      { type: 'subscribe', id: 'b', topic: 'tasks', filter: { statuses: ['held'] } },
    ]);
    expect(sent(link.put({ type: 'unsubscribed', id: 'b' }))).toEqual([{ type: 'unsubscribe', id: 'b' }]);
  });

  it('SLOW_CONSUMER: a closed socket is opened again and goes on after the last place it was told of', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: events });
    link.put({ type: 'subscribed', id: 'b', topic: cluster });
    link.open();
    link.frame({ type: 'snapshot', id: 'a', topic: 'task:t-1', position: '0-0-0', data: {} });
    link.frame(delta(1));
    link.frame(delta(2));
    expect(told(link.closed(liveCloseCodes.slowConsumer))).toEqual([{ kind: 'down' }]);
    expect(statusOf(link.state)).toBe('reconnecting');
    expect(link.state.brokenSince).toBe(link.now);
    expect(sent(link.reopen())).toEqual([
      { type: 'subscribe', id: 'a', topic: 'task:t-1', resumeFrom: '2-1-1', allowGap: true },
      { type: 'subscribe', id: 'b', topic: 'cluster' },
    ]);
    expect(told(link.frame({ type: 'resumed', id: 'a', from: '2-1-1' }))).toEqual([{ kind: 'resumed' }]);
    expect(told(link.frame(delta(1, '3-1-1')))).toEqual([{ kind: 'delta', data: [1] }]);
    expect(link.state.brokenSince).toBeNull();
  });

  it.each([
    ['a delta is missing', delta(3)],
    ['a delta comes twice', delta(1)],
    ['a snapshot comes twice', again],
  ])('leaves a connection on which %s, and goes on from its place on another one', (_, wrong) => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: events });
    link.open();
    link.frame({ type: 'snapshot', id: 'a', topic: 'task:t-1', position: '0-0-0', data: {} });
    link.frame(delta(1));
    const effects = link.frame(wrong);
    expect(effects[0]).toEqual({ type: 'close' });
    expect(told(effects)).toEqual([{ kind: 'down' }]);
    expect(sent(link.reopen())).toMatchObject([{ resumeFrom: '1-1-1' }]);
  });

  it.each(['RESUME_TOO_OLD', 'RESUME_INVALID'])('%s: begins anew at once, with a snapshot', (code) => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: events });
    link.open();
    link.frame({ type: 'snapshot', id: 'a', topic: 'task:t-1', position: '5-0-0', data: {} });
    link.closed();
    link.reopen();
    const effects = link.frame({ type: 'error', id: 'a', code, message: 'gone', oldest: '9-0-0' });
    expect(sent(effects)).toEqual([{ type: 'subscribe', id: 'a', topic: 'task:t-1', allowGap: true }]);
    expect(told(effects)).toEqual([]);
  });

  it('UNAVAILABLE: a subscription that the server ends is told, and asked for again, each time later', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: cluster });
    link.open();
    const delays: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      const effects = link.frame({ type: 'error', id: 'a', code: 'UNAVAILABLE', message: 'no owner' });
      expect(told(effects)).toEqual([{ kind: 'failed', code: 'UNAVAILABLE', message: 'no owner' }]);
      const before = link.now;
      expect(sent(link.wait())).toEqual([{ type: 'subscribe', id: 'a', topic: 'cluster' }]);
      delays.push(link.now - before);
    }
    expect(delays).toEqual([375, 750, 1_500, 3_000, 3_750, 3_750]);
  });

  it('says that it cannot be opened after some tries, and keeps trying, ever more seldom', () => {
    const link = new Link();
    link.put({ type: 'started' });
    const delays: number[] = [];
    for (let round = 1; round <= 8; round += 1) {
      link.closed();
      expect(statusOf(link.state)).toBe(round < mostUnopened ? 'connecting' : 'polling');
      const before = link.now;
      expect(link.wait()).toEqual([{ type: 'open' }]);
      delays.push(link.now - before);
    }
    expect(delays).toEqual([300, 600, 1_200, 2_400, 4_800, 9_600, 11_250, 11_250]);
    link.frame(hello);
    expect(statusOf(link.state)).toBe('live');
  });

  it('takes its delay by chance between the half and the whole of the cap', () => {
    expect([0, 0.999].map((random) => Math.round(backoffDelayMs(3, random)))).toEqual([800, 1_599]);
    expect(backoffDelayMs(1_000, 0)).toBe(7_500);
  });

  it('a connection that ends at once again and again slows down; one that lasted begins anew', () => {
    const link = new Link();
    link.open();
    const delayAfter = (lastedMs: number): number => {
      link.closed(1001, lastedMs);
      const before = link.now;
      link.reopen();
      return link.now - before;
    };
    expect([10, 10, 10, 60_000, 10].map(delayAfter)).toEqual([300, 600, 1_200, 300, 600]);
  });

  it('leaves a connection on which nothing is heard, and one that does not open', () => {
    const link = new Link();
    link.put({ type: 'started' });
    expect(link.wait()[0]).toEqual({ type: 'close' });
    link.reopen();
    link.frame({ type: 'ping' }, 30_000);
    const before = link.now;
    expect(link.wait()[0]).toEqual({ type: 'close' });
    expect(link.now - before).toBe(45_000);
  });

  it('UNAUTHENTICATED: asks who is logged in, and comes back only for somebody', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: events });
    link.open();
    expect(link.closed(liveCloseCodes.unauthenticated)).toContainEqual({ type: 'loggedOut' });
    expect([statusOf(link.state), dueAt(link.state)]).toEqual(['off', null]);
    link.put({ type: 'started' });
    expect(sent(link.frame(hello))).toHaveLength(1);
  });

  it('lets go while the page is hidden for long, and goes on from its place when it is looked at', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: events });
    link.open();
    link.frame({ type: 'snapshot', id: 'a', topic: 'task:t-1', position: '7-1-1', data: {} });
    link.put({ type: 'hidden' });
    link.put({ type: 'shown' }, keptWhileHiddenMs / 2);
    link.put({ type: 'hidden' });
    link.frame({ type: 'ping' }, 30_000);
    expect(link.put({ type: 'timer', random: 0 }, 29_999)).toEqual([]);
    expect(link.put({ type: 'timer', random: 0 }, 1)[0]).toEqual({ type: 'close' });
    expect([statusOf(link.state), dueAt(link.state)]).toEqual(['asleep', null]);
    expect(link.put({ type: 'shown' }, 3_600_000)).toEqual([{ type: 'open' }]);
    expect(sent(link.frame(hello))).toMatchObject([{ resumeFrom: '7-1-1' }]);
  });

  it('ends with the session, and says nothing more to what is looked at', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: cluster });
    link.open();
    expect(link.put({ type: 'stopped' })[0]).toEqual({ type: 'close' });
    expect(link.frame(delta(1))).toEqual([]);
    expect(link.closed()).toEqual([]);
    expect([statusOf(link.state), dueAt(link.state)]).toEqual(['off', null]);
  });

  it('hears nothing of a subscription that was given up, whose last words were under way', () => {
    const link = new Link();
    link.put({ type: 'subscribed', id: 'a', topic: cluster });
    link.open();
    link.put({ type: 'unsubscribed', id: 'a' });
    expect(link.frame({ type: 'snapshot', id: 'a', topic: 'cluster', position: null, data: 1 })).toEqual([]);
    expect(link.frame({ type: 'unsubscribed', id: 'a' })).toEqual([]);
    expect(statusOf(link.state)).toBe('live');
  });
});
