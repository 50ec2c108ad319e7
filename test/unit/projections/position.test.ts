import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sequence } from '../../../src/core/ids.ts';
import {
  comparePositions,
  formatPosition,
  parsePosition,
  partsOfPosition,
  startPosition,
} from '../../../src/projections/position.ts';

const parts = fc.record({
  sequence: fc.nat({ max: 999_999_999_999_999 }).map((value) => value as Sequence),
  part: fc.nat({ max: 999_999_999 }),
  event: fc.nat({ max: 999_999_999 }),
});

describe('position', () => {
  it('R-EVT-1: a position is text that tells sequence, part and event, and reads back as it was', () => {
    expect(formatPosition({ sequence: 123 as Sequence, part: 4, event: 1 })).toBe('123-4-1');
    fc.assert(
      fc.property(parts, (given) => {
        expect(partsOfPosition(parsePosition(formatPosition(given)))).toEqual(given);
      }),
    );
  });

  it('positions are in order of sequence, then part, then event, not of their text', () => {
    const inOrder = ['0-0-0', '9-0-0', '9-0-1', '9-1-1', '9-2-1', '9-10-1', '9-10-2', '10-0-0', '100-1-1'];
    const sorted = inOrder.toReversed().toSorted((a, b) => comparePositions(parsePosition(a), parsePosition(b)));
    expect(sorted).toEqual(inOrder);
    expect(comparePositions(startPosition, parsePosition('0-0-0'))).toBe(0);
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        const [a, b] = [formatPosition(left), formatPosition(right)];
        expect(Math.sign(comparePositions(a, b))).toBe(-Math.sign(comparePositions(b, a)) + 0);
        expect(comparePositions(a, b) === 0).toBe(a === b);
      }),
    );
  });

  it.each([
    '',
    '1',
    '1-2',
    '1-2-3-4',
    '01-2-3',
    '-1-2-3',
    '1-2-x',
    ' 1-2-3',
    '1.5-0-0',
    '9'.repeat(16) + '-0-0',
    7,
    null,
  ])('what is no position is INVALID_ARGUMENT that names the field: %j', (value) => {
    expect(() => parsePosition(value, 'since')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'since' }),
    );
  });
});
