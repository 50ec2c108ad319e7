import type { Duplex } from 'node:stream';
import { EngineError, type ErrorCode } from '../core/errors.ts';
import { errorAnswerOf } from './error-answer.ts';
import { maximumHeaderBytes } from './request-guard.ts';
import { headersOf } from './security-headers.ts';

const statusTexts: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/** Answers what is not HTTP, too slow or too large for the parser, and closes: the connection cannot be trusted to be in step. */
export function answerClientError(
  socket: Duplex,
  error: NodeJS.ErrnoException,
  { requestId, isTls }: { readonly requestId: string; readonly isTls: boolean },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = errorAnswerOf(refusalOf(error.code), requestId);
  const text = JSON.stringify(body);
  const headers = { ...headersOf(isTls), 'x-request-id': requestId };
  socket.end(
    [
      `HTTP/1.1 ${status} ${statusTexts[status] ?? 'Error'}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(text)}`,
      'connection: close',
      '',
      text,
    ].join('\r\n'),
    () => socket.destroy(),
  );
}

function refusalOf(code: string | undefined): EngineError {
  const limits: Readonly<Record<string, readonly [ErrorCode, string, string | undefined]>> = {
    ERR_HTTP_REQUEST_TIMEOUT: ['REQUEST_TIMEOUT', 'the request was not complete in time', undefined],
    HPE_HEADER_OVERFLOW: ['HEADERS_TOO_LARGE', 'the headers are too large', `${maximumHeaderBytes} bytes`],
    HPE_CHUNK_EXTENSIONS_OVERFLOW: ['INVALID_MESSAGE', 'the chunk extensions are too large', undefined],
  };
  const [errorCode, message, limit] = limits[code ?? ''] ?? [
    'INVALID_MESSAGE',
    'the request is not HTTP/1.1',
    undefined,
  ];
  return new EngineError(errorCode, message, { limit });
}
