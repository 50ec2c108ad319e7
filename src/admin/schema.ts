import { invalidArgument, showValue } from '../core/errors.ts';
import { parseJsonValue, type JsonValue } from '../core/json.ts';

/** A JSON Schema (2020-12), as OpenAPI 3.1 takes it. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/**
 * What a value must be: for people and tools as JSON Schema, for the server as the reader made of the same limits. There is no
 * second description of a request.
 */
export interface Schema<Value> {
  readonly json: JsonSchema;
  /** Whether it may be left out where it is a field. */
  readonly isOptional: boolean;
  /** @throws EngineError `INVALID_ARGUMENT`, or the nearer code of an id, with `field`, limit and what was got */
  read(value: unknown, field: string): Value;
}

/** A schema of a field that may be left out. */
export interface OptionalSchema<Value> extends Schema<Value | undefined> {
  readonly isOptional: true;
}

/** What a schema's reader gives. */
export type ValueOf<Of> = Of extends Schema<infer Value> ? Value : never;

/** Schemas by field. */
export type Fields = Readonly<Record<string, Schema<unknown>>>;

/** The object of those fields. */
export type ObjectOf<Of extends Fields> = {
  readonly [Name in keyof Of as Of[Name]['isOptional'] extends true ? never : Name]: ValueOf<Of[Name]>;
} & { readonly [Name in keyof Of as Of[Name]['isOptional'] extends true ? Name : never]?: ValueOf<Of[Name]> };

/** Well-formed text of a length, perhaps of a pattern or with a stricter reader of its own. */
export function text(
  limits: {
    readonly least?: number;
    readonly most: number;
    readonly pattern?: RegExp;
    readonly about?: string;
    readonly format?: string;
  },
  parse?: (value: unknown, field: string) => string,
): Schema<string> {
  const { least = 1, most, pattern, about, format } = limits;
  const json = {
    type: 'string',
    minLength: least,
    maxLength: most,
    ...(pattern === undefined ? {} : { pattern: pattern.source }),
    ...(format === undefined ? {} : { format }),
    ...(about === undefined ? {} : { description: about }),
  };
  return make(json, (value, field) => {
    if (parse !== undefined) return parse(value, field);
    const isGood =
      typeof value === 'string' &&
      value.length >= least &&
      value.length <= most &&
      value.isWellFormed() &&
      (pattern === undefined || pattern.test(value));
    if (isGood) return value;
    const of = pattern === undefined ? '' : ` like ${pattern.source}`;
    throw refusal(field, `well-formed text of ${least} to ${most} characters${of}`, value);
  });
}

/** A whole number of a range. */
export function integer(least: number, most: number, about?: string): Schema<number> {
  const json = { type: 'integer', minimum: least, maximum: most, ...(about && { description: about }) };
  return make(json, (value, field) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw refusal(field, `an integer from ${least} to ${most}`, value);
  });
}

/** Any number of a range. */
export function number(least: number, most: number, about?: string): Schema<number> {
  const json = { type: 'number', minimum: least, maximum: most, ...(about && { description: about }) };
  return make(json, (value, field) => {
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw refusal(field, `a number from ${least} to ${most}`, value);
  });
}

/** True or false. */
export function flag(about?: string): Schema<boolean> {
  return make({ type: 'boolean', ...(about && { description: about }) }, (value, field) => {
    if (typeof value === 'boolean') return value;
    throw refusal(field, 'true or false', value);
  });
}

/** One of these words. */
export function oneOf<const Word extends string>(words: readonly Word[], about?: string): Schema<Word> {
  return make({ type: 'string', enum: words, ...(about && { description: about }) }, (value, field) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    throw refusal(field, `one of ${words.join(', ')}`, value);
  });
}

/** A list of these, at most `most`. */
export function listOf<Item>(item: Schema<Item>, most: number, about?: string): Schema<readonly Item[]> {
  const json = { type: 'array', items: item.json, maxItems: most, ...(about && { description: about }) };
  return make(json, (value, field) => {
    if (!Array.isArray(value) || value.length > most) throw refusal(field, `a list of at most ${most}`, value);
    return value.map((element: unknown, index) => item.read(element, `${field}[${index}]`));
  });
}

/** What the fields of a request lie in: an error names them without it. */
const roots: ReadonlySet<string> = new Set(['body', 'query', 'arguments']);

/** An object of just these fields: any other is refused. */
export function object<const Of extends Fields>(fields: Of, about?: string): Schema<ObjectOf<Of>> {
  const names = Object.keys(fields);
  const json = {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, fields[name]?.json])),
    required: names.filter((name) => fields[name]?.isOptional === false),
    additionalProperties: false,
    ...(about && { description: about }),
  };
  return make(json, (value, field) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusal(field, 'an object', value);
    const given = value as Readonly<Record<string, unknown>>;
    const unknownName = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
    if (unknownName !== undefined) {
      throw invalidArgument({
        field: showValue(unknownName),
        message: `unknown field '${showValue(unknownName)}' of ${field}`,
        limit: names.join(', '),
        got: unknownName,
      });
    }
    const read = names.flatMap((name): [string, unknown][] => {
      const schema = fields[name] as Schema<unknown>;
      const part = Object.hasOwn(given, name) ? given[name] : undefined;
      if (part === undefined && schema.isOptional) return [];
      return [[name, schema.read(part, roots.has(field) ? name : `${field}.${name}`)]];
    });
    return Object.fromEntries(read) as ObjectOf<Of>;
  });
}

/** An object of which `tag` says which of these it is. */
export function variantsOf<const Tag extends string, const Of extends Readonly<Record<string, Fields>>>(
  tag: Tag,
  variants: Of,
): Schema<{ [Name in keyof Of & string]: { readonly [Key in Tag]: Name } & ObjectOf<Of[Name]> }[keyof Of & string]> {
  const kinds = Object.keys(variants) as (keyof Of & string)[];
  const schemas = new Map<unknown, Schema<unknown>>(
    kinds.map((kind) => [kind, object({ [tag]: constant(kind), ...variants[kind] })]),
  );
  const json = { oneOf: [...schemas.values()].map((schema) => schema.json), discriminator: { propertyName: tag } };
  return make(json, (value, field) => {
    const kind = (value as Readonly<Record<string, unknown>> | null | undefined)?.[tag];
    const schema = schemas.get(kind);
    if (schema === undefined) throw refusal(`${field}.${tag}`, `one of ${kinds.join(', ')}`, kind);
    return schema.read(value, field) as never;
  });
}

/** Any JSON value, within the engine's limits of depth and size. */
export function anyJson(about: string): Schema<JsonValue> {
  return make({ description: about }, (value, field) => {
    if (value === undefined) throw refusal(field, 'a JSON value', value);
    return parseJsonValue(value, field);
  });
}

/** The same, but it may be left out. */
export function optional<Value>(schema: Schema<Value>): OptionalSchema<Value> {
  return { ...schema, isOptional: true };
}

/** The same, or null. */
export function nullable<Value>(schema: Schema<Value>): Schema<Value | null> {
  const json = { anyOf: [schema.json, { type: 'null' }] };
  return make(json, (value, field) => (value === null ? null : schema.read(value, field)));
}

function constant<const Word extends string>(word: Word): Schema<Word> {
  return make({ type: 'string', const: word }, (value, field) => {
    if (value === word) return word;
    throw refusal(field, word, value);
  });
}

function make<Value>(json: JsonSchema, read: Schema<Value>['read']): Schema<Value> {
  return { json, isOptional: false, read };
}

function refusal(field: string, limit: string, got: unknown): Error {
  const message = got === undefined ? `${field} is required` : `${field} must be ${limit}`;
  return invalidArgument({ field, message, limit, got });
}
