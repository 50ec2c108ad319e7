import { describe, expect, it } from 'vitest';
import { FatalError } from '../../../src/core/driver-errors.ts';
import { parseJsonValue } from '../../../src/core/json.ts';
import { jsonLd } from '../drawing/sample-page.ts';
import { parseSource } from '../resources/resource.ts';
import { parsePage } from './parse-page.ts';

function parse(html: string | Uint8Array, options: { source?: string; files?: readonly string[] } = {}) {
  const { source = 'https://site.example/list/7', files = [] } = options;
  const bytes = typeof html === 'string' ? new TextEncoder().encode(html) : html;
  return parsePage(
    {
      bytes,
      contentType: null,
      source: parseSource(source),
      hasFile: (url) => files.includes(url.pathname),
    },
    source,
  );
}

const product = (more: object) => jsonLd({ '@type': 'Product', name: 'Thing', ...more });

describe('parsePage', () => {
  it.each([
    ['a PDF', '%PDF-1.7'],
    ['a PNG image', Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d])],
    ['a JPEG image', Uint8Array.from([0xff, 0xd8, 0xff, 0xe0])],
    ['a ZIP archive', Uint8Array.from([0x50, 0x4b, 3, 4])],
    ['an empty file', ''],
    ['an empty file', ' \n\t '],
    ['JSON', '{"a":"<p>"}'],
    ['JSON', '["<html>"]'],
    ['XML', '<?xml version="1.0"?><rss><channel/></rss>'],
    ['text without an HTML tag', 'Just 1 < 2 words'],
  ])('fails with FatalError NOT_HTML for %s', (what, content) => {
    expect(() => parse(content)).toThrow(
      expect.objectContaining({ code: 'NOT_HTML', message: `the page is ${what}, not HTML` }),
    );
    expect(() => parse(content)).toThrow(FatalError);
  });

  it('resolves photos of a web page against its <base>, else against itself', () => {
    const html = (head: string) => `<html>${head}${product({ image: ['a.jpg', '/b.jpg', '//cdn.example/c.jpg'] })}`;
    expect(parse(html('')).photos).toEqual([
      'https://site.example/list/a.jpg',
      'https://site.example/b.jpg',
      'https://cdn.example/c.jpg',
    ]);
    expect(parse(html('<base href="https://img.example/x/">')).photos).toEqual([
      'https://img.example/x/a.jpg',
      'https://img.example/b.jpg',
      'https://cdn.example/c.jpg',
    ]);
  });

  it('resolves photos of a saved page against og:url when they were not saved with it', () => {
    const html = `<html><meta property="og:url" content="https://site.example/list/7">${product({ image: ['a.jpg', 'b.jpg'] })}`;
    expect(parse(html, { source: 'file:saved/7.html', files: ['/saved/b.jpg'] }).photos).toEqual([
      'https://site.example/list/a.jpg',
      'file:saved/b.jpg',
    ]);
    expect(parse(`<html>${product({ image: 'a.jpg' })}`, { source: 'file:saved/7.html' }).photos).toEqual([
      'file:saved/a.jpg',
    ]);
  });

  it('does not let a page from the web name a file of this machine', () => {
    const card = parse(`<html>${product({ image: ['file:///etc/passwd', 'a.jpg'] })}`);
    expect(card.photos).toEqual(['https://site.example/list/a.jpg']);
    expect(card.warnings).toEqual(["photo: 'file:///etc/passwd' is no address of a photo"]);
  });

  it('takes the price only when all offers agree', () => {
    const offers = (...prices: number[]) =>
      parse(`<html>${product({ offers: prices.map((price) => ({ price, priceCurrency: 'EUR' })) })}`);
    expect(offers(5, 5).price).toEqual({ amount: 5, currency: 'EUR' });
    expect(offers(5, 6)).toMatchObject({ price: null, missing: expect.arrayContaining(['price']) });
    expect(offers(5, 6).warnings).toEqual(['price: severalAmounts (5 EUR, 6 EUR)']);
  });

  it('keeps quiet about a field that another place gave after all', () => {
    const html = `<html>${product({ offers: { price: 'call us' } })}<meta property="product:price:amount" content="7">
      <meta property="product:price:currency" content="EUR">`;
    expect(parse(html)).toMatchObject({
      price: { amount: 7, currency: 'EUR' },
      foundIn: { price: 'openGraph' },
      warnings: [],
    });
  });

  it('ends on a graph and on an itemref that refer back to themselves', () => {
    const graph = jsonLd({
      '@graph': [
        { '@id': '#a', '@type': 'Product', name: 'A', isRelatedTo: { '@id': '#b' } },
        { '@id': '#b', '@type': 'Product', isRelatedTo: { '@id': '#a' } },
      ],
    });
    expect(parse(`<html>${graph}`).title).toBe('A');
    const item =
      '<div id="x" itemscope itemtype="https://schema.org/Product" itemref="y"><b itemprop="name">B</b></div>';
    const loop = '<div id="y" itemprop="isRelatedTo" itemscope itemref="y x"></div>';
    expect(parse(`<html>${item}${loop}`).title).toBe('B');
  });

  it('bounds titles, attributes, photos and warnings', () => {
    const card = parse(
      `<html>${product({
        name: '😀'.repeat(1_000),
        image: Array.from({ length: 200 }, (_, index) => `${index}.jpg`),
        additionalProperty: Array.from({ length: 500 }, (_, index) => ({
          name: `n${index}`,
          value: 'v'.repeat(999),
        })),
      })}`,
    );
    expect(card.title?.length).toBeLessThanOrEqual(300);
    expect(card.title?.isWellFormed()).toBe(true);
    expect(card.photos).toHaveLength(40);
    expect(Object.keys(card.attributes)).toHaveLength(64);
    expect(Math.max(...Object.values(card.attributes).map((value) => value.length))).toBeLessThanOrEqual(300);
    expect(card.warnings).toContain('photo: only the first 40 are taken');
  });

  it('gives a value that the engine can keep as JSON, whatever the page holds', () => {
    const hostile = `<html><meta charset="utf-8"><title>\u0000\u0007<b>x</b></title>${product({
      name: '\ud800 lone \udc00',
      additionalProperty: [{ name: '__proto__', value: 'x' }],
      geo: { latitude: '-0', longitude: '5' },
    })}`;
    const card = parse(hostile);
    expect(parseJsonValue(card, 'output')).toBe(card);
    expect(Object.getPrototypeOf(card.attributes)).toBe(Object.prototype);
    expect(card.coordinates).toEqual({ latitude: 0, longitude: 5 });
  });

  it.each([
    ['unclosed comments', '<!--'.repeat(1_000_000)],
    ['open brackets', '<'.repeat(4_000_000)],
    ['a description of nested tags', jsonLd({ '@type': 'Product', name: 'x', description: '<b>'.repeat(300_000) })],
    ['a thousand item levels', '<div itemscope itemprop="a" itemtype="https://schema.org/Product">'.repeat(990)],
    ['a hundred thousand meta tags at the top', '<meta name="og:image" content="x">'.repeat(140_000)],
    [
      'many items that share one large part',
      `<div id=a>${'<b itemprop=name>x</b>'.repeat(4_000)}</div>${'<div itemscope itemref=a></div>'.repeat(40_000)}`,
    ],
    ['end tags of what is not open', `${'<div>'.repeat(990)}${'</p>'.repeat(190_000)}`],
    ['deep JSON', `<script type="application/ld+json">${'['.repeat(400_000)}</script>`],
    ['deep objects', `<script type="application/ld+json">${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}</script>`],
  ])('takes bounded time over %s', { timeout: 60_000 }, (_, html) => {
    const start = performance.now();
    expect(parse(`<html><title>Bounded</title>${html}`).title).not.toBeNull();
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
