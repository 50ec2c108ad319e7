import { detectLegacyCharset, isReadableAs } from './legacy-charset.ts';

/** How far into a page its `<meta charset>` is looked for, in bytes: four times what the HTML standard asks. */
export const metaPrescanBytes = 4_096;
/** So many multi-byte sequences without a fault are UTF-8, whatever the page declares. */
export const certainUtf8Sequences = 8;

/** A page as text, with the charset that was used and who named it. */
export interface DecodedPage {
  readonly text: string;
  readonly charset: { readonly name: string; readonly from: 'bom' | 'header' | 'meta' | 'detected' };
  /** Set when the declared charset was not used. */
  readonly warning: string | null;
}

/**
 * The page's text. A byte order mark is believed, then the HTTP header, then the page's own `<meta>`; a declaration that
 * the bytes contradict is not. Never throws: what no charset can read becomes U+FFFD.
 *
 * @see HTML standard §13.2.3.2 "Determining the character encoding"
 */
export function decodePage(bytes: Uint8Array, contentType: string | null): DecodedPage {
  const marked = charsetOfMark(bytes);
  if (marked !== null) return decoded(bytes, marked, 'bom');
  const declared = declaredCharset(bytes, contentType);
  const utf8Sequences = countUtf8Sequences(bytes);
  if (declared !== null && isBelievable(bytes, declared.name, utf8Sequences)) {
    return decoded(bytes, declared.name, declared.from);
  }
  const name = utf8Sequences === null ? detectLegacyCharset(bytes) : 'utf-8';
  if (declared === null) return decoded(bytes, name, 'detected');
  const warning = `the page declares ${declared.name}, but its bytes are ${name}`;
  return { ...decoded(bytes, name, 'detected'), warning };
}

function decoded(bytes: Uint8Array, name: string, from: DecodedPage['charset']['from']): DecodedPage {
  return { text: new TextDecoder(name).decode(bytes), charset: { name, from }, warning: null };
}

function charsetOfMark(bytes: Uint8Array): string | null {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return null;
}

function declaredCharset(
  bytes: Uint8Array,
  contentType: string | null,
): { name: string; from: 'header' | 'meta' } | null {
  const header = knownCharset(/charset\s*=\s*["']?([^\s"';,]+)/i.exec(contentType ?? '')?.[1]);
  if (header !== null) return { name: header, from: 'header' };
  const start = Buffer.from(bytes.subarray(0, metaPrescanBytes)).toString('latin1');
  const label = /<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([^\s"'/>;]+)/i.exec(start)?.[1];
  const meta = knownCharset(label);
  if (meta === null) return null;
  // The page was read as ASCII up to here, so it cannot be UTF-16 whatever it says (HTML standard, prescan).
  return { name: meta.startsWith('utf-16') ? 'utf-8' : meta, from: 'meta' };
}

function knownCharset(label: string | undefined): string | null {
  if (label === undefined) return null;
  try {
    return new TextDecoder(label).encoding;
  } catch {
    return null;
  }
}

function isBelievable(bytes: Uint8Array, declared: string, utf8Sequences: number | null): boolean {
  if (declared === 'utf-8') return utf8Sequences !== null;
  if (utf8Sequences !== null && utf8Sequences >= certainUtf8Sequences) return false;
  // Any bytes are readable in a single-byte charset, so only the absence of UTF-8 speaks for it.
  if (/^(?:windows-|iso-8859-|koi8-|macintosh|x-mac-|ibm866)/.test(declared)) return !((utf8Sequences ?? 0) > 0);
  return isReadableAs(bytes, declared);
}

/** How many characters take more than one byte when the bytes are read as UTF-8; null when they are not UTF-8. */
function countUtf8Sequences(bytes: Uint8Array): number | null {
  if (!isReadableAs(bytes, 'utf-8')) return null;
  let count = 0;
  for (const byte of bytes) if (byte >= 0xc0) count += 1;
  return count;
}
