import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CliContext } from '../../../src/cli/context.ts';
import { parseJsonText, readJsonFile, readLines } from '../../../src/cli/json-input.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-input-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function contextOf(stdin = ''): CliContext {
  return { workingFolder: folder, stdin: Readable.from([Buffer.from(stdin)]) } as unknown as CliContext;
}

async function linesOf(file: string, stdin = ''): Promise<readonly unknown[]> {
  const lines: unknown[] = [];
  for await (const line of readLines(contextOf(stdin), file, '--jsonl')) lines.push(line);
  return lines;
}

describe('JSON input', () => {
  it('is read from a file, and from stdin for -', async () => {
    await writeFile(join(folder, 'input.json'), ' {"n": 1}\n');
    expect(await readJsonFile(contextOf(), 'input.json', '--input-file')).toEqual({ n: 1 });
    expect(await readJsonFile(contextOf('[2]'), '-', '--input-file')).toEqual([2]);
  });

  it.each([
    ['', 'INVALID_ARGUMENT', /--input: invalid JSON at byte 0/],
    ['{"a":1,}', 'INVALID_ARGUMENT', /--input: invalid JSON at byte 7/],
    ['{"a":1,"a":2}', 'INVALID_ARGUMENT', /--input: /],
    ['{"__proto__":1}', 'INVALID_ARGUMENT', /--input: /],
    ['1e999', 'UNSERIALIZABLE', /--input: /],
  ])('%s is %s with its position', (text, code, says) => {
    expect(() => parseJsonText(text, '--input')).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(says) as string }) as Error,
    );
  });

  it('INVALID_ARGUMENT: a file that is not there, and a folder', async () => {
    for (const file of ['gone.json', '.']) {
      await expect(readJsonFile(contextOf(), file, '--input-file')).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`--input-file ${file} cannot be read`) as string,
      });
    }
  });
});

describe('lines', () => {
  it('are numbered as an editor numbers them, without the blank ones and the byte order mark', async () => {
    await writeFile(join(folder, 'lines'), '\uFEFF{"n":1}\r\n\n  \n{"n":2}');
    expect(await linesOf('lines')).toEqual([
      { number: 1, text: '{"n":1}' },
      { number: 4, text: '{"n":2}' },
    ]);
    expect(await linesOf('-', 'a\nb\n')).toEqual([
      { number: 1, text: 'a' },
      { number: 2, text: 'b' },
    ]);
    expect(await linesOf('-')).toEqual([]);
  });

  it('INVALID_ARGUMENT: of a file that is not there, and of a folder', async () => {
    for (const file of ['gone.jsonl', '.']) {
      await expect(linesOf(file)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`--jsonl ${file} cannot be read`) as string,
      });
    }
  });
});
