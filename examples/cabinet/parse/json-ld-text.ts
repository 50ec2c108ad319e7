/** Longest JSON-LD block that is read, in characters. */
export const maximumBlockLength = 1_000_000;

/**
 * The value of a JSON-LD block as authors write it: inside an HTML comment or CDATA, with comments, trailing commas or raw
 * line breaks in strings. What these do not explain is an error.
 *
 * @throws SyntaxError that says what is wrong
 */
export function parseJsonLdText(text: string): unknown {
  if (text.length > maximumBlockLength) throw new SyntaxError(`longer than ${maximumBlockLength} characters`);
  const bare = text
    .replace(/^\s*(?:\/\/|\/\*)?\s*<!(?:--|\[CDATA\[)(?:\s*\*\/)?/, '')
    .replace(/(?:\/\/|\/\*)?\s*(?:--|\]\])>(?:\s*\*\/)?\s*$/, '')
    .trim();
  try {
    return JSON.parse(bare);
  } catch {
    // The strict reading comes first, so that mending can never change what was right.
    return JSON.parse(mendJson(bare));
  }
}

/** JSON without comments, trailing commas and a closing semicolon, and with raw control characters in strings escaped. */
export function mendJson(text: string): string {
  const parts: string[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text.charAt(index);
    if (character === '"') {
      const end = endOfString(text, index);
      parts.push(escapeControls(text.slice(index, end)));
      index = end;
    } else if (text.startsWith('//', index)) {
      index = indexAfter(text, '\n', index);
    } else if (text.startsWith('/*', index)) {
      index = indexAfter(text, '*/', index + 2);
    } else {
      if (character === '}' || character === ']') dropTrailingComma(parts);
      parts.push(character);
      index += 1;
    }
  }
  return parts.join('').replace(/[\s;]+$/, '');
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length) {
    if (text[index] === '"') return index + 1;
    index += text[index] === '\\' ? 2 : 1;
  }
  return text.length;
}

function indexAfter(text: string, needle: string, from: number): number {
  const found = text.indexOf(needle, from);
  return found === -1 ? text.length : found + needle.length;
}

function escapeControls(text: string): string {
  // oxlint-disable-next-line no-control-regex -- JSON forbids exactly these in a string
  return text.replaceAll(/[\u0000-\u001f]/g, (control) => JSON.stringify(control).slice(1, -1));
}

function dropTrailingComma(parts: string[]): void {
  let index = parts.length - 1;
  while (index >= 0 && /^\s*$/.test(parts[index] ?? '')) index -= 1;
  if (parts[index] === ',') parts[index] = '';
}
