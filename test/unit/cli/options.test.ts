import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatInstant, formatSpan, parseDurationMs } from '../../../src/cli/duration.ts';
import { durationParser, formatOf, integerParser, settleWatch } from '../../../src/cli/options.ts';

describe('a duration', () => {
  it.each([
    ['2', 2_000],
    ['1.5', 1_500],
    ['500ms', 500],
    ['10s', 10_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['2d4h1s', 187_201_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(['', '-1', '+1', '1 s s', 'ten', '1w', 'NaN', 'Infinity', '1e3', '0x10', '.5', '9'.repeat(20)])(
    "'%s' is none",
    (text) => {
      expect(parseDurationMs(text)).toBeUndefined();
    },
  );

  it('of a whole number of milliseconds is read as it is written', () => {
    fc.assert(fc.property(fc.nat(), (ms) => parseDurationMs(`${ms}ms`) === ms));
  });

  it('out of its range is refused with the range', () => {
    const parse = durationParser({ least: 1, most: 60_000 });
    expect(parse('1m')).toBe(60_000);
    expect(() => parse('61')).toThrow('from 1 ms to 60 s');
    expect(() => parse('0')).toThrow('a number of seconds');
  });

  it.each([
    [-5, '0ms'],
    [999, '999ms'],
    [1_250, '1.2s'],
    [59_999, '59.9s'],
    [185_000, '3m 5s'],
    [7_200_000, '2h'],
    [90_000_000, '1d 1h'],
  ])('of %i ms is shown as %s', (ms, text) => {
    expect(formatSpan(ms)).toBe(text);
  });

  it('an instant is shown in UTC, none as a dash', () => {
    expect(formatInstant(0)).toBe('1970-01-01T00:00:00.000Z');
    expect(formatInstant(null)).toBe('–');
  });
});

describe('a whole number', () => {
  it('is taken within its range, and nothing else is', () => {
    const parse = integerParser({ least: 1, most: 100 });
    expect(parse('100')).toBe(100);
    for (const text of ['0', '101', '1.5', '-1', '1e1', ' 1', 'x', '']) {
      expect(() => parse(text)).toThrow('a whole number from 1 to 100');
    }
  });
});

describe('the arguments', () => {
  it('a --watch without = takes no word behind it', () => {
    expect(settleWatch(['task', 'get', '--watch', 'card-42'])).toEqual(['task', 'get', '--watch=2000ms', 'card-42']);
    expect(settleWatch(['task', 'list', '--watch=1'])).toEqual(['task', 'list', '--watch=1']);
    expect(settleWatch(['task', 'get', '--', '--watch'])).toEqual(['task', 'get', '--', '--watch']);
  });

  it.each([
    [[], 'table'],
    [['--json'], 'json'],
    [['-o', 'json'], 'json'],
    [['-ojsonl'], 'jsonl'],
    [['--output=jsonl'], 'jsonl'],
    [['--output', 'table', '-o', 'json'], 'json'],
    [['-o', 'yaml'], 'table'],
    [['-o'], 'table'],
    [['--', '--json'], 'table'],
  ])('%j asks for %s', (args, format) => {
    expect(formatOf(args)).toBe(format);
  });
});
