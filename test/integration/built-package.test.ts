import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { mutants } from '../mutants/mutants.ts';

const repository = resolve(import.meta.dirname, '../..');
const source = join(repository, 'src');

/** Text without what a compiler may lay out otherwise. */
function bare(text: string): string {
  return text.replaceAll(/[\s;]+/g, '').replaceAll('"', "'");
}

function countOf(text: string | undefined, part: string): number {
  return (text ?? '').split(bare(part)).length - 1;
}

function filesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** When the newest file of a folder was written. */
function newestIn(folder: string): number {
  return Math.max(0, ...filesOf(folder).map((path) => statSync(path).mtimeMs));
}

describe('the package that `npm run build` makes', () => {
  let files: readonly { readonly path: string; readonly text: string }[];
  let made: string | null = null;

  beforeAll(() => {
    let dist = join(repository, 'dist');
    if (newestIn(dist) < newestIn(source)) {
      // Nobody has built since the last change: the same compiler and settings, elsewhere.
      dist = made = mkdtempSync(join(tmpdir(), 'cabinet-dist-'));
      const tsc = join(repository, 'node_modules/typescript/bin/tsc');
      const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json', '--outDir', dist], {
        cwd: repository,
      });
      expect(status).toBe(0);
    }
    files = filesOf(dist)
      .filter((path) => /\.(js|d\.ts|html)$/.test(path))
      .map((path) => ({ path: relative(dist, path), text: readFileSync(path, 'utf8') }));
  });

  afterAll(() => {
    if (made !== null) rmSync(made, { recursive: true });
  });

  it('holds no planted mistake, by its name or by its text', () => {
    expect(files.length).toBeGreaterThan(300);
    const built = new Map(files.map(({ path, text }) => [path, bare(text)]));
    for (const { id, file, to } of mutants) {
      for (const { path, text } of files) expect([path, text.includes(id)]).toEqual([path, false]);
      const code = built.get(file.replace(/^src\//, '').replace(/\.ts$/, '.js'));
      expect([id, code !== undefined]).toEqual([id, true]);
      const right = bare(readFileSync(join(repository, file), 'utf8'));
      // What is planted may be right elsewhere in the file: there may be no more of it than the source has.
      if (to.trim() !== '') expect([id, countOf(code, to) <= countOf(right, to)]).toEqual([id, true]);
    }
  });

  it('holds what is compiled of src, or taken along from it as it is, and nothing of tests', () => {
    const compiled = files.filter(({ path }) => path.endsWith('.js') && !/^(console|inspector-page)\//.test(path));
    for (const { path } of compiled) {
      const origins = [path.replace(/\.js$/, '.ts'), path];
      expect([path, origins.some((origin) => existsSync(join(source, origin)))]).toEqual([path, true]);
    }
    for (const { path, text } of compiled) expect([path, /from '(?:\.\.\/)+test\//.test(text)]).toEqual([path, false]);
  });
});
