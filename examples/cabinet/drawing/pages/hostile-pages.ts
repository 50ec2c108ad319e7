import { encodeText } from '../legacy-encoding.ts';
import { allKept, jsonLd, type SamplePage } from '../sample-page.ts';

const listing = (name: string, extra: Readonly<Record<string, unknown>> = {}) =>
  jsonLd({
    '@context': 'https://schema.org',
    '@type': 'Product',
    name,
    image: 'photos/castle.jpg',
    offers: { '@type': 'Offer', price: 100, priceCurrency: 'EUR' },
    ...extra,
  });

const bare = {
  outcome: 'completed',
  price: { amount: 100, currency: 'EUR' },
  address: null,
  coordinates: null,
  missing: ['address', 'coordinates', 'description', 'attributes'],
  photos: allKept(1),
} as const;

const russian = (charset: string) => `<!doctype html><html lang="ru"><head><meta charset="${charset}">
<title>Дом у реки</title><meta property="og:title" content="Дом у реки, 4 комнаты">
<meta property="og:description" content="Тихое место, рядом лес и школа.">
<meta property="og:image" content="photos/house-lake.jpg">
<meta property="product:price:amount" content="5 250 000 руб."></head><body></body></html>`;

const bareRussian = {
  outcome: 'completed',
  title: 'Дом у реки, 4 комнаты',
  price: { amount: 5_250_000, currency: 'RUB' },
  address: null,
  coordinates: null,
  missing: ['address', 'coordinates', 'attributes'],
  photos: allKept(1),
} as const;

/** Pages with wrong charsets, broken markup, broken data and no page at all. */
export const hostilePages: readonly SamplePage[] = [
  {
    file: 'windows-1251.html',
    about: 'Cyrillic in the charset that it declares',
    content: encodeText(russian('windows-1251'), 'windows-1251'),
    expect: { ...bareRussian, charset: 'windows-1251' },
  },
  {
    file: 'wrong-charset.html',
    about: 'Declares UTF-8, is windows-1251',
    content: encodeText(russian('utf-8'), 'windows-1251'),
    expect: { ...bareRussian, charset: 'windows-1251', warning: 'declares utf-8' },
  },
  {
    file: 'utf8-as-latin1.html',
    about: 'Declares ISO-8859-1, is UTF-8',
    content: `<!doctype html><html lang="fr"><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">
<title>Été</title>${listing('Péniche aménagée à Sète')}</head><body>é</body></html>`,
    expect: { ...bare, title: 'Péniche aménagée à Sète', charset: 'utf-8', warning: 'declares windows-1252' },
  },
  {
    file: 'shift-jis.html',
    about: 'Japanese in Shift_JIS, yen',
    content: encodeText(
      `<!doctype html><html lang="ja"><head><meta charset="shift_jis"><title>京都の町家</title>
<meta property="og:title" content="京都の町家、改装済み"><meta property="og:image" content="photos/house-front.jpg">
<meta property="product:price:amount" content="38,500,000円"></head><body></body></html>`,
      'shift_jis',
    ),
    expect: {
      outcome: 'completed',
      title: '京都の町家、改装済み',
      price: { amount: 38_500_000, currency: 'JPY' },
      address: null,
      coordinates: null,
      missing: ['address', 'coordinates', 'description', 'attributes'],
      photos: allKept(1),
      charset: 'shift_jis',
    },
  },
  {
    file: 'json-ld-commented.html',
    about: 'JSON-LD in CDATA with comments, trailing commas and raw line breaks',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Boat</title>
<script type="application/ld+json">
//<![CDATA[
{ /* written by hand */
  "@context": "https://schema.org", "@type": "Product",
  "name": "Wooden
boat", // two lines
  "image": ["photos/castle.jpg",],
  "offers": { "@type": "Offer", "price": "100", "priceCurrency": "EUR", },
};
//]]>
</script></head><body></body></html>`,
    expect: { ...bare, title: 'Wooden boat' },
  },
  {
    file: 'json-ld-one-broken.html',
    about: 'Three JSON-LD blocks: one broken beyond repair, one empty, one good',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Piano</title>
<script type="application/ld+json">{"@type": "Product", "name": "broken", "offers": {{</script>
<script type="application/ld+json"></script>${listing('Upright piano')}</head><body></body></html>`,
    expect: { ...bare, title: 'Upright piano', warning: 'JSON-LD block 1 is not JSON' },
  },
  {
    file: 'script-injection.html',
    about: 'Script, HTML, formulas and forbidden keys in every field',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title>
${listing('=HYPERLINK("http://evil.example","Click") <b>now</b><script>alert(1)</script>', {
  description: '<p>Nice <b>boat</b><img src=x onerror=alert(1)></p> &lt;b&gt; \u0000 \ud800 end',
  additionalProperty: [
    { name: '__proto__', value: 'polluted' },
    { name: 'constructor', value: 'polluted' },
    { name: '@SUM(A1:A9)', value: '+1+1' },
  ],
})}</head><body></body></html>`,
    expect: {
      ...bare,
      title: '=HYPERLINK("http://evil.example","Click") now',
      missing: ['address', 'coordinates'],
      attributes: { '@SUM(A1:A9)': '+1+1' },
    },
  },
  {
    file: 'broken-html.html',
    about: 'Unclosed and crossed tags, attributes without quotes, nested nonsense',
    content: `<html lang=en><head><meta charset=utf-8><title>Broken</title><table><div><p><b><i></table></p>
<div itemscope itemtype=https://schema.org/Product><h1 itemprop=name>Sturdy shed</h1><p><span><a href="
<img itemprop=image src=photos/not-there.jpg">x</a><img itemprop=image src=photos/castle.jpg><div itemprop=offers itemscope>
<tr><td itemprop=price>€ 100,-<li><li></b></i></span></div></form></option><![CDATA[ <<>>< & &bogus; <!-- `,
    expect: { ...bare, title: 'Sturdy shed' },
  },
  {
    file: 'pdf-in-disguise.html',
    about: 'A PDF with the name of a page',
    content: '%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n',
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'NOT_HTML' },
  },
  {
    file: 'json-in-disguise.html',
    about: 'An answer of an API, saved as a page',
    content: '{"error":{"code":403,"message":"<p>Forbidden</p>"}}\n',
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'NOT_HTML' },
  },
  {
    file: 'empty.html',
    about: 'An empty file',
    content: '',
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'NOT_HTML' },
  },
  {
    file: 'no-listing.html',
    about: 'A page that says nothing of a listing',
    content: '<!doctype html><html><body><p>It works!</p></body></html>\n',
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'NO_LISTING' },
  },
  {
    file: 'large-page.html',
    about: 'Just under the size bound, the card at its end',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body>${`<p>${'Lorem ipsum dolor. '.repeat(12)}</p>\n`.repeat(19_900)}
${listing('At the end of a large page')}</body></html>`,
    expect: { ...bare, title: 'At the end of a large page' },
    isGenerated: true,
  },
  {
    file: 'huge-page.html',
    about: 'Over the size bound',
    content: `<!doctype html><title>Huge</title>${'<!-- filler -->\n'.repeat(400_000)}`,
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'PAGE_TOO_LARGE' },
    isGenerated: true,
  },
  {
    file: 'deep-page.html',
    about: 'Nested so deep that a parser would take minutes',
    content: `<!doctype html><title>Deep</title>${'<div>'.repeat(400_000)}`,
    expect: { outcome: 'deadLettered', stage: 'parse', code: 'PAGE_TOO_COMPLEX' },
    isGenerated: true,
  },
];
