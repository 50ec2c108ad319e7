import { rawTextOf, type PageElement } from './page-element.ts';
import { parseJsonLdText } from './json-ld-text.ts';
import { localName, maximumNodeDepth, maximumNodes, type SchemaNode, type SchemaValue } from './schema-node.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** The structured data of a page's JSON-LD blocks; a block that cannot be read is a warning and spoils no other. */
export function readJsonLd(elements: readonly PageElement[]): {
  readonly nodes: readonly SchemaNode[];
  readonly warnings: readonly string[];
} {
  const roots: JsonObject[] = [];
  const warnings: string[] = [];
  const blocks = elements.filter(
    (element) => element.name === 'script' && /^\s*application\/ld\+json\b/i.test(element.attribs['type'] ?? ''),
  );
  for (const [index, block] of blocks.entries()) {
    try {
      roots.push(...rootsOf(parseJsonLdText(rawTextOf(block))));
    } catch (error) {
      warnings.push(`JSON-LD block ${index + 1} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
    }
  }
  const reader = new NodeReader(indexById(roots));
  return { nodes: roots.map((root) => reader.read(root, 0, [])).filter((node) => node !== null), warnings };
}

function rootsOf(value: unknown, depth = 0): readonly JsonObject[] {
  if (depth > maximumNodeDepth) return [];
  if (Array.isArray(value)) return value.slice(0, maximumNodes).flatMap((element) => rootsOf(element, depth + 1));
  if (!isObject(value)) return [];
  const graph = value['@graph'];
  if (graph === undefined) return [value];
  // A named graph may have properties of its own beside its members.
  const own = Object.keys(value).some((key) => !key.startsWith('@')) ? [value] : [];
  return [...own, ...rootsOf(graph, depth + 1)];
}

/** The fullest object of each `@id`: elsewhere in the graph stands only a reference to it. */
function indexById(roots: readonly JsonObject[]): ReadonlyMap<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  for (const root of roots) {
    const id = root['@id'];
    if (typeof id !== 'string') continue;
    const known = found.get(id);
    if (known === undefined || Object.keys(known).length < Object.keys(root).length) found.set(id, root);
  }
  return found;
}

class NodeReader {
  readonly #byId: ReadonlyMap<string, JsonObject>;
  #budget = maximumNodes;

  constructor(byId: ReadonlyMap<string, JsonObject>) {
    this.#byId = byId;
  }

  /** @param path - the ids being read, so that a graph that refers back to itself ends */
  read(object: JsonObject, depth: number, path: readonly string[]): SchemaNode | null {
    if (depth > maximumNodeDepth || this.#budget <= 0) return null;
    this.#budget -= 1;
    const id = typeof object['@id'] === 'string' ? object['@id'] : null;
    if (id !== null && path.includes(id)) return null;
    const inside = id === null ? path : [...path, id];
    const source = this.#resolve(object, id);
    const properties = new Map<string, readonly SchemaValue[]>();
    for (const [key, value] of Object.entries(source)) {
      if (key.startsWith('@')) continue;
      const values = this.#valuesOf(value, depth + 1, inside);
      if (values.length > 0) properties.set(localName(key), values);
    }
    return { types: typesOf(source['@type'] ?? source['type']), id, properties };
  }

  #resolve(object: JsonObject, id: string | null): JsonObject {
    const isReference = id !== null && Object.keys(object).every((key) => key.startsWith('@'));
    return isReference ? (this.#byId.get(id) ?? object) : object;
  }

  #valuesOf(value: unknown, depth: number, path: readonly string[]): readonly SchemaValue[] {
    if (depth > maximumNodeDepth) return [];
    if (typeof value === 'string' || typeof value === 'boolean') return [value];
    if (typeof value === 'number') return Number.isFinite(value) ? [value] : [];
    if (Array.isArray(value))
      return value.slice(0, maximumNodes).flatMap((each) => this.#valuesOf(each, depth + 1, path));
    if (!isObject(value)) return [];
    const wrapped = value['@value'] ?? value['@list'] ?? value['@set'];
    if (wrapped !== undefined) return this.#valuesOf(wrapped, depth + 1, path);
    const node = this.read(value, depth, path);
    return node === null ? [] : [node];
  }
}

function typesOf(value: unknown): readonly string[] {
  const names = Array.isArray(value) ? value : [value];
  return names.filter((name) => typeof name === 'string').map((name) => localName(name));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
