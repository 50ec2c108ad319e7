import { load } from 'cheerio/slim';
import { textOf, topNodesOf } from './page-element.ts';
import { maximumNesting, measureStructure } from './page-structure.ts';

/** How much of one string of structured data is looked at, in characters. */
export const maximumMarkupLength = 50_000;

const markup = /<[a-z!/][^<>]*>|&(?:[a-z]{2,10}|#\d{1,7}|#x[\da-f]{1,6});/i;
// oxlint-disable-next-line no-control-regex -- these are the characters to remove
const controls = /[\u0000-\u0008\u000e-\u001f\u007f\ufeff]/g;

/**
 * Text as one line: white space is one space, control characters are gone, and so are lone surrogates, which JSON cannot
 * keep. Empty text is null; longer text ends in an ellipsis.
 */
export function tidyText(text: string, maximumLength: number): string | null {
  const tidy = text.toWellFormed().replaceAll(controls, '').replaceAll(/\s+/g, ' ').trim();
  if (tidy === '') return null;
  if (tidy.length <= maximumLength) return tidy;
  // A cut may halve a surrogate pair; its lone half is dropped.
  return `${tidy
    .slice(0, maximumLength - 1)
    .replace(/[\ud800-\udbff]$/, '')
    .trimEnd()}…`;
}

/** A string of structured data as text: sites put whole HTML into descriptions. Scripts and styles leave nothing. */
export function textOfMarkup(value: string): string {
  const text = value.slice(0, maximumMarkupLength);
  if (!markup.test(text)) return text;
  if (measureStructure(text).depth > maximumNesting) return text.replaceAll(/<[a-z!/][^<>]*>/gi, ' ');
  return textOf(topNodesOf(load(text)), maximumMarkupLength);
}
