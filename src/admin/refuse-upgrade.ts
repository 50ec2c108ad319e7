import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { errorAnswerOf } from './error-answer.ts';
import { headersOf } from './security-headers.ts';

/** Answers an upgrade request with an error, as any other request is, and ends the connection. */
export function refuseUpgrade(
  socket: Duplex,
  thrown: unknown,
  { requestId, isTls }: { readonly requestId: string; readonly isTls: boolean },
): void {
  const { status, body } = errorAnswerOf(thrown, requestId);
  const text = JSON.stringify(body);
  const headers = {
    ...headersOf(isTls),
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    'x-request-id': requestId,
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.once('finish', () => socket.destroy());
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`, ...lines, '', text].join('\r\n'));
}
