import { allKept, jsonLd, type SamplePage } from '../sample-page.ts';

function pageOf(name: string, image: readonly string[] | undefined, head = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">${head}<title>${name}</title>
${jsonLd({
  '@context': 'https://schema.org',
  '@type': 'Product',
  name,
  image,
  offers: { '@type': 'Offer', price: 100, priceCurrency: 'EUR' },
})}</head><body></body></html>`;
}

const bare = {
  outcome: 'completed',
  price: { amount: 100, currency: 'EUR' },
  address: null,
  coordinates: null,
  missing: ['address', 'coordinates', 'description', 'attributes'],
} as const;

/** Pages that are about their photos. */
export const photoPages: readonly SamplePage[] = [
  {
    file: 'base-href.html',
    about: 'Photo addresses relative to <base href>',
    content: pageOf('Base href', ['house-front.jpg', './house-room.jpg'], '<base href="photos/">'),
    expect: { ...bare, title: 'Base href', photos: allKept(2) },
  },
  {
    file: 'rotated-photos.html',
    about: 'Photos that only EXIF turns upright, with the place where they were taken',
    content: pageOf('Rotated photos', ['photos/sideways.jpg', 'photos/upside-down.jpg']),
    expect: { ...bare, title: 'Rotated photos', photos: allKept(2) },
  },
  {
    file: 'duplicate-photos.html',
    about: 'One picture in two sizes, and one address twice',
    content: pageOf('Duplicate photos', [
      'photos/house-front-small.jpg',
      'photos/house-room.jpg',
      'photos/house-front.jpg',
      'photos/house-room.jpg',
    ]),
    expect: { ...bare, title: 'Duplicate photos', photos: { found: 3, kept: 2, duplicates: 1, rejected: [] } },
  },
  {
    file: 'no-photos.html',
    about: 'No photo at all: the photos stage is skipped',
    content: pageOf('No photos', undefined),
    expect: { ...bare, title: 'No photos', missing: [...bare.missing, 'photos'], photos: allKept(0) },
  },
  {
    file: 'photo-formats.html',
    about: 'PNG, WebP, GIF and AVIF',
    content: pageOf('Photo formats', [
      'photos/cabin.png',
      'photos/cabin.webp',
      'photos/cabin.gif',
      'photos/cabin.avif',
    ]),
    expect: { ...bare, title: 'Photo formats', photos: allKept(4) },
  },
  {
    file: 'bad-photos.html',
    about: 'Text named .jpg, a truncated JPEG, an SVG, a file that is not there, and one good photo',
    content: pageOf('Bad photos', [
      'photos/not-an-image.jpg',
      'photos/truncated.jpg',
      'photos/drawing.svg',
      'photos/not-there.jpg',
      'photos/castle.jpg',
    ]),
    expect: {
      ...bare,
      title: 'Bad photos',
      photos: {
        found: 5,
        kept: 1,
        duplicates: 0,
        rejected: ['NOT_AN_IMAGE', 'DAMAGED_IMAGE', 'NOT_AN_IMAGE', 'NOT_FOUND'],
      },
    },
  },
  {
    file: 'only-bad-photos.html',
    about: 'No photo can be read: the card goes on without',
    content: pageOf('Only bad photos', ['photos/not-an-image.jpg', 'photos/truncated.jpg']),
    expect: {
      ...bare,
      title: 'Only bad photos',
      photos: { found: 2, kept: 0, duplicates: 0, rejected: ['NOT_AN_IMAGE', 'DAMAGED_IMAGE'] },
    },
  },
  {
    file: 'photo-paths.html',
    about: 'Photo addresses that try to leave the pages folder',
    content: pageOf('Photo paths', [
      '../../../../../../etc/passwd',
      'file:///etc/passwd',
      'photos/..%2f..%2f..%2f..%2fetc%2fpasswd',
      'javascript:alert(1)',
      'data:image/gif;base64,R0lGODlhAQABAAAAACw=',
      'photos/castle.jpg',
    ]),
    expect: {
      ...bare,
      title: 'Photo paths',
      // The first two are one address inside the pages folder, where there is no such file.
      photos: { found: 3, kept: 1, duplicates: 0, rejected: ['NOT_FOUND', 'SOURCE_NOT_ALLOWED'] },
      warning: "photo: 'javascript:alert(1)' is no address of a photo",
    },
  },
];
