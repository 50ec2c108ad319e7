/**
 * Writes the sample pages, their photos and the manifest into this folder. Run it again after a change in `../drawing`:
 *
 *     npx tsx examples/cabinet/samples/make-samples.ts
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { samplePages } from '../drawing/all-pages.ts';
import { drawPhoto, photoDrawings } from '../drawing/photo-drawings.ts';
import { manifestText, otherPhotoFiles } from '../drawing/manifest.ts';
import { samplesDir } from '../sample-listing.ts';

const photosDir = join(samplesDir, 'photos');
await mkdir(photosDir, { recursive: true });
for (const page of samplePages) {
  if (page.isGenerated !== true) await writeFile(join(samplesDir, page.file), page.content);
}
for (const drawing of photoDrawings) await writeFile(join(photosDir, drawing.file), await drawPhoto(drawing));
for (const [file, content] of Object.entries(otherPhotoFiles)) await writeFile(join(photosDir, file), content);
await writeFile(join(samplesDir, 'manifest.json'), manifestText());
console.log(`${samplePages.length} pages, ${photoDrawings.length} photos`);
