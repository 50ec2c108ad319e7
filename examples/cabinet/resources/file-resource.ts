import { realpathSync, statSync } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { FatalError, RetryableError } from '../../../src/core/driver-errors.ts';
import { networkCodeOf } from './http-failure.ts';
import { tooLarge } from './size-bound.ts';
import { showSource, type Resource, type ResourceRequest } from './resource.ts';

// What a repeat cannot mend; other file errors (too many open files, I/O) may pass.
const lastingCodes = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'EPERM', 'ENAMETOOLONG', 'ELOOP', 'EINVAL']);

/**
 * A file inside the pages folder.
 *
 * @throws FatalError `NOT_FOUND`, `SOURCE_NOT_ALLOWED` for a path that leaves the folder, also by a symbolic link
 */
export async function readFileResource(url: URL, request: ResourceRequest, pagesDir: string): Promise<Resource> {
  request.signal.throwIfAborted();
  try {
    const path = await realpath(pathOf(url, pagesDir));
    refuseOutside(path, await realpath(pagesDir), url);
    const file = await open(path, 'r');
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new FatalError(`${showSource(url)} is no regular file`, { code: 'NOT_FOUND' });
      if (stats.size > request.maximumBytes) throw tooLarge(request, stats.size);
      return { bytes: await file.readFile(), contentType: null, url: showSource(url) };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof FatalError) throw error;
    const code = networkCodeOf(error);
    if (lastingCodes.has(code)) {
      throw new FatalError(`${showSource(url)} cannot be read: ${code}`, { code: 'NOT_FOUND', cause: error });
    }
    throw new RetryableError(`${showSource(url)} cannot be read now: ${code}`, { code, cause: error });
  }
}

/** Whether the pages folder has that file. */
export function hasFileResource(url: URL, pagesDir: string): boolean {
  try {
    const path = realpathSync(pathOf(url, pagesDir));
    refuseOutside(path, realpathSync(pagesDir), url);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function pathOf(url: URL, pagesDir: string): string {
  if (url.host !== '') throw new FatalError(`${url.href} names a host`, { code: 'SOURCE_NOT_ALLOWED' });
  let relative: string;
  try {
    relative = decodeURIComponent(url.pathname).replace(/^\/+/, '');
  } catch {
    relative = url.pathname.replace(/^\/+/, '');
  }
  if (relative.includes('\0')) throw new FatalError('a path holds a NUL', { code: 'SOURCE_NOT_ALLOWED' });
  const root = resolve(pagesDir);
  const path = resolve(root, relative);
  refuseOutside(path, root, url);
  return path;
}

function refuseOutside(path: string, root: string, url: URL): void {
  if (path === root || path.startsWith(root + sep)) return;
  throw new FatalError(`${showSource(url)} is outside the pages folder`, { code: 'SOURCE_NOT_ALLOWED' });
}
