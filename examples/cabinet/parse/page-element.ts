import type { CheerioAPI } from 'cheerio/slim';

/** An element of a loaded page. */
export type PageElement = ReturnType<typeof divisionsOf>[number];

// Names the element's type, which is of a package that this one does not depend on itself.
const divisionsOf = ($: CheerioAPI) => $('div').toArray();

/** The elements that match, in the page's order. */
export function elementsOf($: CheerioAPI, selector: string): PageElement[] {
  return $<PageElement, string>(selector).toArray();
}

const blocks = new Set(
  'address article blockquote br dd div dt h1 h2 h3 h4 h5 h6 li ol p section td th tr ul'.split(' '),
);
const silent = new Set(['script', 'style', 'noscript', 'template']);

/** The child elements, in order. */
export function childElements(element: PageElement): readonly PageElement[] {
  return element.children.filter((child) => 'attribs' in child);
}

/** The text that stands directly in an element, as it is: a script's content. */
export function rawTextOf(element: PageElement): string {
  return element.children.map((child) => (child.nodeType === 3 ? child.data : '')).join('');
}

/**
 * The text of elements and all that is in them, blocks set apart by a space, scripts left out. Stops at the limit.
 *
 * It keeps its own stack: cheerio's `text()` recurses, and a page may nest deeper than the call stack allows.
 */
export function textOf(elements: readonly PageElement[], maximumLength: number): string {
  const parts: string[] = [];
  let length = 0;
  const stack: (PageElement['children'][number] | ' ')[] = elements.toReversed();
  for (let node = stack.pop(); node !== undefined && length < maximumLength; node = stack.pop()) {
    if (node === ' ') {
      parts.push(' ');
    } else if (node.nodeType === 3) {
      parts.push(node.data);
      length += node.data.length;
    } else if ('attribs' in node && !silent.has(node.name)) {
      const isBlock = blocks.has(node.name);
      if (isBlock) parts.push(' ');
      if (isBlock) stack.push(' ');
      for (let index = node.children.length - 1; index >= 0; index -= 1) {
        const child = node.children[index];
        if (child !== undefined) stack.push(child);
      }
    }
  }
  return parts.join('').slice(0, maximumLength);
}
