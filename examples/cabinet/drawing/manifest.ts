import { samplePages } from './all-pages.ts';

/** Files that pages name as photos and that are none. */
export const otherPhotoFiles: Readonly<Record<string, string>> = {
  'not-an-image.jpg': 'This is a note, not a photo.\n',
  'drawing.svg':
    '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>\n',
};

/** The text of `samples/manifest.json`. */
export function manifestText(): string {
  const samples = samplePages.map(({ file, about, expect, isGenerated = false }) => ({
    file,
    about,
    source: `file:${file}`,
    isGenerated,
    expect,
  }));
  return `${JSON.stringify(samples, null, 2)}\n`;
}
