import { hasFileResource, readFileResource } from './file-resource.ts';
import { readHttpResource } from './http-resource.ts';
import { parseSource, type ResourceReader } from './resource.ts';

/** Options of {@link createResourceReader}. */
export interface ResourceReaderOptions {
  /** The only folder that `file:` URLs reach. */
  readonly pagesDir: string;
  /** Lets http(s) URLs name loopback and private hosts, for tests and for listings on an intranet. */
  readonly allowPrivateHosts?: boolean;
}

/** A reader of `file:` paths inside one folder and of http(s) URLs. */
export function createResourceReader(options: ResourceReaderOptions): ResourceReader {
  const { pagesDir, allowPrivateHosts = false } = options;
  return {
    async read(request) {
      const url = parseSource(request.url);
      if (url.protocol === 'file:') return await readFileResource(url, request, pagesDir);
      return await readHttpResource(url, request, { allowPrivateHosts });
    },
    hasFile: (url) => hasFileResource(url, pagesDir),
  };
}
