import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, showDuration, writeDuration } from '../../../console/src/model/durations.ts';

describe('durations on the page', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['250ms', 250],
    ['', null],
    ['5', null],
    ['1m1h', null],
    ['-1s', null],
  ])('reads %s', (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  it('reads back what it writes', () => {
    fc.assert(fc.property(fc.nat(), (durationMs) => parseDuration(writeDuration(durationMs)) === durationMs));
  });

  it.each([
    [null, '–'],
    [Number.POSITIVE_INFINITY, '–'],
    [-5, '0 ms'],
    [0.4, '0.4 ms'],
    [999, '999 ms'],
    [1_240, '1.24 s'],
    [59_949, '59.9 s'],
    [185_000, '3 min 05 s'],
    [3_600_000, '1 h 00 min'],
    [187_200_000, '2 d 4 h'],
  ])('shows %s as %s', (durationMs, text) => {
    expect(showDuration(durationMs)).toBe(text);
  });
});
