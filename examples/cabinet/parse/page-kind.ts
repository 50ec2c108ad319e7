import { FatalError } from '../../../src/core/driver-errors.ts';

const signatures: readonly (readonly [kind: string, bytes: readonly number[]])[] = [
  ['a PDF', [0x25, 0x50, 0x44, 0x46]],
  ['a PNG image', [0x89, 0x50, 0x4e, 0x47]],
  ['a JPEG image', [0xff, 0xd8, 0xff]],
  ['a GIF image', [0x47, 0x49, 0x46, 0x38]],
  ['a RIFF file', [0x52, 0x49, 0x46, 0x46]],
  ['a ZIP archive', [0x50, 0x4b, 0x03, 0x04]],
  ['gzip data', [0x1f, 0x8b]],
];

// One tag that only HTML has is enough: pages without a doctype or an <html> tag are common.
const htmlTag =
  /<(?:!doctype\s+html|html|head|body|title|meta|link|script|style|div|span|p|a|h[1-6]|img|table|ul|ol|article|section|main)\b/i;

/**
 * Refuses bytes that are known not to be text, by their first bytes: a name or a header may lie.
 *
 * @throws FatalError `NOT_HTML` that says what it is
 */
export function refuseBinary(bytes: Uint8Array): void {
  if (bytes.length === 0) throw notHtml('an empty file');
  const found = signatures.find(([, signature]) => signature.every((byte, index) => bytes[index] === byte));
  if (found !== undefined) throw notHtml(found[0]);
}

/**
 * Refuses text that is no HTML.
 *
 * @throws FatalError `NOT_HTML` that says what it is
 */
export function refuseOtherText(text: string): void {
  const trimmed = text.trim();
  if (trimmed === '') throw notHtml('an empty file');
  if (isJson(trimmed)) throw notHtml('JSON');
  if (!htmlTag.test(text)) throw notHtml(/^<\?xml\b|^<[a-z]/i.test(trimmed) ? 'XML' : 'text without an HTML tag');
}

function isJson(trimmed: string): boolean {
  if (!/^[{["]/.test(trimmed)) return false;
  try {
    JSON.parse(trimmed);
    return true;
  } catch {
    return false;
  }
}

function notHtml(what: string): FatalError {
  return new FatalError(`the page is ${what}, not HTML`, { code: 'NOT_HTML' });
}
