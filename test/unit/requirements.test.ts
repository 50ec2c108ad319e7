import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readTestNames } from '../support/test-names.ts';

const repository = resolve(import.meta.dirname, '../..');

/** Every rule that the pipeline must keep; docs/REQUIREMENTS.md says of each where it lives and what proves it. */
const ruleIds = Object.entries({
  CORE: 3,
  STAGE: 3,
  DRV: 3,
  WRK: 3,
  JOB: 2,
  IDEM: 3,
  LOCK: 2,
  RETRY: 2,
  EVT: 2,
  FAIL: 2,
  BAN: 1,
  SUM: 1,
}).flatMap(([chapter, count]) => Array.from({ length: count }, (_, index) => `R-${chapter}-${index + 1}`));

interface RuleRow {
  readonly id: string;
  readonly rule: string;
  /** Files and folders of the repository. */
  readonly where: readonly string[];
  readonly tests: readonly string[];
}

/** The rows of the table `| id | rule | where | test |`; paths stand in backticks or as links. */
function parseRules(page: string): readonly RuleRow[] {
  return page.split('\n').flatMap((line) => {
    const [id = '', rule = '', where = '', test = ''] = line
      .replace(/^\s*\|/, '')
      .split('|')
      .map((cell) => cell.trim());
    return /^R-[A-Z]+-\d+$/.test(id) ? [{ id, rule, where: pathsIn(where), tests: pathsIn(test) }] : [];
  });
}

function pathsIn(cell: string): readonly string[] {
  const found = cell.matchAll(/`([^`]+)`|\[[^\]]*\]\(([^)]+)\)/g);
  return [...found].map(([, quoted, linked]) => (quoted ?? linked ?? '').replace(/^(\.\.\/)+/, ''));
}

describe('docs/REQUIREMENTS.md', () => {
  it('has one row for each rule, with files that exist', async () => {
    const rows = parseRules(await readFile(join(repository, 'docs/REQUIREMENTS.md'), 'utf8'));
    expect(rows.map((row) => row.id).toSorted(byText)).toEqual(ruleIds.toSorted(byText));
    const broken = rows.flatMap((row) => {
      if (row.rule === '' || row.where.length === 0 || row.tests.length === 0) return [`${row.id}: an empty cell`];
      const missing = [...row.where, ...row.tests].filter((path) => !existsSync(join(repository, path)));
      return missing.map((path) => `${row.id}: ${path} does not exist`);
    });
    expect(broken).toEqual([]);
  });

  it('names for each rule a test file with a test that names the rule', async () => {
    const rows = parseRules(await readFile(join(repository, 'docs/REQUIREMENTS.md'), 'utf8'));
    const tests = await readTestNames();
    const unproved = rows.flatMap((row) =>
      row.tests
        .filter((path) => !tests.some(({ file, name }) => file === path && new RegExp(`${row.id}(?!\\d)`).test(name)))
        .map((path) => `${row.id}: no test in ${path} names it`),
    );
    expect(rows).not.toEqual([]);
    expect(unproved).toEqual([]);
  });
});

describe('the table of rules', () => {
  it('is read with paths in backticks and as links', () => {
    const page =
      '| id | rule | where | test |\n| - | - | - | - |\n| R-X-1 | a rule | [x](../src/x.ts), `src/y.ts` | `test/x.test.ts` |';
    expect(parseRules(page)).toEqual([
      { id: 'R-X-1', rule: 'a rule', where: ['src/x.ts', 'src/y.ts'], tests: ['test/x.test.ts'] },
    ]);
  });
});

function byText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
