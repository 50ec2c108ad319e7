import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { errorsPageFile, formatErrorsPage } from '../../scripts/errors-page.ts';
import { errorCatalog } from '../../src/core/errors.ts';
import { readNames, readTestNames } from '../support/test-names.ts';

describe('error codes', () => {
  it('are listed in docs/ERRORS.md as the catalog has them (npm run docs:errors)', async () => {
    expect(await readFile(errorsPageFile, 'utf8')).toBe(await formatErrorsPage());
  });

  it('each stand in the name of a test that provokes it', async () => {
    const names = (await readTestNames()).map(({ name }) => name);
    const untested = Object.keys(errorCatalog).filter((code) => !names.some((name) => hasWord(name, code)));
    expect(untested).toEqual([]);
  });
});

describe('reading test names', () => {
  it('finds plain, modified and tabled tests, and leaves out what is skipped or no test', () => {
    const text = [
      "describe('A', () => {",
      "  it('plain', () => {});",
      "  it.concurrent('modified', () => {});",
      "  it.each([['CODE_ONE', 1], ['CODE_TWO', 2]])('answers %s', () => {});",
      '  test(`a template ${value}`, () => {});',
      "  it.skip('skipped', () => {});",
      "  it.todo('later');",
      "  other('no test', () => {});",
      '});',
    ].join('\n');
    expect(readNames('a.test.ts', text).map(({ name }) => name)).toEqual([
      'plain',
      'modified',
      'answers %s CODE_ONE CODE_TWO',
      'a template ${value}',
    ]);
  });
});

function hasWord(name: string, word: string): boolean {
  return new RegExp(`(^|[^A-Z_])${word}($|[^A-Z_])`).test(name);
}
