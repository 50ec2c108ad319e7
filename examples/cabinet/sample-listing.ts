import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { samplePages } from './drawing/all-pages.ts';
import type { SampleExpectation } from './drawing/sample-page.ts';

/** One line of `samples/manifest.json`: a page and what it is expected to give. */
export interface Sample {
  readonly file: string;
  readonly about: string;
  /** What to submit as the card's source. */
  readonly source: string;
  /** Not in the repository for its size; `prepareSamples` writes it. */
  readonly isGenerated: boolean;
  readonly expect: SampleExpectation;
}

/** The folder of the committed samples. */
export const samplesDir = fileURLToPath(new URL('./samples/', import.meta.url));

/** All samples, as the manifest lists them. */
export async function listSamples(): Promise<readonly Sample[]> {
  return JSON.parse(await readFile(join(samplesDir, 'manifest.json'), 'utf8')) as readonly Sample[];
}

/** Copies the samples to a folder and adds the ones that are too big to commit; that folder is then the `pagesDir`. */
export async function prepareSamples(targetDir: string): Promise<readonly Sample[]> {
  await mkdir(targetDir, { recursive: true });
  await cp(samplesDir, targetDir, { recursive: true });
  for (const page of samplePages.filter(({ isGenerated }) => isGenerated)) {
    await writeFile(join(targetDir, page.file), page.content);
  }
  return await listSamples();
}
