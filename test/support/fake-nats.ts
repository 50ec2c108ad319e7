import { createServer, type AddressInfo, type Socket } from 'node:net';

/** A server that speaks just enough of the NATS protocol to lie in it. */
export interface FakeNats {
  readonly url: string;
  stop(): Promise<void>;
}

/** What the fake answers to a published message; undefined: nothing. */
export type FakeAnswer = (subject: string) => object | undefined;

/**
 * A loopback server that greets as `version` and answers each message with a reply subject by `answer`. It has one inbox
 * subscription in mind, the latest whose prefix fits the reply subject.
 */
export async function startFakeNats(version: string, answer: FakeAnswer = () => undefined): Promise<FakeNats> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    const info = { server_id: 'FAKE', version, proto: 1, headers: true, jetstream: true, max_payload: 1_048_576 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    speak(socket, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function speak(socket: Socket, answer: FakeAnswer): void {
  const subscriptions: { readonly prefix: string; readonly sid: string }[] = [];
  let pending = '';
  socket.setEncoding('latin1').on('data', (text) => {
    pending += String(text);
    for (let end = pending.indexOf('\r\n'); end !== -1; end = pending.indexOf('\r\n')) {
      const [verb = '', ...words] = pending.slice(0, end).split(' ');
      const isPublish = verb === 'PUB' || verb === 'HPUB';
      const bodyLength = isPublish ? Number(words.at(-1)) + 2 : 0;
      if (pending.length < end + 2 + bodyLength) return;
      pending = pending.slice(end + 2 + bodyLength);
      if (verb === 'PING') socket.write('PONG\r\n');
      if (verb === 'SUB') subscriptions.push({ prefix: (words[0] ?? '').replace('*', ''), sid: words.at(-1) ?? '' });
      const reply = isPublish && words.length === (verb === 'PUB' ? 3 : 4) ? words[1] : undefined;
      const answered = reply === undefined ? undefined : answer(words[0] ?? '');
      const target = subscriptions.findLast(({ prefix }) => reply?.startsWith(prefix) === true);
      if (answered === undefined || target === undefined) continue;
      const body = JSON.stringify(answered);
      socket.write(`MSG ${reply} ${target.sid} ${body.length}\r\n${body}\r\n`);
    }
  });
}
