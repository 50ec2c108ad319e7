import type { StandardJSONSchemaV1 } from '@standard-schema/spec';
import type { JsonValue } from '../core/json.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';

/** Most bytes of a schema that a form is made from. */
const maximumSchemaBytes = 256 * 1024;

/**
 * The input of a pipeline as JSON Schema, when its schema library can tell it (Standard JSON Schema); null when it cannot.
 *
 * @see https://standardschema.dev/json-schema
 */
export function inputJsonSchemaOf({ input }: PipelineDefinition): JsonValue | null {
  const standard = input['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  try {
    const schema = standard.jsonSchema?.input({ target: 'draft-2020-12' });
    if (schema === undefined) return null;
    const text = JSON.stringify(schema);
    return text.length > maximumSchemaBytes ? null : (JSON.parse(text) as JsonValue);
  } catch {
    // A library throws for what JSON Schema has no words for, such as a transform: then there is no form, only JSON text.
    return null;
  }
}
