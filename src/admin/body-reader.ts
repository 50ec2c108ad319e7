import { EngineError, invalidArgument } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { parseStrictJson } from '../core/strict-json.ts';

/**
 * The JSON value of a request's body; null when it has none. Never holds more than the limit.
 *
 * @throws EngineError `PAYLOAD_TOO_LARGE`, `INVALID_MESSAGE` and the others of `parseStrictJson`
 */
export async function readJsonBody(request: Request, maximumBytes: number): Promise<JsonValue | null> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > maximumBytes) throw tooLarge(maximumBytes, declared);
  const bytes = await readBytes(request, maximumBytes);
  return bytes.length === 0 ? null : parseStrictJson(bytes, maximumBytes);
}

/** Refuses a body where none is taken. @throws EngineError `INVALID_ARGUMENT` */
export function refuseBody(headers: Headers): void {
  const length = headers.get('content-length');
  if ((length === null || length === '0') && !headers.has('transfer-encoding')) return;
  throw invalidArgument({ field: 'body', message: 'a GET takes no body', limit: 'no body' });
}

async function readBytes(request: Request, maximumBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maximumBytes) throw tooLarge(maximumBytes, sizeBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maximumBytes: number, got: number): EngineError {
  return new EngineError('PAYLOAD_TOO_LARGE', `the body has ${got} bytes or more`, {
    limit: `${maximumBytes} bytes`,
    got,
  });
}
