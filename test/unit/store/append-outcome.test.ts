import { describe, expect, it } from 'vitest';

import { appendOutcomeOf } from '../../../src/store/append-outcome.ts';
import { localErrorCodes, parsePublishAck } from '../../../src/transport/ack-inbox.ts';

function outcomeOfCode(code: number): ReturnType<typeof appendOutcomeOf> {
  return appendOutcomeOf({ kind: 'error', code, description: 'words' });
}

describe('the meaning of a publish answer for an append', () => {
  it('is committed for an acknowledgement, and says when it is a duplicate', () => {
    expect(appendOutcomeOf({ kind: 'ack', stream: 's', sequence: 7, duplicate: false })).toEqual({
      kind: 'committed',
      sequence: 7,
      duplicate: false,
    });
    expect(appendOutcomeOf({ kind: 'ack', stream: 's', sequence: 7, duplicate: true })).toMatchObject({
      duplicate: true,
    });
  });

  it('R-LOCK-1: is conflict for 10071 and nothing else', () => {
    const codes = Array.from({ length: 400 }, (_, index) => 10_000 + index);
    expect(codes.filter((code) => outcomeOfCode(code).kind === 'conflict')).toEqual([10_071]);
  });

  it('R-LOCK-1: is busy, never fenced, for 10164 and 10158', () => {
    const codes = Array.from({ length: 400 }, (_, index) => 10_000 + index);
    expect(codes.filter((code) => outcomeOfCode(code).kind === 'busy')).toEqual([10_158, 10_164]);
  });

  it.each([10_054, 10_097, 10_109, 10_165, 10_166, 10_174, 10_193, 10_199, localErrorCodes.unsendable])(
    'is refused for the validation error %i',
    (code) => {
      expect(outcomeOfCode(code)).toEqual({ kind: 'refused', detail: `${code} words` });
    },
  );

  it.each([10_002, 10_023, 10_028, 10_047, 10_077])('is unknown with STORAGE_FULL for %i', (code) => {
    expect(outcomeOfCode(code)).toEqual({ kind: 'unknown', code: 'STORAGE_FULL', detail: `${code} words` });
  });

  it('is unknown with BUS_FORBIDDEN when the user lacks the permission', () => {
    expect(outcomeOfCode(localErrorCodes.forbidden)).toMatchObject({ kind: 'unknown', code: 'BUS_FORBIDDEN' });
  });

  it.each([10_008, 10_009, 10_118, 10_163, 10_167, 10_176, 10_194, 10_201, 503, localErrorCodes.unreadableAck, 99_999])(
    'is unknown with UNAVAILABLE for %i, which leaves open whether it was stored',
    (code) => {
      expect(outcomeOfCode(code)).toMatchObject({ kind: 'unknown', code: 'UNAVAILABLE' });
    },
  );

  it.each(['no-responders', 'timeout', 'disconnected'] as const)('is unknown with UNAVAILABLE for %s', (kind) => {
    expect(appendOutcomeOf({ kind })).toMatchObject({ kind: 'unknown', code: 'UNAVAILABLE' });
  });
});

describe('reading a publish acknowledgement', () => {
  const parse = (text: string): ReturnType<typeof parsePublishAck> => parsePublishAck({ data: Buffer.from(text) });

  it('takes stream, sequence and duplicate', () => {
    expect(parse('{"stream":"s","seq":3}')).toEqual({ kind: 'ack', stream: 's', sequence: 3, duplicate: false });
    expect(parse('{"stream":"s","domain":"d","seq":3,"duplicate":true}')).toMatchObject({ duplicate: true });
  });

  it('takes the JetStream code of an error, or the plain one when there is no other', () => {
    const text = '{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"},"stream":"s","seq":0}';
    expect(parse(text)).toEqual({ kind: 'error', code: 10_071, description: 'wrong last sequence: 9' });
    expect(parse('{"error":{"code":503,"description":"no leader"}}')).toMatchObject({ code: 503 });
  });

  it.each(['', 'garbage', 'null', '7', '[]', '{}', '{"stream":"s"}', '{"stream":"s","seq":0}', '{"seq":4}'])(
    'answers an error, not an acknowledgement, to %j',
    (text) => {
      expect(parse(text)).toMatchObject({ kind: 'error', code: localErrorCodes.unreadableAck });
    },
  );
});
