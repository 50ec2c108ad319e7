import type { CheerioAPI } from 'cheerio/slim';

/** An element of a loaded page. */
export type PageElement = ReturnType<typeof divisionsOf>[number];

// Names the element's type, which is of a package that this one does not depend on itself.
const divisionsOf = ($: CheerioAPI) => $('div').toArray();

/** Anything that stands in an element: elements, text, comments. */
export type PageNode = PageElement['children'][number];

/** What stands at the top of a loaded page. */
export function topNodesOf($: CheerioAPI): readonly PageNode[] {
  return $.root().toArray()[0]?.children ?? [];
}

/**
 * All elements of a loaded page, in its order.
 *
 * Whoever looks for some filters this: cheerio's selectors take quadratic time over a page with many elements at its top.
 */
export function allElementsOf($: CheerioAPI): readonly PageElement[] {
  const found: PageElement[] = [];
  const stack = topNodesOf($).toReversed();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (!('attribs' in node)) continue;
    found.push(node);
    pushReversed(stack, node.children);
  }
  return found;
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
export function textOf(nodes: readonly PageNode[], maximumLength: number): string {
  const parts: string[] = [];
  let length = 0;
  const stack: (PageNode | ' ')[] = nodes.toReversed();
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
      pushReversed(stack, node.children);
    }
  }
  return parts.join('').slice(0, maximumLength);
}

/** So that the first is popped first. One by one: a spread of many arguments overflows the call stack. */
function pushReversed<Node>(stack: Node[], nodes: readonly Node[]): void {
  for (let index = nodes.length - 1; index >= 0; index -= 1) {
    const node = nodes[index];
    if (node !== undefined) stack.push(node);
  }
}
