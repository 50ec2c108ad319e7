/** Longest part of a foreign text in an error or a log line, in characters. */
export const maximumExcerptLength = 500;

/**
 * A foreign text as one safe line: control characters escaped, cut to its bound. It comes from outside and goes into logs
 * and consoles.
 */
export function excerpt(text: string, maximumLength = maximumExcerptLength): string {
  const line = text
    .trim()
    .slice(0, maximumLength + 1)
    .replace(/[\r\n\t ]+/g, ' ')
    .replace(
      /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]/gu,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  return line.length <= maximumLength ? line : `${line.slice(0, maximumLength - 1)}…`.toWellFormed();
}
