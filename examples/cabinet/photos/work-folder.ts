import { readFile, rm, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { FatalError } from '../../../src/core/driver-errors.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import { withFileFailures } from '../files/file-failure.ts';

/**
 * Files of cards under way, one folder a card. All nodes that may own a card must see the same work folder; a node that
 * sees none of its files makes them again.
 */
export interface WorkFolder {
  /** Writes a file whole or not at all. @param file - relative to the work folder */
  write(file: string, bytes: Uint8Array): Promise<void>;
  /** Whether the file is there in just that size. */
  has(file: string, sizeBytes: number): Promise<boolean>;
  /** @throws FatalError `WORK_FILE_MISSING` */
  read(file: string): Promise<Uint8Array>;
  /** Removes all files of a card; there may be none. */
  remove(card: string): Promise<void>;
}

/** A work folder on a disk. */
export function createWorkFolder(directory: string): WorkFolder {
  const pathOf = (file: string) => pathInside(directory, file);
  return {
    write: (file, bytes) => withFileFailures(`writing ${file}`, () => writeFileAtomically(pathOf(file), bytes)),
    async has(file, sizeBytes) {
      const stats = await stat(pathOf(file)).catch(() => null);
      return stats !== null && stats.isFile() && stats.size === sizeBytes;
    },
    read: (file) =>
      withFileFailures(`reading ${file}`, async () => {
        const bytes = await readFile(pathOf(file)).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return null;
          throw error;
        });
        if (bytes !== null) return bytes;
        throw new FatalError(`${file} is not in the work folder: do all nodes share it?`, {
          code: 'WORK_FILE_MISSING',
        });
      }),
    remove: (card) =>
      withFileFailures(`removing the files of ${card}`, () => rm(pathOf(card), { recursive: true, force: true })),
  };
}

/** A path inside a folder. @throws FatalError `PATH_OUTSIDE` for a name that would leave it, or be the folder itself */
export function pathInside(directory: string, name: string): string {
  const root = resolve(directory);
  const path = resolve(join(root, name));
  if (path.startsWith(root + sep)) return path;
  throw new FatalError(`'${name.slice(0, 200)}' is outside its folder`, { code: 'PATH_OUTSIDE' });
}
