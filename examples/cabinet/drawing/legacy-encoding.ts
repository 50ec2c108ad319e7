/**
 * Text as bytes of a charset that Node only decodes: each character's bytes are found by decoding all one- and two-byte
 * sequences once.
 *
 * @throws RangeError for a character that the charset does not have
 */
export function encodeText(text: string, charset: string): Uint8Array {
  const known = sequencesOf(charset);
  const bytes: number[] = [];
  for (const character of text) {
    const sequence = known.get(character);
    if (sequence === undefined) throw new RangeError(`${charset} has no '${character}'`);
    bytes.push(...sequence);
  }
  return Uint8Array.from(bytes);
}

function sequencesOf(charset: string): ReadonlyMap<string, readonly number[]> {
  const decoder = new TextDecoder(charset, { fatal: true });
  const known = new Map<string, readonly number[]>();
  const learn = (sequence: readonly number[]) => {
    try {
      const text = decoder.decode(Uint8Array.from(sequence));
      if (Array.from(text).length === 1 && !known.has(text)) known.set(text, sequence);
    } catch {
      // Not a sequence of this charset.
    }
  };
  for (let byte = 0; byte < 256; byte += 1) learn([byte]);
  if (charset.startsWith('windows-')) return known;
  for (let lead = 0x81; lead < 0xff; lead += 1) {
    for (let trail = 0x40; trail < 0xff; trail += 1) learn([lead, trail]);
  }
  return known;
}
