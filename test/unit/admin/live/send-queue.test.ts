import { describe, expect, it } from 'vitest';
import { SendQueue, type LiveSocket } from '../../../../src/admin/live/send-queue.ts';

const limits = { maximumBytes: 1_000, windowBytes: 200, lowBytes: 100 };

/** A socket whose client reads only when the test says so. */
class HeldSocket implements LiveSocket {
  readonly sent: string[] = [];
  readonly #taken: (() => void)[] = [];

  send(parts: readonly Buffer[], done: () => void): void {
    this.sent.push(Buffer.concat(parts).toString());
    this.#taken.push(done);
  }

  /** The client reads what was sent. */
  read(): void {
    for (const done of this.#taken.splice(0)) done();
  }

  ping(): void {}
  close(): void {}
  cut(): void {}
}

function aQueue(): { readonly queue: SendQueue; readonly socket: HeldSocket } {
  const socket = new HeldSocket();
  return { queue: new SendQueue(socket, limits, () => 0), socket };
}

const frame = (size: number): readonly Buffer[] => [Buffer.alloc(size, 'x')];

describe('SendQueue', () => {
  it('SLOW_CONSUMER: says no as soon as more waits than may, so that its connection is closed', () => {
    const { queue } = aQueue();
    expect(Array.from({ length: 10 }, () => queue.push(frame(100)))).toEqual(Array.from({ length: 10 }, () => true));
    expect(queue.push(frame(1))).toBe(false);
    expect(queue.bytes).toBe(1_001);
  });

  it('gives the socket no more than its window, and the rest as the client reads, in order', () => {
    const { queue, socket } = aQueue();
    for (const text of ['a', 'b', 'c', 'd']) queue.push([Buffer.from(text.repeat(100))]);
    expect(socket.sent.map((text) => text[0])).toEqual(['a', 'b']);
    socket.read();
    expect(socket.sent.map((text) => text[0])).toEqual(['a', 'b', 'c', 'd']);
    socket.read();
    expect(queue.bytes).toBe(0);
  });

  it('tells when little waits, and drops what the socket has not got when it ends', async () => {
    const { queue, socket } = aQueue();
    for (let count = 0; count < 5; count += 1) queue.push(frame(100));
    let isDrained = false;
    void queue.drained().then(() => (isDrained = true));
    queue.end();
    await queue.drained();
    await Promise.resolve();
    expect(isDrained).toBe(true);
    socket.read();
    expect(socket.sent).toHaveLength(2);
    expect(queue.push(frame(2_000))).toBe(true);
  });
});
