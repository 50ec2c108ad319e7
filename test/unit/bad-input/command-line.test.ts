import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { durationParser, integerParser } from '../../../src/cli/options.ts';
import { readItem } from '../../../src/cli/submit-lines.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { runInProcess } from '../cli/cli-context.ts';
import { anyText, expectGoodError } from './awkward-values.ts';

// No NATS server is there: what is wrong must be said before one is looked for.
const nowhere = ['--nats', '127.0.0.1:1', '--timeout', '1s', '--no-config'];
const submit = (...args: string[]): readonly string[] => ['task', 'submit', 'card', ...args, ...nowhere];

describe('JSON on the command line', () => {
  it.each<[row: string, input: string, code: string, says: RegExp]>([
    ['31 a key twice', '{"a":1,"a":2}', 'INVALID_ARGUMENT', /duplicate key 'a'/],
    ['32 something behind', '{"a":1} {"b":2}', 'INVALID_ARGUMENT', /at byte 8: something follows/],
    ['32 single quotes', "{'a':1}", 'INVALID_ARGUMENT', /double quotes/],
    ['32 truncated', '{"a":', 'INVALID_ARGUMENT', /at byte 5: the text ends too early/],
    ['32 nothing', '', 'INVALID_ARGUMENT', /at byte 0/],
    ['26 NaN', 'NaN', 'INVALID_ARGUMENT', /at byte 0/],
    ['26 a number beyond the range', '1e999', 'UNSERIALIZABLE', /too large/],
    [
      '26 an id that would be rounded',
      '{"order":9007199254740993}',
      'UNSERIALIZABLE',
      /would become another one.*as text/,
    ],
    ['28 nested 50,000 deep', '['.repeat(50_000), 'INVALID_ARGUMENT', /nested deeper than 64/],
    ['29 __proto__', '{"__proto__":1}', 'INVALID_ARGUMENT', /forbidden key '__proto__'/],
  ])('row %s is refused with exit code 2 before the engine is looked for', async (_row, input, code, says) => {
    const run = await runInProcess(submit('--input', input));
    expect(run.code).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(new RegExp(`^error ${code}: `));
    expect(run.stderr).toMatch(says);
    expect(run.stderr.length).toBeLessThan(2_000);
  });

  it.each<[string, readonly string[]]>([
    ['no input', submit()],
    ['two inputs', submit('--input', '1', '--input-file', 'x.json')],
    ['an id and a key', submit('--input', '1', '--id', 'a', '--idempotency-key', 'b')],
    ['version 0', submit('--input', '1', '--pipeline-version', '0')],
    ['a timeout of no time', [...submit('--input', '1'), '--timeout', '0']],
    ['a timeout over an hour', [...submit('--input', '1'), '--timeout', '2h']],
    ['an unknown option', submit('--input', '1', '--force')],
    ['an argument too many', ['task', 'submit', 'card', 'more', '--input', '1']],
    ['a shard that is none', ['shard', 'unpin', '-1', ...nowhere]],
    ['a shard with an exponent', ['shard', 'unpin', '1e1', ...nowhere]],
    ['an unknown format', ['task', 'list', '-o', 'xml', ...nowhere]],
  ])('INVALID_ARGUMENT: %s is refused with exit code 2', async (_name, args) => {
    const run = await runInProcess(args);
    expect([run.code, run.stderr.split('\n')[0]]).toEqual([
      2,
      expect.stringMatching(/^error INVALID_ARGUMENT: /) as string,
    ]);
  });

  it('tells a wrong text without the characters that a terminal obeys', async () => {
    const { stderr } = await runInProcess(
      submit('--input', '{"\u001b[2J\u009b1m\u202e":1,"\u001b[2J\u009b1m\u202e":2}'),
    );
    // eslint-disable-next-line no-control-regex -- they are what must not be there
    expect(stderr.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});

describe('a line of many submits', () => {
  it('is an item or an error of the catalog, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), anyText),
        fc.constantFrom(undefined, 'id', '__proto__', 'length', 'constructor'),
        fc.boolean(),
        (text, keyField, envelope) => {
          const item = readItem(text, envelope ? { envelope } : keyField === undefined ? {} : { keyField });
          if (item instanceof EngineError) expectGoodError(item);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('UNSERIALIZABLE: two keys that would be rounded to one are refused, so that no line is taken for a repeat of another', () => {
    for (const order of ['9007199254740993', '9007199254740995', '12345678901234567890']) {
      expect(readItem(`{"order":${order}}`, { keyField: 'order' })).toMatchObject({ code: 'UNSERIALIZABLE' });
    }
    expect(readItem('{"order":9007199254740991}', { keyField: 'order' })).toMatchObject({
      idempotencyKey: '9007199254740991',
    });
  });
});

describe('options', () => {
  it('are numbers and spans within their ranges, whatever text is given', () => {
    const range = { least: 1, most: 3_600_000 };
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.constantFrom('１', '٣', '1e2', '0x1', '1.5s', '-0', '+1', '1h1', '9'.repeat(400))),
        (text) => {
          for (const parse of [integerParser(range), durationParser(range)]) {
            let value: number;
            try {
              value = parse(text);
            } catch (thrown) {
              expect(thrown).toBeInstanceOf(InvalidArgumentError);
              continue;
            }
            expect(Number.isFinite(value) && value >= range.least && value <= range.most).toBe(true);
          }
        },
      ),
    );
  });
});

describe('a file that is named', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cabinet-bad-files-'));
    await writeFile(join(folder, 'bytes.json'), Uint8Array.of(0xff, 0xfe, 0x00));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(['gone.json', '.', 'bytes.json', 'x\u0000y'])(
    'INVALID_ARGUMENT: %j is refused with exit code 2',
    async (file) => {
      const run = await runInProcess(submit('--input-file', file), { folder });
      expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/^error INVALID_ARGUMENT: /) as string]);
    },
  );
});
