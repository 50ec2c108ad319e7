import { PermissionViolationError, type MsgHdrs } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { AckInbox, maximumBytesInFlight, type PublishOutcome } from '../../../src/transport/ack-inbox.ts';
import type { LinkStatus, NatsLink } from '../../../src/transport/nats-connection.ts';
import { RecordingLogger } from '../../support/nats-world.ts';

interface Published {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly reply: string;
  readonly headers: MsgHdrs | undefined;
}

/** A link whose other side is the test. */
class FakeLink {
  readonly published: Published[] = [];
  isConnected = true;
  subscriptionCount = 0;
  maximumPayloadBytes = 64 * 1024 * 1024;
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  #deliver: (error: Error | null, message: unknown) => void = () => undefined;

  readonly connection = {
    isClosed: () => false,
    subscribe: (_subject: string, options: { callback: (error: Error | null, message: unknown) => void }) => {
      this.#deliver = options.callback;
      this.subscriptionCount += 1;
      return { unsubscribe: () => undefined };
    },
    publish: (subject: string, body: Uint8Array, options: { reply: string; headers?: MsgHdrs }) => {
      this.published.push({ subject, body, reply: options.reply, headers: options.headers });
    },
  };

  newInbox(): string {
    return '_INBOX.test.1';
  }

  onStatus(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(status: LinkStatus): void {
    if (status.kind === 'disconnected') this.isConnected = false;
    if (status.kind === 'reconnected') this.isConnected = true;
    for (const listener of this.#listeners) listener(status);
  }

  answer(index: number, text: string, code?: number): void {
    const message = {
      subject: this.published[index]?.reply,
      data: Buffer.from(text),
      headers: code === undefined ? undefined : { code },
    };
    this.#deliver(null, message);
  }

  break(): void {
    this.#deliver(new PermissionViolationError('denied', 'subscription', '_INBOX.test.1.*'), {});
  }
}

function setUp(timeoutMs = 1_000): {
  link: FakeLink;
  clock: VirtualClock;
  inbox: AckInbox;
  logger: RecordingLogger;
  publish: (sizeBytes?: number, subject?: string) => Outcomes;
} {
  const link = new FakeLink();
  const clock = new VirtualClock();
  const logger = new RecordingLogger();
  const inbox = new AckInbox({ link: link as unknown as NatsLink, clock, logger, timeoutMs });
  const publish = (sizeBytes = 1, subject = 's'): Outcomes => {
    const outcomes: Outcomes = [];
    void inbox.publish(subject, new Uint8Array(sizeBytes)).then((outcome) => outcomes.push(outcome));
    return outcomes;
  };
  return { link, clock, inbox, logger, publish };
}

type Outcomes = PublishOutcome[];
const ack = (sequence: number): string => JSON.stringify({ stream: 's', seq: sequence });

describe('the acknowledgement inbox', () => {
  it('gives each publish the answer to its own reply subject, in any order, once', async () => {
    const { link, clock, publish } = setUp();
    const first = publish();
    const second = publish();
    link.answer(1, ack(2));
    link.answer(0, ack(1));
    link.answer(0, ack(9));
    await clock.advance(5_000);
    expect(first).toEqual([{ kind: 'ack', stream: 's', sequence: 1, duplicate: false }]);
    expect(second).toEqual([{ kind: 'ack', stream: 's', sequence: 2, duplicate: false }]);
  });

  it('sends nothing any more, also of what waits for its turn, once it may not write', async () => {
    const link = new FakeLink();
    const clock = new VirtualClock();
    let mayWrite = true;
    const inbox = new AckInbox({
      link: link as unknown as NatsLink,
      clock,
      logger: new RecordingLogger(),
      timeoutMs: 1_000,
      mayWrite: () => mayWrite,
    });
    const outcomes: Outcomes = [];
    const publish = (sizeBytes: number): void => {
      void inbox.publish('s', new Uint8Array(sizeBytes)).then((outcome) => outcomes.push(outcome));
    };
    publish(maximumBytesInFlight);
    publish(1);
    mayWrite = false;
    link.answer(0, ack(1));
    inbox.close();
    await clock.advance(0);
    expect(link.published).toHaveLength(1);
    expect(outcomes).toEqual([{ kind: 'ack', stream: 's', sequence: 1, duplicate: false }, { kind: 'disconnected' }]);
  });

  it('tells no responders from an empty answer', async () => {
    const { link, clock, publish } = setUp();
    const first = publish();
    const second = publish();
    link.answer(0, '', 503);
    link.answer(1, '');
    await clock.advance(0);
    expect(first).toEqual([{ kind: 'no-responders' }]);
    expect(second).toMatchObject([{ kind: 'error', code: 502 }]);
  });

  it('ends each publish as timeout when its own time is over, not before, and drops a late answer', async () => {
    const { link, clock, publish } = setUp(1_000);
    const first = publish();
    await clock.advance(600);
    const second = publish();
    await clock.advance(399);
    expect(first).toEqual([]);
    await clock.advance(1);
    expect(first).toEqual([{ kind: 'timeout' }]);
    expect(second).toEqual([]);
    link.answer(0, ack(1));
    await clock.advance(600);
    expect(first).toHaveLength(1);
    expect(second).toEqual([{ kind: 'timeout' }]);
  });

  it('keeps no timer when nothing is in flight', async () => {
    const { link, clock, publish } = setUp(1_000);
    publish();
    link.answer(0, ack(1));
    await clock.advance(1_000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends everything in flight as disconnected when the link breaks, and sends nothing while it is down', async () => {
    const { link, clock, publish } = setUp();
    const inFlight = publish();
    link.tell({ kind: 'disconnected' });
    const whileDown = publish();
    await clock.advance(0);
    expect([inFlight, whileDown]).toEqual([[{ kind: 'disconnected' }], [{ kind: 'disconnected' }]]);
    expect(link.published).toHaveLength(1);
    link.tell({ kind: 'reconnected' });
    const afterwards = publish();
    link.answer(1, ack(5));
    await clock.advance(0);
    expect(afterwards).toMatchObject([{ kind: 'ack', sequence: 5 }]);
  });

  it('bounds the bytes in flight: what is over waits its turn, in order', async () => {
    const { link, clock, publish } = setUp();
    const half = maximumBytesInFlight / 2;
    const outcomes = [publish(half), publish(half), publish(half), publish(1)];
    expect(link.published).toHaveLength(2);
    link.answer(0, ack(1));
    await clock.advance(0);
    expect(link.published).toHaveLength(3);
    link.answer(1, ack(2));
    await clock.advance(0);
    expect(link.published).toHaveLength(4);
    link.answer(2, ack(3));
    link.answer(3, ack(4));
    await clock.advance(0);
    expect(outcomes.flat().map(({ kind }) => kind)).toEqual(['ack', 'ack', 'ack', 'ack']);
  });

  it('sends a message that is larger than the whole bound alone', async () => {
    const { link, publish } = setUp();
    publish(maximumBytesInFlight + 1);
    publish(1);
    expect(link.published).toHaveLength(1);
  });

  it('lets the timeout of a waiting publish run, and sends it never', async () => {
    const { link, clock, publish } = setUp(1_000);
    publish(maximumBytesInFlight);
    await clock.advance(500);
    const waiting = publish(1);
    link.tell({ kind: 'forbidden', operation: 'subscription', subject: 'unrelated' });
    await clock.advance(499);
    expect(waiting).toEqual([]);
    // The first times out and makes room while the second still has time.
    await clock.advance(1);
    expect(link.published).toHaveLength(2);
    await clock.advance(500);
    expect(waiting).toEqual([{ kind: 'timeout' }]);
  });

  it('ends what waits for its turn as disconnected, too', async () => {
    const { link, clock, publish } = setUp();
    publish(maximumBytesInFlight);
    const waiting = publish(1);
    link.tell({ kind: 'disconnected' });
    await clock.advance(0);
    expect(waiting).toEqual([{ kind: 'disconnected' }]);
    expect(link.published).toHaveLength(1);
  });

  it('answers an error to what is over the server limit, without sending it', async () => {
    const { link, clock, publish } = setUp();
    const outcomes = publish(link.maximumPayloadBytes + 1);
    await clock.advance(0);
    expect(outcomes).toMatchObject([{ kind: 'error', code: 10_054 }]);
    expect(link.published).toHaveLength(0);
  });

  it('answers an error to a header that cannot be sent', async () => {
    const { link, clock, inbox } = setUp();
    const outcomes: Outcomes = [];
    void inbox.publish('s', new Uint8Array(1), { 'Nats-Msg-Id': 'a\r\nb' }).then((outcome) => outcomes.push(outcome));
    await clock.advance(0);
    expect(outcomes).toMatchObject([{ kind: 'error', code: 400 }]);
    expect(link.published).toHaveLength(0);
  });

  it('sends headers as given', () => {
    const { link, inbox } = setUp();
    void inbox.publish('s', new Uint8Array(1), { 'Nats-Msg-Id': '1.2.3' });
    expect(link.published[0]?.headers?.get('Nats-Msg-Id')).toBe('1.2.3');
  });

  it('ends the publishes of a forbidden subject, and all when the inbox itself is forbidden', async () => {
    const { link, clock, publish, logger } = setUp();
    const forbidden = publish(1, 'secret');
    const other = publish(1, 'open');
    link.tell({ kind: 'forbidden', operation: 'publish', subject: 'secret' });
    await clock.advance(0);
    expect(forbidden).toMatchObject([{ kind: 'error', code: 403 }]);
    expect(other).toEqual([]);
    link.break();
    link.tell({ kind: 'forbidden', operation: 'subscription', subject: '_INBOX.test.1.*' });
    await clock.advance(0);
    expect(other).toMatchObject([{ kind: 'error', code: 403, description: expect.stringContaining('_INBOX') }]);
    expect(logger.lines).toMatchObject([{ level: 'error' }]);
  });

  it('sends nothing while the inbox is forbidden, and listens again after the next connection', async () => {
    const { link, clock, publish } = setUp();
    link.tell({ kind: 'forbidden', operation: 'subscription', subject: '_INBOX.test.1.*' });
    const refused = publish();
    await clock.advance(0);
    expect(refused).toMatchObject([{ kind: 'error', code: 403 }]);
    expect([link.published.length, link.subscriptionCount]).toEqual([0, 1]);
    link.tell({ kind: 'disconnected' });
    link.tell({ kind: 'reconnected' });
    const taken = publish();
    link.answer(0, ack(1));
    await clock.advance(0);
    expect(taken).toMatchObject([{ kind: 'ack' }]);
    expect([link.published.length, link.subscriptionCount]).toEqual([1, 2]);
    link.tell({ kind: 'disconnected' });
    link.tell({ kind: 'reconnected' });
    expect(link.subscriptionCount).toBe(2);
  });

  it('ends everything as disconnected when it is closed, also later publishes', async () => {
    const { link, clock, inbox, publish } = setUp();
    const inFlight = publish();
    inbox.close();
    inbox.close();
    const later = publish();
    await clock.advance(5_000);
    expect([inFlight, later]).toEqual([[{ kind: 'disconnected' }], [{ kind: 'disconnected' }]]);
    expect(link.published).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });
});
