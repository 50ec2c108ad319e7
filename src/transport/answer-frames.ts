// Answers of one turn to one asker go in one message, and a request may have several: each answer is a frame that names its request.
//
//   request   0xc1 · number (u32) · body
//   answer    0xc1 · { number (u32) · 1 when it is the last (u8) · bytes (u32) · body } …
//
// Who asks so says it by the last token of the reply subject: `parts-` and the request's number, until an answer has shown that the other
// side knows frames, or `parts-f` and anything when the request is framed itself.
//
// No MessagePack value and no JSON text begins with 0xc1, so that a body without a frame is told by its first byte.

/** How the last token of a reply subject begins, of somebody who takes framed answers. */
export const partsPrefix = 'parts-';
const frameMark = 0xc1;
const requestHeadBytes = 5;
const answerHeadBytes = 9;

/** Bytes that an answer takes beside its body, when it is alone in its message. */
export const answerOverheadBytes = 1 + answerHeadBytes;
/** Largest number of a request; the next one is 1. */
export const maximumRequestNumber = 0xffff_ffff;

/** One answer, or a part of it. */
export interface AnswerFrame {
  readonly number: number;
  readonly isLast: boolean;
  readonly body: Uint8Array;
}

/** Whether a message's body is framed. */
export function isFramed(bytes: Uint8Array): boolean {
  return bytes[0] === frameMark;
}

/** A request that names itself. */
export function frameRequest(number: number, body: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(requestHeadBytes + body.length);
  framed[0] = frameMark;
  framed.writeUInt32BE(number, 1);
  framed.set(body, requestHeadBytes);
  return framed;
}

/** Whether a reply subject is that of somebody who takes framed answers. */
export function isPartsSubject(replySubject: string): boolean {
  const start = replySubject.lastIndexOf('.') + 1;
  return start > 0 && replySubject.startsWith(partsPrefix, start);
}

/** The request in a message whose sender takes frames; null for any other message. */
export function readRequestFrame(
  replySubject: string,
  bytes: Uint8Array,
): { readonly number: number; readonly body: Uint8Array } | null {
  if (!isPartsSubject(replySubject)) return null;
  if (isFramed(bytes)) {
    return bytes.length < requestHeadBytes
      ? null
      : { number: readUnsigned(bytes, 1), body: bytes.subarray(requestHeadBytes) };
  }
  const number = Number(replySubject.slice(replySubject.lastIndexOf('.') + 1 + partsPrefix.length));
  return Number.isInteger(number) && number >= 1 && number <= maximumRequestNumber ? { number, body: bytes } : null;
}

/** The message of answers to several requests. */
export function frameAnswers(answers: readonly AnswerFrame[]): Uint8Array {
  const framed = Buffer.allocUnsafe(answers.reduce((sum, { body }) => sum + answerHeadBytes + body.length, 1));
  framed[0] = frameMark;
  let at = 1;
  for (const { number, isLast, body } of answers) {
    framed.writeUInt32BE(number, at);
    framed[at + 4] = isLast ? 1 : 0;
    framed.writeUInt32BE(body.length, at + 5);
    framed.set(body, at + answerHeadBytes);
    at += answerHeadBytes + body.length;
  }
  return framed;
}

/** Hands over each answer of a framed message; false when the message ends within one, after those before it. */
export function readAnswerFrames(
  bytes: Uint8Array,
  take: (number: number, isLast: boolean, body: Uint8Array) => void,
): boolean {
  let at = 1;
  while (at < bytes.length) {
    const start = at + answerHeadBytes;
    if (start > bytes.length) return false;
    const end = start + readUnsigned(bytes, at + 5);
    if (end > bytes.length) return false;
    take(readUnsigned(bytes, at), bytes[at + 4] === 1, bytes.subarray(start, end));
    at = end;
  }
  return true;
}

function readUnsigned(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return high * 0x1_0000 + low;
}
