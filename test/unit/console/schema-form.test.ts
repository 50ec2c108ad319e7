import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { JsonValue } from '../../../console/src/api/types.ts';
import { formFields, formValue, initialTexts, keyOf, parseJsonText } from '../../../console/src/model/schema-form.ts';

const schema = z.toJSONSchema(
  z.object({
    title: z.string().describe('Shown on the card'),
    source: z.enum(['shop', 'feed']).default('shop'),
    photos: z.number().int().optional(),
    ratio: z.number(),
    isUrgent: z.boolean().optional(),
    note: z.string().max(500).optional(),
    place: z.object({ city: z.string(), zip: z.string().optional() }).optional(),
    tags: z.array(z.string()),
  }),
  { io: 'input' },
) as JsonValue;
const fields = formFields(schema) ?? [];

describe('a form made from the schema of an input', () => {
  it('has a field for each property, with its kind, what it is about and whether it is required', () => {
    expect(fields.map((field) => [keyOf(field), field.kind, field.isRequired])).toEqual([
      ['title', 'text', true],
      ['source', 'choice', false],
      ['photos', 'integer', false],
      ['ratio', 'number', true],
      ['isUrgent', 'flag', false],
      ['note', 'longText', false],
      ['place.city', 'text', false],
      ['place.zip', 'text', false],
      ['tags', 'json', true],
    ]);
    expect(fields[0]?.about).toBe('Shown on the card');
    expect(fields[1]).toMatchObject({ choices: ['shop', 'feed'], usual: 'shop' });
    expect(initialTexts(fields)['source']).toBe('"shop"');
  });

  it('makes the input of what is written, and leaves out what is empty and not required', () => {
    const texts = { ...initialTexts(fields), title: 'A', ratio: '1.5', 'place.city': 'Rome', tags: '["x"]' };
    expect(formValue(fields, texts)).toEqual({
      kind: 'value',
      value: { title: 'A', source: 'shop', ratio: 1.5, place: { city: 'Rome' }, tags: ['x'] },
    });
  });

  it('says what is wrong, field by field', () => {
    expect(formValue(fields, { photos: '1.5', ratio: 'much', tags: '[', source: '' })).toEqual({
      kind: 'problems',
      problems: {
        photos: 'must be a whole number',
        ratio: 'must be a number',
        tags: expect.stringMatching(/^is no JSON: /) as string,
      },
    });
    expect(formValue(fields, { ratio: '1' })).toMatchObject({ kind: 'problems', problems: { tags: 'is required' } });
  });

  it('follows references within the schema', () => {
    const referring = {
      type: 'object',
      properties: { a: { $ref: '#/$defs/size' } },
      $defs: { size: { type: 'integer' } },
    };
    expect(formFields(referring as JsonValue)?.[0]?.kind).toBe('integer');
    const broken = { type: 'object', properties: { a: { $ref: '#/$defs/none' }, b: true } };
    expect(formFields(broken as unknown as JsonValue)?.map(({ kind }) => kind)).toEqual(['json', 'json']);
  });

  it.each([[null], [{ type: 'string' }], [{ type: 'object' }], [{ type: 'object', properties: {} }], [true]])(
    'is none for %j: then the input is written as JSON',
    (other) => {
      expect(formFields(other as JsonValue)).toBeNull();
    },
  );

  it('is none for more fields than a person would fill in', () => {
    const properties = Object.fromEntries(Array.from({ length: 61 }, (_, index) => [`f${index}`, { type: 'string' }]));
    expect(formFields({ type: 'object', properties })).toBeNull();
  });

  it('takes names that an object has by itself for names like any other', () => {
    const hostile = JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"string"},"toString":{"type":"string"}}}',
    ) as JsonValue;
    const value = formValue(formFields(hostile) ?? [], { ['__proto__']: 'a', toString: 'b' });
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
    expect(value).toMatchObject({ kind: 'value' });
  });

  it('reads JSON text, or says why it is none', () => {
    expect(parseJsonText('{"a":1}')).toEqual({ value: { a: 1 } });
    expect(parseJsonText('{')).toHaveProperty('problem');
  });
});
