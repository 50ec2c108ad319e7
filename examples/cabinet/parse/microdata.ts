import { childElements, textOf, type PageElement } from './page-element.ts';
import { maximumMarkupLength } from './plain-text.ts';
import { localName, maximumNodeDepth, maximumNodes, type SchemaNode, type SchemaValue } from './schema-node.ts';

const urlAttributes: Readonly<Record<string, string>> = {
  a: 'href',
  area: 'href',
  audio: 'src',
  embed: 'src',
  iframe: 'src',
  img: 'src',
  link: 'href',
  object: 'data',
  source: 'src',
  track: 'src',
  video: 'src',
};

/** Most elements looked at for all items of a page: `itemref` lets many items share one large part. */
export const maximumItemVisits = 500_000;

/**
 * The structured data of a page's microdata, with `itemref`.
 *
 * @see HTML standard §5 "Microdata". Beyond it: a `content` attribute counts on any element, as sites expect, and a lazily
 *   loaded image's `data-src` is its source.
 */
export function readMicrodata(elements: readonly PageElement[]): readonly SchemaNode[] {
  const reader = new ItemReader(elementsById(elements));
  return elements
    .filter(({ attribs }) => 'itemscope' in attribs && !('itemprop' in attribs))

    .map((element) => reader.read(element, 0, []))
    .filter((node) => node !== null);
}

function elementsById(elements: readonly PageElement[]): ReadonlyMap<string, PageElement> {
  const found = new Map<string, PageElement>();
  for (const element of elements) {
    const id = element.attribs['id'];
    if (id !== undefined && !found.has(id)) found.set(id, element);
  }
  return found;
}

class ItemReader {
  readonly #byId: ReadonlyMap<string, PageElement>;
  #budget = maximumNodes;
  #visitsLeft = maximumItemVisits;

  constructor(byId: ReadonlyMap<string, PageElement>) {
    this.#byId = byId;
  }

  /** @param path - the items being read, so that an item that refers back to itself ends */
  read(item: PageElement, depth: number, path: readonly PageElement[]): SchemaNode | null {
    if (depth > maximumNodeDepth || this.#visitsLeft <= 0 || path.includes(item)) return null;
    const properties = new Map<string, SchemaValue[]>();
    const stack = [...childElements(item), ...this.#referencedBy(item)].toReversed();
    for (let element = stack.pop(); element !== undefined && this.#visitsLeft > 0; element = stack.pop()) {
      this.#visitsLeft -= 1;
      const names = wordsOf(element, 'itemprop');
      const isItem = 'itemscope' in element.attribs;
      if (names.length > 0 && this.#budget > 0) {
        this.#budget -= 1;
        const value = isItem ? this.read(element, depth + 1, [...path, item]) : valueOf(element);
        if (value !== null) for (const name of names) addValue(properties, localName(name), value);
      }
      // What stands inside another item belongs to that one.
      if (!isItem) stack.push(...childElements(element).toReversed());
    }
    const types = wordsOf(item, 'itemtype').map((type) => localName(type));
    return { types, id: item.attribs['itemid'] ?? null, properties };
  }

  #referencedBy(item: PageElement): readonly PageElement[] {
    return wordsOf(item, 'itemref')
      .map((id) => this.#byId.get(id))
      .filter((element) => element !== undefined);
  }
}

function addValue(properties: Map<string, SchemaValue[]>, name: string, value: SchemaValue): void {
  const values = properties.get(name);
  if (values === undefined) properties.set(name, [value]);
  else values.push(value);
}

function wordsOf(element: PageElement, attribute: string): readonly string[] {
  return (element.attribs[attribute] ?? '').split(/\s+/).filter((word) => word !== '');
}

function valueOf(element: PageElement): string {
  const { attribs, name } = element;
  const content = attribs['content'];
  if (content !== undefined) return content;
  const urlAttribute = urlAttributes[name];
  if (urlAttribute !== undefined) return attribs['data-src'] ?? attribs[urlAttribute] ?? '';
  const own =
    name === 'data' || name === 'meter' ? attribs['value'] : name === 'time' ? attribs['datetime'] : undefined;
  return own ?? textOf([element], maximumMarkupLength);
}
