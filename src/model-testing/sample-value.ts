import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import { EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { validateWith } from '../pipeline/validate.ts';

/** How much a sample has: every optional member and one item of each list, or as little as the schema allows. */
export type SampleSize = 'full' | 'least';

/** A sample, as it is given and as its schema gives it out. */
export interface Sample {
  readonly given: unknown;
  readonly read: unknown;
}

/** Deepest nesting that a sample follows; a schema that refers to itself has an end there. */
const maximumDepth = 12;

type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * A value that the schema takes, made from its JSON Schema.
 *
 * @throws EngineError `INVALID_ARGUMENT` when the schema library tells none, or the value made is not taken: then it must be given
 */
export function sampleOf(schema: StandardSchemaV1, size: SampleSize, field: string): Sample {
  const json = jsonSchemaOf(schema);
  if (json === null) throw mustBeGiven(field, 'its schema tells no JSON Schema to make one from');
  return readSample(schema, sample(json, { size, root: json, depth: 0 }), field);
}

/** A given value as the schema gives it out. @throws EngineError `INVALID_ARGUMENT` when the schema refuses it */
export function readSample(schema: StandardSchemaV1, given: unknown, field: string): Sample {
  const validation = validateWith(schema, given);
  // A schema that answers later is asked by the engine itself; until then the value is taken as it is.
  if (validation instanceof Promise) return { given, read: given };
  if (validation.ok) return { given, read: validation.value };
  const [issue] = validation.issues;
  throw mustBeGiven(field, `${JSON.stringify(given)} is refused: ${issue?.path}: ${issue?.message}`);
}

function mustBeGiven(field: string, why: string): EngineError {
  return new EngineError('INVALID_ARGUMENT', `no sample for ${field}: ${why}`, {
    field,
    hint: `give one in the options: ${field}`,
  });
}

function jsonSchemaOf(schema: StandardSchemaV1): JsonSchema | null {
  const standard = schema['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  try {
    return standard.jsonSchema?.input({ target: 'draft-2020-12' }) ?? null;
  } catch {
    // A library throws for what JSON Schema has no words for.
    return null;
  }
}

interface Place {
  readonly size: SampleSize;
  readonly root: JsonSchema;
  readonly depth: number;
}

function sample(schema: JsonSchema, place: Place): JsonValue {
  const deeper = { ...place, depth: place.depth + 1 };
  if (place.depth > maximumDepth) return null;
  if ('const' in schema) return schema['const'] as JsonValue;
  // With everything that may be there a default would be the same as with as little as may be.
  if ('default' in schema && place.size === 'least') return schema['default'] as JsonValue;
  if (Array.isArray(schema['enum'])) return schema['enum'][0] as JsonValue;
  if (Array.isArray(schema['examples'])) return schema['examples'][0] as JsonValue;
  if (typeof schema['$ref'] === 'string') return sample(resolve(schema['$ref'], place.root), deeper);
  for (const word of ['anyOf', 'oneOf']) {
    const choices = schema[word];
    if (Array.isArray(choices)) {
      // The least of a value that may be null is null.
      const none = choices.find((choice: JsonSchema) => choice['type'] === 'null') as JsonSchema | undefined;
      return sample(place.size === 'least' && none !== undefined ? none : (choices[0] as JsonSchema), deeper);
    }
  }
  if (Array.isArray(schema['allOf'])) {
    const merged = (schema['allOf'] as JsonSchema[]).map((part) => sample(part, deeper));
    return Object.assign({}, ...merged) as JsonValue;
  }
  return sampleOfType(schema, deeper);
}

function sampleOfType(schema: JsonSchema, place: Place): JsonValue {
  const { type } = schema;
  switch (Array.isArray(type) ? (type[0] as unknown) : type) {
    case 'object':
      return sampleObject(schema, place);
    case 'array':
      return sampleList(schema, place);
    case 'string':
      return sampleText(schema);
    case 'integer':
    case 'number':
      return sampleNumber(schema);
    case 'boolean':
      return true;
    default:
      return null;
  }
}

function sampleObject(schema: JsonSchema, place: Place): JsonValue {
  const required = (schema['required'] as readonly string[] | undefined) ?? [];
  const members = Object.entries((schema['properties'] as Record<string, JsonSchema> | undefined) ?? {});
  const wanted = members.filter(([name]) => place.size === 'full' || required.includes(name));
  return Object.fromEntries(wanted.map(([name, member]) => [name, sample(member, place)]));
}

function sampleList(schema: JsonSchema, place: Place): JsonValue {
  const fixed = schema['prefixItems'] as readonly JsonSchema[] | undefined;
  if (fixed !== undefined) return fixed.map((item) => sample(item, place));
  const least = numberOf(schema, 'minItems') ?? 0;
  const most = numberOf(schema, 'maxItems') ?? Infinity;
  const length = Math.min(most, place.size === 'full' ? Math.max(1, least) : least);
  const items = (schema['items'] as JsonSchema | undefined) ?? {};
  return Array.from({ length }, () => sample(items, place));
}

const samplesByFormat: Readonly<Record<string, string>> = {
  uri: 'https://example.org/sample',
  email: 'sample@example.org',
  uuid: '0190a6a0-0000-7000-8000-000000000000',
  'date-time': '2026-01-01T00:00:00.000Z',
  date: '2026-01-01',
  time: '00:00:00',
  ipv4: '192.0.2.1',
  hostname: 'example.org',
};
/** Texts of common patterns: a pattern has no text of its own to take. */
const patternGuesses = [
  'sample',
  'https://example.org/sample',
  'SMP',
  'a1',
  '1',
  '0'.repeat(64),
  '2026-01-01',
  'sample-1',
];

function sampleText(schema: JsonSchema): string {
  const { format, pattern } = schema as { readonly format?: string; readonly pattern?: string };
  const least = numberOf(schema, 'minLength') ?? 0;
  const most = numberOf(schema, 'maxLength') ?? Infinity;
  const fits = (text: string): boolean =>
    text.length >= least && text.length <= most && (pattern === undefined || new RegExp(pattern, 'u').test(text));
  const guesses = [
    ...(samplesByFormat[format ?? ''] === undefined ? [] : [samplesByFormat[format ?? '']]),
    ...patternGuesses,
  ];
  const fitting = guesses.find((text) => text !== undefined && fits(text));
  return fitting ?? 'sample'.padEnd(least, '-').slice(0, most);
}

function sampleNumber(schema: JsonSchema): number {
  const above = numberOf(schema, 'exclusiveMinimum');
  const least = numberOf(schema, 'minimum') ?? (above === undefined ? 1 : above + 1);
  const most = numberOf(schema, 'maximum') ?? Infinity;
  const step = numberOf(schema, 'multipleOf');
  const value = Math.min(Math.max(1, least), most);
  return step === undefined ? value : Math.ceil(value / step) * step;
}

function numberOf(schema: JsonSchema, name: string): number | undefined {
  const value = schema[name];
  return typeof value === 'number' ? value : undefined;
}

function resolve(reference: string, root: JsonSchema): JsonSchema {
  let found: unknown = root;
  for (const part of reference.replace(/^#\/?/, '').split('/').filter(Boolean)) {
    found = (found as Record<string, unknown> | undefined)?.[part];
  }
  return (found as JsonSchema | undefined) ?? {};
}
