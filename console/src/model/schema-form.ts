import type { JsonValue } from '../api/types.ts';

/** A field of a form, made from a JSON Schema. */
export interface FormField {
  /** Where its value goes, from the top. */
  readonly path: readonly string[];
  readonly label: string;
  readonly about: string | null;
  readonly kind: 'text' | 'longText' | 'integer' | 'number' | 'flag' | 'choice' | 'json';
  readonly isRequired: boolean;
  readonly choices: readonly JsonValue[];
  /** What the schema gives when nothing is written; undefined: nothing. */
  readonly usual: JsonValue | undefined;
}

/** What is written in a form: by the field's key. */
export type FormTexts = Readonly<Record<string, string>>;

/** An input, or what is wrong with the fields. */
export type FormValue =
  | { readonly kind: 'value'; readonly value: JsonValue }
  | { readonly kind: 'problems'; readonly problems: Readonly<Record<string, string>> };

type Schema = Readonly<Record<string, unknown>>;

const maximumDepth = 3;
const maximumFields = 60;
/** Kinds for which nothing written is a value: an empty text, no. */
const mayBeEmpty: ReadonlySet<FormField['kind']> = new Set(['text', 'longText', 'flag']);

/** The key of a field in {@link FormTexts}. */
export function keyOf({ path }: Pick<FormField, 'path'>): string {
  return path.join('.');
}

/**
 * The fields of an object's schema, nested objects opened up; null when it is no object, or has more than a form can show: then the
 * input is written as JSON.
 */
export function formFields(schema: JsonValue | null): readonly FormField[] | null {
  if (!isObject(schema) || schema['type'] !== 'object') return null;
  const fields = fieldsOf(schema, schema, [], true, 0);
  return fields === null || fields.length === 0 || fields.length > maximumFields ? null : fields;
}

/** What the form shows at first. */
export function initialTexts(fields: readonly FormField[]): FormTexts {
  return Object.fromEntries(
    fields.map((field) => [keyOf(field), field.usual === undefined ? '' : textOf(field, field.usual)]),
  );
}

/** The input that the texts make. A field that is left empty and not required is left out. */
export function formValue(fields: readonly FormField[], texts: FormTexts): FormValue {
  const problems: Record<string, string> = {};
  const value: Record<string, JsonValue> = {};
  for (const field of fields) {
    const key = keyOf(field);
    const text = texts[key] ?? '';
    if (text === '' && !field.isRequired) continue;
    if (text === '' && !mayBeEmpty.has(field.kind)) {
      problems[key] = 'is required';
      continue;
    }
    const read = readText(field, text);
    if ('problem' in read) problems[key] = read.problem;
    else put(value, field.path, read.value);
  }
  return Object.keys(problems).length > 0 ? { kind: 'problems', problems } : { kind: 'value', value };
}

/** JSON as it is written, or why it is none. */
export function parseJsonText(text: string): { readonly value: JsonValue } | { readonly problem: string } {
  try {
    return { value: JSON.parse(text) as JsonValue };
  } catch (error) {
    return { problem: `is no JSON: ${(error as Error).message}` };
  }
}

function fieldsOf(
  root: Schema,
  schema: Schema,
  path: readonly string[],
  isRequired: boolean,
  depth: number,
): readonly FormField[] | null {
  const properties = schema['properties'];
  if (!isObject(properties)) return null;
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  return Object.entries(properties).flatMap(([name, given]): readonly FormField[] => {
    // A path is joined by dots; a name that has one would be two.
    const property = resolve(root, given);
    const own = isRequired && required.includes(name) && property['default'] === undefined;
    const nested =
      property['type'] === 'object' && depth < maximumDepth && isObject(property['properties'])
        ? fieldsOf(root, property, [...path, name], own, depth + 1)
        : null;
    return nested ?? [fieldOf(property, [...path, name], own)];
  });
}

function fieldOf(schema: Schema, path: readonly string[], isRequired: boolean): FormField {
  const { title, description, default: usual } = schema;
  const choices = choicesOf(schema);
  return {
    path,
    label: typeof title === 'string' ? title : path.join(' › '),
    about: typeof description === 'string' ? description : null,
    kind: choices.length > 0 ? 'choice' : kindOf(schema),
    isRequired,
    choices,
    usual: usual as JsonValue | undefined,
  };
}

function choicesOf(schema: Schema): readonly JsonValue[] {
  if (Array.isArray(schema['enum'])) return schema['enum'] as JsonValue[];
  if ('const' in schema) return [schema['const'] as JsonValue];
  return [];
}

function kindOf(schema: Schema): FormField['kind'] {
  switch (schema['type']) {
    case 'string':
      return typeof schema['maxLength'] === 'number' && schema['maxLength'] > 200 ? 'longText' : 'text';
    case 'integer':
    case 'number':
      return schema['type'];
    case 'boolean':
      return 'flag';
    default:
      return 'json';
  }
}

function textOf({ kind }: FormField, value: JsonValue): string {
  if (kind === 'choice') return JSON.stringify(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function readText({ kind }: FormField, text: string): { readonly value: JsonValue } | { readonly problem: string } {
  switch (kind) {
    case 'text':
    case 'longText':
      return { value: text };
    case 'flag':
      return { value: text === 'true' };
    case 'integer':
    case 'number': {
      const value = Number(text);
      const isGood = text.trim() !== '' && Number.isFinite(value) && (kind === 'number' || Number.isSafeInteger(value));
      return isGood ? { value } : { problem: kind === 'integer' ? 'must be a whole number' : 'must be a number' };
    }
    case 'choice':
    case 'json':
      return parseJsonText(text);
    default:
      return kind satisfies never;
  }
}

function put(target: Record<string, JsonValue>, path: readonly string[], value: JsonValue): void {
  let place = target;
  for (const name of path.slice(0, -1)) {
    const next = Object.hasOwn(place, name) ? place[name] : undefined;
    const child = (isObject(next) ? next : {}) as Record<string, JsonValue>;
    define(place, name, child);
    place = child;
  }
  define(place, path.at(-1) as string, value);
}

/** `__proto__` is a name like any other in JSON. */
function define(target: Record<string, JsonValue>, name: string, value: JsonValue): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}

/** A schema with its reference followed, one step: references within the document alone. */
function resolve(root: Schema, given: unknown): Schema {
  if (!isObject(given)) return {};
  const reference = given['$ref'];
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return given;
  const found = reference
    .slice(2)
    .split('/')
    .reduce<unknown>((place, name) => (isObject(place) ? place[name] : undefined), root);
  return isObject(found) ? found : {};
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
