import { allKept, jsonLd, type SamplePage } from '../sample-page.ts';

/** Pages whose card stands in microdata, OpenGraph, or in parts here and there. */
export const microdataPages: readonly SamplePage[] = [
  {
    file: 'microdata-product.html',
    about: 'Product with nested Offer, content attributes and links',
    content: `<!doctype html><html lang="pl"><head><meta charset="utf-8"><title>Szafa</title></head><body>
<div itemscope itemtype="https://schema.org/Product">
  <h1 itemprop="name">Szafa dębowa</h1>
  <img itemprop="image" src="photos/house-room.jpg" alt=""><img itemprop="image" data-src="photos/cabin.webp" src="blank.gif" alt="">
  <p itemprop="description">Stan bardzo dobry, <b>do odbioru</b> w Gdańsku.</p>
  <div itemprop="offers" itemscope itemtype="https://schema.org/Offer">
    <span itemprop="price" content="1234.50">1 234,50 zł</span><meta itemprop="priceCurrency" content="PLN">
    <link itemprop="itemCondition" href="https://schema.org/UsedCondition">
  </div>
  <div itemprop="additionalProperty" itemscope itemtype="https://schema.org/PropertyValue">
    <span itemprop="name">Wysokość</span>: <span itemprop="value">210</span> <meta itemprop="unitText" content="cm">
  </div>
</div></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Szafa dębowa',
      price: { amount: 1_234.5, currency: 'PLN' },
      address: null,
      coordinates: null,
      missing: ['address', 'coordinates'],
      photos: allKept(2),
      foundIn: { title: 'microdata', price: 'microdata', photos: 'microdata' },
      attributes: { Wysokość: '210 cm', itemCondition: 'UsedCondition' },
    },
  },
  {
    file: 'microdata-house.html',
    about: 'House with itemref, a price only in words: 12,500 CHF',
    content: `<!doctype html><html lang="de-CH"><head><meta charset="utf-8"><title>Haus</title></head><body>
<div itemscope itemtype="http://schema.org/House" itemref="price place">
  <h2 itemprop="name">Haus am Hang</h2><img itemprop="photo" src="photos/house-front.jpg" alt="">
</div>
<div id="price" itemprop="offers" itemscope itemtype="http://schema.org/Offer"><b itemprop="price">12,500 CHF</b></div>
<div id="place">
  <address itemprop="address" itemscope itemtype="http://schema.org/PostalAddress">
    <span itemprop="streetAddress">Bergweg 3</span>, <span itemprop="postalCode">7050</span>
    <span itemprop="addressLocality">Arosa</span></address>
  <div itemprop="geo" itemscope itemtype="http://schema.org/GeoCoordinates">
    <meta itemprop="latitude" content="46.7787"><meta itemprop="longitude" content="9.6803"></div>
</div></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Haus am Hang',
      price: { amount: 12_500, currency: 'CHF' },
      address: 'Bergweg 3, 7050 Arosa',
      coordinates: { latitude: 46.7787, longitude: 9.6803 },
      missing: ['description', 'attributes'],
      photos: allKept(1),
    },
  },
  {
    file: 'microdata-kronor.html',
    about: 'Swedish "kr", which three currencies share: the language decides',
    content: `<!doctype html><html lang="sv"><head><meta charset="utf-8"><title>Stuga</title></head><body>
<section itemscope itemtype="https://schema.org/Accommodation">
  <h1 itemprop="name">Stuga vid sjön</h1><img itemprop="image" src="photos/house-lake.jpg" alt="">
  <div itemprop="offers" itemscope itemtype="https://schema.org/Offer"><span itemprop="price">1&nbsp;250&nbsp;kr</span></div>
</section></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Stuga vid sjön',
      price: { amount: 1_250, currency: 'SEK' },
      address: null,
      coordinates: null,
      missing: ['address', 'coordinates', 'description', 'attributes'],
      photos: allKept(1),
    },
  },
  {
    file: 'og-only.html',
    about: 'OpenGraph with its commerce and place extensions, nothing else',
    content: `<!doctype html><html lang="en-CA"><head><meta charset="utf-8"><title>Canoe - Shop</title>
<meta property="og:type" content="product"><meta property="og:title" content="Cedar canoe, 16 ft">
<meta property="og:description" content="Hand built &amp; varnished.">
<meta property="og:image" content="photos/villa-panorama.jpg"><meta property="og:image" content="photos/castle.jpg">
<meta property="product:price:amount" content="$2,400.00"><meta property="product:condition" content="used">
<meta property="place:location:latitude" content="45.4215"><meta property="place:location:longitude" content="-75.6972">
<meta property="og:locality" content="Ottawa"><meta property="og:country-name" content="Canada">
</head><body><p>Canoe</p></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Cedar canoe, 16 ft',
      price: { amount: 2_400, currency: 'CAD' },
      address: 'Ottawa, Canada',
      coordinates: { latitude: 45.4215, longitude: -75.6972 },
      missing: [],
      photos: allKept(2),
      foundIn: { title: 'openGraph', price: 'openGraph', photos: 'openGraph', coordinates: 'openGraph' },
      attributes: { condition: 'used' },
    },
  },
  {
    file: 'og-saved-page.html',
    about: 'Saved from the web: og:url names the web, the photos were saved beside the page',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Loft</title>
<meta property="og:url" content="https://lofts.example/berlin/77"><meta property="og:title" content="Loft with terrace">
<meta property="og:image" content="photos/flat-tower.jpg"><meta property="og:price:amount" content="950000">
<meta property="og:price:currency" content="eur"></head><body></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Loft with terrace',
      price: { amount: 950_000, currency: 'EUR' },
      address: null,
      coordinates: null,
      missing: ['address', 'coordinates', 'description', 'attributes'],
      photos: allKept(1),
    },
  },
  {
    file: 'plain-meta.html',
    about: 'Twitter card, meta description and geo.position; the heading is the title',
    content: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Site name - page</title>
<meta name="description" content="A barn to convert."><meta name="geo.position" content="55.9533;-3.1883">
<meta name="geo.placename" content="Edinburgh"><meta name="twitter:image" content="photos/house-front-small.jpg">
<meta name="twitter:label1" content="Bedrooms"><meta name="twitter:data1" content="none yet"></head>
<body><h1>Stone barn</h1></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Stone barn',
      price: null,
      address: 'Edinburgh',
      coordinates: { latitude: 55.9533, longitude: -3.1883 },
      missing: ['price'],
      photos: allKept(1),
      foundIn: { title: 'meta', description: 'meta', address: 'meta', photos: 'openGraph' },
      attributes: { Bedrooms: 'none yet' },
    },
  },
  {
    file: 'mixed-merge.html',
    about: 'Each field from another place: JSON-LD before microdata before OpenGraph',
    content: `<!doctype html><html lang="es"><head><meta charset="utf-8"><title>Casa</title>
<meta property="og:title" content="Título de OpenGraph"><meta property="og:description" content="De OpenGraph.">
<meta property="og:image" content="photos/house-front.jpg"><meta property="product:price:amount" content="1">
<meta property="product:price:currency" content="EUR">
${jsonLd({ '@context': 'https://schema.org', '@type': 'House', name: 'Casa de JSON-LD', numberOfRooms: 4 })}</head><body>
<div itemscope itemtype="https://schema.org/House"><span itemprop="name">Casa de microdatos</span>
<span itemprop="address">Calle Mayor 5, Toledo</span><span itemprop="numberOfRooms">9</span>
<span itemprop="petsAllowed">true</span>
<div itemprop="offers" itemscope><span itemprop="price">215.000 €</span></div></div></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Casa de JSON-LD',
      price: { amount: 215_000, currency: 'EUR' },
      address: 'Calle Mayor 5, Toledo',
      coordinates: null,
      missing: ['coordinates'],
      photos: allKept(1),
      foundIn: {
        title: 'jsonLd',
        price: 'microdata',
        address: 'microdata',
        description: 'openGraph',
        photos: 'openGraph',
        attributes: 'jsonLd',
      },
      attributes: { numberOfRooms: '4', petsAllowed: 'yes' },
    },
  },
  {
    file: 'price-on-request.html',
    about: 'A price in words without an amount',
    content: `<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Hof</title></head><body>
<div itemscope itemtype="https://schema.org/Product"><h1 itemprop="name">Bauernhof</h1>
<img itemprop="image" src="photos/cabin.png" alt="">
<div itemprop="offers" itemscope itemtype="https://schema.org/Offer"><span itemprop="price">Preis auf Anfrage</span></div>
</div></body></html>`,
    expect: {
      outcome: 'completed',
      title: 'Bauernhof',
      price: null,
      address: null,
      coordinates: null,
      missing: ['price', 'address', 'coordinates', 'description', 'attributes'],
      photos: allKept(1),
      warning: 'price: noAmount',
    },
  },
];
