const ascii = (text: string) => Array.from(Buffer.from(text, 'latin1'));

const formats: readonly (readonly [format: string, signature: readonly number[], offset: number])[] = [
  ['jpeg', [0xff, 0xd8, 0xff], 0],
  ['png', [0x89, ...ascii('PNG\r\n'), 0x1a, 0x0a], 0],
  ['gif', ascii('GIF8'), 0],
  ['webp', ascii('WEBP'), 8],
  ['tiff', [0x49, 0x49, 0x2a, 0x00], 0],
  ['tiff', [0x4d, 0x4d, 0x00, 0x2a], 0],
  ['avif', ascii('ftypavif'), 4],
];

/**
 * The format of a photo by its first bytes; null for anything that is no photo. The decoder reads more than photos (SVG
 * among them, which may name other files), so what reaches it is chosen here.
 */
export function photoFormatOf(bytes: Uint8Array): string | null {
  const found = formats.find(([, signature, offset]) =>
    signature.every((byte, index) => bytes[offset + index] === byte),
  );
  return found?.[0] ?? null;
}
