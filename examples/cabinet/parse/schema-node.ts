/** Deepest nesting of structured data that is read. */
export const maximumNodeDepth = 24;
/** Most nodes of structured data on a page that are read. */
export const maximumNodes = 5_000;

/** One thing of schema.org's vocabulary, however the page writes it: JSON-LD and microdata both become this. */
export interface SchemaNode {
  /** Type names without their address, such as `Product`. */
  readonly types: readonly string[];
  readonly id: string | null;
  readonly properties: ReadonlyMap<string, readonly SchemaValue[]>;
}

/** The value of a property. */
export type SchemaValue = string | number | boolean | SchemaNode;

/** A type or property name without its address: `https://schema.org/Product` and `schema:Product` are `Product`. */
export function localName(name: string): string {
  return name.replace(/^(?:https?:\/\/(?:www\.)?schema\.org\/|schema:)/i, '').replace(/^#/, '');
}

/** Whether a value is a node. */
export function isNode(value: SchemaValue | undefined): value is SchemaNode {
  return typeof value === 'object';
}

/** All values of the first of these properties that has any. */
export function valuesOf(node: SchemaNode, ...names: readonly string[]): readonly SchemaValue[] {
  for (const name of names) {
    const values = node.properties.get(name);
    if (values !== undefined && values.length > 0) return values;
  }
  return [];
}

/** The nodes among the values of these properties, in that order. */
export function nodesOf(node: SchemaNode, ...names: readonly string[]): readonly SchemaNode[] {
  return names.flatMap((name) => (node.properties.get(name) ?? []).filter((value) => isNode(value)));
}

/** A value in words: a node gives its name, or the value it stands for. */
export function wordsOf(value: SchemaValue | undefined, depth = 0): string | null {
  if (value === undefined || depth > 3) return null;
  if (!isNode(value)) return String(value);
  const [inner] = valuesOf(value, 'name', 'value', 'text', 'url');
  return wordsOf(inner, depth + 1);
}

/** The first of these properties that can be said in words. */
export function firstWords(node: SchemaNode, ...names: readonly string[]): string | null {
  for (const name of names) {
    for (const value of node.properties.get(name) ?? []) {
      const words = wordsOf(value)?.trim();
      if (words !== undefined && words !== '') return words;
    }
  }
  return null;
}
