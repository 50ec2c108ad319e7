import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AnswerFrame,
  frameAnswers,
  frameRequest,
  isFramed,
  isPartsSubject,
  readAnswerFrames,
  readRequestFrame,
} from '../../../src/transport/answer-frames.ts';
import { encodeReplies, encodeRequest } from '../../../src/transport/request-codec.ts';

const numbers = fc.integer({ min: 1, max: 0xffff_ffff });
const bodies = fc.uint8Array({ maxLength: 300 });

function readAll(bytes: Uint8Array): { readonly isWhole: boolean; readonly answers: readonly AnswerFrame[] } {
  const answers: AnswerFrame[] = [];
  const isWhole = readAnswerFrames(bytes, (number, isLast, body) => answers.push({ number, isLast, body }));
  return { isWhole, answers };
}

describe('a framed request', () => {
  it('comes back with its number and its body', () => {
    fc.assert(
      fc.property(numbers, bodies, (number, body) => {
        const framed = readRequestFrame('_INBOX.a.parts-f1', frameRequest(number, body));
        expect(framed?.number).toBe(number);
        expect(Buffer.compare(framed?.body ?? Buffer.from('none'), body)).toBe(0);
      }),
    );
  });

  it('is told from one without a frame, which the reply subject numbers', () => {
    const plain = encodeRequest([{ type: 'task.get', taskId: 't-1' as never }]);
    expect(isFramed(plain)).toBe(false);
    expect(readRequestFrame('_INBOX.a.parts-17', plain)).toEqual({ number: 17, body: plain });
  });

  it.each([
    ['_INBOX.a.17'],
    ['_INBOX.a.parts-'],
    ['_INBOX.a.parts-f1'],
    ['_INBOX.a.parts-0'],
    ['_INBOX.a.parts-1.5'],
    ['_INBOX.a.parts--1'],
    ['_INBOX.a.parts-4294967296'],
    ['_INBOX.parts-1.a'],
    ['parts-1'],
    [''],
  ])('is not what comes without a frame and with the reply subject %j: it gets one answer, as ever', (replySubject) => {
    expect(readRequestFrame(replySubject, encodeRequest([]))).toBeNull();
  });

  it('that is too short for its number is none', () => {
    expect(readRequestFrame('_INBOX.a.parts-f1', Uint8Array.of(0xc1, 0, 0, 1))).toBeNull();
    expect(isPartsSubject('_INBOX.a.parts-f1')).toBe(true);
  });
});

describe('a message of answers', () => {
  const answers = fc.array(fc.record({ number: numbers, isLast: fc.boolean(), body: bodies }), { maxLength: 20 });

  it('holds each answer as it was, in their order', () => {
    fc.assert(
      fc.property(answers, (frames) => {
        const framed = frameAnswers(frames);
        expect(isFramed(framed)).toBe(true);
        const read = readAll(framed);
        expect(read.isWhole).toBe(true);
        expect(read.answers.map(({ body, ...rest }) => ({ ...rest, body: [...body] }))).toEqual(
          frames.map(({ body, ...rest }) => ({ ...rest, body: [...body] })),
        );
      }),
    );
  });

  it('that ends too early gives the answers before, and says so', () => {
    fc.assert(
      fc.property(answers, fc.nat(), (frames, cut) => {
        const framed = frameAnswers(frames);
        const length = 1 + (cut % framed.length);
        const read = readAll(framed.subarray(0, length));
        expect(read.answers.length).toBeLessThanOrEqual(frames.length);
        for (const [index, { number }] of read.answers.entries()) expect(number).toBe(frames[index]?.number);
        expect(frameAnswers(read.answers).length === length).toBe(read.isWhole);
      }),
    );
  });

  it('of any bytes never crashes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void readAll(bytes)));
  });

  it('is never taken for an answer without frames', () => {
    expect(isFramed(encodeReplies([]))).toBe(false);
    expect(isFramed(Buffer.from('{}'))).toBe(false);
    expect(isFramed(new Uint8Array(0))).toBe(false);
  });
});
