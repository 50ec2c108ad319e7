import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import type { Mutant } from './mutants.ts';

const repository = resolve(import.meta.dirname, '../..');
/** Not copied: what is large, or made. */
const leftOut = new Set(['node_modules', '.git', 'dist', 'results', '.cabinet', 'screenshots']);

/** A copy of the repository in which mistakes are planted, one at a time. */
export class PlantedCopy {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<PlantedCopy> {
    const path = await mkdtemp(join(tmpdir(), 'cabinet-mutant-'));
    await cp(repository, path, { recursive: true, filter: (from) => !leftOut.has(basename(from)) });
    await symlink(join(repository, 'node_modules'), join(path, 'node_modules'));
    return new PlantedCopy(path);
  }

  /** Runs something with the mutant's one edit made, and takes the edit back. */
  async withMutant<Result>(
    mutant: Mutant,
    run: () => Promise<Result>,
  ): Promise<Result | { readonly kind: 'broken'; readonly output: string }> {
    const file = join(this.path, mutant.file);
    const original = await readFile(file, 'utf8');
    const count = original.split(mutant.from).length - 1;
    if (count !== 1) return { kind: 'broken', output: `${mutant.file} has its line ${count} times, not once` };
    await writeFile(
      file,
      original.replace(mutant.from, () => mutant.to),
    );
    try {
      return await run();
    } finally {
      await writeFile(file, original);
    }
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}
