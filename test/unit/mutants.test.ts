import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

import { formatMutantsTable, knownSeeds } from '../mutants/mutants-table.ts';
import { mutants, type Mutant } from '../mutants/mutants.ts';

const repository = resolve(import.meta.dirname, '../..');

function textOf(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

function sources(folder: string): readonly string[] {
  return readdirSync(join(repository, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(repository.length + 1));
}

describe('the planted mistakes', () => {
  it('are at least 25, each with a name and a test of its own', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(25);
    expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length);
    for (const { caughtBy } of mutants)
      expect([caughtBy.file, existsSync(join(repository, 'test', caughtBy.file))]).toEqual([caughtBy.file, true]);
  });

  it.each(mutants.map((mutant) => [mutant.id, mutant] as const))('%s has one place in its file', (_id, mutant) => {
    expect(textOf(mutant.file).split(mutant.from)).toHaveLength(2);
  });

  it('stand nowhere in the sources: they are edits of a copy, and no switch turns one on', () => {
    const all = [...sources('src'), ...sources('console/src'), ...sources('console/inspector')];
    const text = new Map(all.map((path) => [path, textOf(path)]));
    for (const { id, file, from, to } of mutants) {
      for (const [path, source] of text) expect([path, source.includes(id)]).toEqual([path, false]);
      // Where the right line is gone, the test before this one says so; here it is still there, and more beside it.
      if (to.includes(from)) expect([id, text.get(file)?.includes(to)]).toEqual([id, false]);
    }
    for (const [path, source] of text) expect([path, /mutants?\//.test(source)]).toEqual([path, false]);
  });

  it('are not in the package: it holds what is compiled of src alone', () => {
    const { files, exports } = JSON.parse(textOf('package.json')) as {
      readonly files: readonly string[];
      readonly exports: object;
    };
    expect(files).toEqual(['dist', 'README.md', 'LICENSE', 'CHANGELOG.md']);
    expect(JSON.stringify(exports)).not.toContain('test/');
    const { include } = JSON.parse(textOf('tsconfig.json')) as { readonly include: readonly string[] };
    expect(include).toEqual(['src']);
  });

  it('are told in a table: mutant, what it breaks, the test, and seeds where the simulator was asked, now or before', () => {
    const mutant = { ...(mutants[0] as Mutant), isSimulated: true } as const;
    const five = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ ...mutant, id }));
    const [first, second, third, fourth, fifth] = five as [Mutant, Mutant, Mutant, Mutant, Mutant];
    const { isSimulated: _isSimulated, ...last } = fifth;
    const table = formatMutantsTable({
      mutants: [first, second, third, fourth, last],
      searches: new Map([
        [first, { seeds: 3, ids: ['I1', 'J1'], says: '' }],
        [second, { seeds: null, ids: [], says: '' }],
      ]),
      maximumSeeds: 300,
      known: new Map([
        ['a', '7 (I5)'],
        ['c', '8 (I2)'],
      ]),
    });
    const told = { a: '3 (I1, J1)', b: 'over 300', c: '8 (I2)', d: 'not searched', e: '–' };
    expect(Object.fromEntries(knownSeeds(table))).toEqual(told);
  });

  it('are all in the table of docs/PROOF.md', () => {
    const page = textOf('docs/PROOF.md');
    const missing = mutants.filter(({ id, caughtBy }) => !new RegExp(`\`${id}\`.*\`${caughtBy.file}\``).test(page));
    expect(missing.map(({ id }) => id)).toEqual([]);
  });
});
