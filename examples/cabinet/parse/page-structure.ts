import { FatalError } from '../../../src/core/driver-errors.ts';

/** Deepest nesting of a page's elements: twice what browsers build. Deeper pages cost parsers quadratic time. */
export const maximumNesting = 1_000;
/** Most tags of a page: ten times a heavy real one. */
export const maximumTags = 200_000;

// Elements that never have content, or whose end tag HTML lets authors leave out: neither makes nesting grow.
const flatElements = new Set(
  (
    'area base br col embed hr img input link meta source track wbr ' +
    'p li dt dd td th tr tbody thead tfoot option optgroup colgroup rp rt'
  ).split(' '),
);
const rawTextElements = new Set(['script', 'style', 'textarea', 'title', 'noscript', 'iframe']);

/** How many tags a page has, and how deep they nest. */
export interface PageStructure {
  readonly tags: number;
  readonly depth: number;
}

/**
 * Refuses a page that a parser would take very long over: parsing blocks the node, so its cost is bounded beforehand.
 *
 * @throws FatalError `PAGE_TOO_COMPLEX`
 */
export function refuseComplexPage(html: string): void {
  const { tags, depth } = measureStructure(html);
  if (tags <= maximumTags && depth <= maximumNesting) return;
  throw new FatalError(
    `the page has ${tags} tags, nested ${depth} deep; ${maximumTags} and ${maximumNesting} are allowed`,
    {
      code: 'PAGE_TOO_COMPLEX',
    },
  );
}

/** One pass over the tags, in time linear in the text whatever it holds. */
export function measureStructure(html: string): PageStructure {
  const lower = html.toLowerCase();
  const tagName = /[a-z][a-z0-9:-]*/y;
  let tags = 0;
  let depth = 0;
  let deepest = 0;
  let index = lower.indexOf('<');
  while (index !== -1) {
    let next = index + 1;
    if (lower.startsWith('<!--', index)) {
      next = after(lower, '-->', index + 4);
    } else {
      const isEnd = lower[next] === '/';
      tagName.lastIndex = isEnd ? next + 1 : next;
      const name = tagName.exec(lower)?.[0];
      if (name !== undefined) {
        tags += 1;
        next = tagName.lastIndex;
        if (!flatElements.has(name)) depth = isEnd ? Math.max(0, depth - 1) : depth + 1;
        deepest = Math.max(deepest, depth);
        if (!isEnd && rawTextElements.has(name)) next = before(lower, `</${name}`, next);
      }
    }
    index = lower.indexOf('<', next);
  }
  return { tags, depth: deepest };
}

function after(text: string, needle: string, from: number): number {
  const found = text.indexOf(needle, from);
  return found === -1 ? text.length : found + needle.length;
}

function before(text: string, needle: string, from: number): number {
  const found = text.indexOf(needle, from);
  return found === -1 ? text.length : found;
}
