import { invalidArgument } from '../core/errors.ts';
import type { Fields, JsonSchema, ObjectOf, Schema } from './schema.ts';
import { object } from './schema.ts';

/**
 * The parameters of a URL as the fields of a schema: numbers and flags are read off their text, a list is given by repeating its
 * name.
 *
 * @throws EngineError `INVALID_ARGUMENT` for an unknown or repeated name, or a value that the schema refuses
 */
export function readQuery<const Of extends Fields>(fields: Of, parameters: URLSearchParams): ObjectOf<Of> {
  // No name of a parameter may meet a name of `Object.prototype`.
  const given: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const name of new Set(parameters.keys())) {
    const schema = Object.hasOwn(fields, name) ? fields[name] : undefined;
    given[name] = valueOf(name, parameters.getAll(name), schema);
  }
  return object(fields).read(given, 'query');
}

function valueOf(name: string, texts: readonly string[], schema: Schema<unknown> | undefined): unknown {
  if (schema?.json['type'] === 'array') {
    return texts.map((text) => scalarOf(text, schema.json['items'] as JsonSchema));
  }
  if (texts.length > 1) {
    throw invalidArgument({ field: name, message: `${name} is given ${texts.length} times`, limit: 'once' });
  }
  return scalarOf(texts[0] ?? '', schema?.json);
}

/** A text of a URL as what its schema asks for. */
export function scalarOf(text: string, json: JsonSchema | undefined): unknown {
  const type = json?.['type'];
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  // `Number('')` is 0: only what is written as a number is one.
  if ((type === 'integer' || type === 'number') && /^-?\d{1,16}(\.\d{1,16})?$/.test(text)) return Number(text);
  return text;
}
