import { describe, expect, it } from 'vitest';
import { parseJsonLdText } from './json-ld-text.ts';

describe('parseJsonLdText', () => {
  it.each([
    ['plain JSON', '{"a":1}'],
    ['an HTML comment', '<!-- {"a":1} -->'],
    ['a commented CDATA', '//<![CDATA[\n{"a":1}\n//]]>'],
    ['a CDATA in block comments', '/* <![CDATA[ */ {"a":1} /* ]]> */'],
    ['trailing commas', '{"a":1,}'],
    ['nested trailing commas', '{"a":1 , \n }'],
    ['a closing semicolon', '{"a":1};'],
    ['comments', '{ // one\n "a": /* two */ 1 }'],
  ])('reads %s', (_, text) => {
    expect(parseJsonLdText(text)).toEqual({ a: 1 });
  });

  it('keeps what only looks like a comment or a trailing comma', () => {
    const value = { url: 'https://a.example/*x*/', text: 'a,] and ,} "quoted" \\', list: [1] };
    expect(parseJsonLdText(`${JSON.stringify(value).slice(0, -1)},}`)).toEqual(value);
  });

  it('escapes raw line breaks and tabs in strings', () => {
    expect(parseJsonLdText('{"a":"one\n\ttwo",}')).toEqual({ a: 'one\n\ttwo' });
  });

  it.each(['', '{', '{"a":}', 'alert(1)', '{"a":1}{"b":2}', '{"a":"unclosed}'])('throws SyntaxError for %j', (text) => {
    expect(() => parseJsonLdText(text)).toThrow(SyntaxError);
  });

  it('throws SyntaxError for a block over the bound', () => {
    expect(() => parseJsonLdText(' '.repeat(1_000_001))).toThrow(/longer than/);
  });
});
