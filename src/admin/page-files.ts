import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** One file of the console's page, as it is answered. */
interface PageFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same, smaller; null where that is no gain. */
  readonly gzipped: Uint8Array<ArrayBuffer> | null;
  readonly contentType: string;
  readonly etag: string;
  /** Whether its name has a hash of its content, so that it never changes. */
  readonly isImmutable: boolean;
}

/** The console's page: HTML, scripts, styles and pictures, read once. They hold no data, so they answer without a credential. */
export interface PageFiles {
  /** What a GET or HEAD of the path is answered; null when there is no such file. `headers` gets what belongs to the file. */
  answer(request: Request, path: string, headers: Headers): Response | null;
}

/** Addresses of the page's screens: each of them answers with the one HTML file, and the page shows what belongs there. */
const screenPattern =
  /^\/(?:login|tasks(?:\/[A-Za-z0-9_-]+)?|pipelines(?:\/[a-z0-9-]+)?|dead-letters|bulk(?:\/[A-Za-z0-9_-]+)?|cluster|audit|tokens)?$/;
const hashedPattern = /^\/assets\/.+-[\w-]{8}\.\w+$/;
const maximumPageBytes = 8 * 1024 * 1024;

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

const notBuilt =
  "The console's page is not built. In the repository: npm run build. The API works without it: /api/openapi.json.\n";

/** Where the build leaves the page: beside this module in the package, in `dist` of the repository when it runs from its sources. */
export const pageFolders: readonly string[] = [
  fileURLToPath(new URL('../console', import.meta.url)),
  fileURLToPath(new URL('../../dist/console', import.meta.url)),
];

/** Reads the page from the first of the folders that has one. Without any, the screens' addresses say how to build it. */
export async function readPageFiles(folders: readonly string[] = pageFolders): Promise<PageFiles> {
  for (const folder of folders) {
    const files = await readFolder(folder);
    if (files.has('/index.html')) return pageOf(files);
  }
  return pageOf(new Map());
}

function pageOf(files: ReadonlyMap<string, PageFile>): PageFiles {
  return {
    answer: (request, path, headers) => {
      if (request.method !== 'GET' && request.method !== 'HEAD') return null;
      const isScreen = screenPattern.test(path);
      const file = files.get(isScreen ? '/index.html' : path);
      if (file !== undefined) return answerFile(request, file, headers);
      if (!isScreen) return null;
      headers.set('content-type', 'text/plain; charset=utf-8');
      return new Response(notBuilt, { status: 503, headers });
    },
  };
}

function answerFile(request: Request, file: PageFile, headers: Headers): Response {
  headers.set('etag', file.etag);
  headers.set('vary', 'accept-encoding');
  if (file.isImmutable) headers.set('cache-control', 'public, max-age=31536000, immutable');
  if (request.headers.get('if-none-match') === file.etag) return new Response(null, { status: 304, headers });
  headers.set('content-type', file.contentType);
  const takesGzip = /(?:^|[\s,])gzip(?:$|[\s,;])(?!\s*q=0(?:$|[,.]))/.test(
    request.headers.get('accept-encoding') ?? '',
  );
  const isGzipped = takesGzip && file.gzipped !== null;
  if (isGzipped) headers.set('content-encoding', 'gzip');
  return new Response(isGzipped ? file.gzipped : file.bytes, { status: 200, headers });
}

async function readFolder(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let total = 0;
  for (const entry of entries) {
    const contentType = contentTypes[extname(entry.name)];
    if (!entry.isFile() || contentType === undefined) continue;
    const file = join(entry.parentPath, entry.name);
    const path = `/${relative(folder, file).split(sep).join('/')}`;
    const bytes = new Uint8Array(await readFile(file));
    total += bytes.byteLength;
    if (total > maximumPageBytes) break;
    const gzipped = new Uint8Array(gzipSync(bytes, { level: 9 }));
    files.set(path, {
      bytes,
      gzipped: gzipped.byteLength < bytes.byteLength ? gzipped : null,
      contentType,
      etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
      isImmutable: hashedPattern.test(path),
    });
  }
  return files;
}
