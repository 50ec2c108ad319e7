import { showSource } from '../resources/resource.ts';

/** Most photos of one card. */
export const maximumPhotos = 40;
/** Longest photo URL, in characters. */
export const maximumPhotoUrlLength = 2_048;

/** Where relative addresses of a page may be meant from. */
export interface PageAddresses {
  /** Where the page was read. */
  readonly source: URL;
  /** Its `<base href>`. */
  readonly base: string | null;
  /** What the page says its own address is: `og:url` or the canonical link. */
  readonly own: string | null;
  /** Whether a `file:` URL names a file that is there. */
  readonly hasFile: (url: URL) => boolean;
}

/**
 * Photo addresses as absolute URLs, without repeats, in order.
 *
 * A page read from the web resolves against its `<base>`, then itself. A page saved to a file may have its photos saved
 * beside it, or may mean the web still: the first reading that is a file in the folder is taken, else the first on the web.
 */
export function resolvePhotoUrls(
  written: readonly string[],
  page: PageAddresses,
): { readonly urls: readonly string[]; readonly warnings: readonly string[] } {
  const bases = basesOf(page);
  const urls = new Set<string>();
  const warnings: string[] = [];
  for (const each of new Set(written)) {
    const text = each.trim();
    if (text === '') continue;
    const url = text.length > maximumPhotoUrlLength ? null : resolveOne(text, bases, page);
    if (url === null) warnings.push(`photo: '${text.slice(0, 80)}' is no address of a photo`);
    else if (urls.size < maximumPhotos) urls.add(showSource(url));
    else if (!urls.has(showSource(url)))
      return { urls: [...urls], warnings: [...warnings, `photo: only the first ${maximumPhotos} are taken`] };
  }
  return { urls: [...urls], warnings };
}

function basesOf(page: PageAddresses): readonly URL[] {
  const { source, base, own } = page;
  const ownUrl = own === null ? null : parse(own, source);
  const ownOnTheWeb = ownUrl !== null && isWeb(ownUrl) ? ownUrl : null;
  const candidates = [
    base === null ? null : parse(base, source),
    base === null || ownOnTheWeb === null ? null : parse(base, ownOnTheWeb),
    source.protocol === 'file:' ? source : null,
    ownOnTheWeb,
    source,
  ];
  return candidates.filter((url) => url !== null);
}

function resolveOne(text: string, bases: readonly URL[], page: PageAddresses): URL | null {
  const readings = bases.map((base) => parse(text, base)).filter((url) => url !== null);
  if (page.source.protocol !== 'file:') {
    // A page from the web must not make this machine read its own files.
    const [first] = readings;
    return first !== undefined && isWeb(first) ? first : null;
  }
  return (
    readings.find((url) => url.protocol === 'file:' && page.hasFile(url)) ??
    readings.find((url) => isWeb(url)) ??
    readings.find((url) => url.protocol === 'file:') ??
    null
  );
}

function parse(text: string, base: URL): URL | null {
  // `//host/path` on a saved page means the web, where it was saved from.
  const absolute = text.startsWith('//') && base.protocol === 'file:' ? `https:${text}` : text;
  return URL.canParse(absolute, base.href) ? new URL(absolute, base) : null;
}

function isWeb(url: URL): boolean {
  return url.protocol === 'https:' || url.protocol === 'http:';
}
