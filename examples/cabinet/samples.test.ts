import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FatalError } from '../../src/core/driver-errors.ts';
import { createCabinetPorts } from './card-pipeline.ts';
import { parsedCardSchema, photosResultSchema } from './card.ts';
import { samplePages } from './drawing/all-pages.ts';
import { manifestText, otherPhotoFiles } from './drawing/manifest.ts';
import { parseDriver } from './parse/parse-driver.ts';
import { photosDriver } from './photos/photos-driver.ts';
import { listSamples, prepareSamples, samplesDir } from './sample-listing.ts';
import { stageContext } from './testing/stage-context.ts';

const samples = await listSamples();
let directory: string;
let ports: ReturnType<typeof createCabinetPorts>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cabinet-samples-'));
  await prepareSamples(join(directory, 'pages'));
  ports = createCabinetPorts({
    pagesDir: join(directory, 'pages'),
    workDir: join(directory, 'work'),
    feedDir: join(directory, 'feed'),
    boardUrl: 'http://127.0.0.1:9',
  });
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('sample pages', () => {
  it.each(samples)(
    '$file gives what the manifest says: $about',
    { timeout: 30_000 },
    async ({ file, source, expect: expected }) => {
      const taskId = file.replaceAll('.', '-');
      const parsing = Promise.resolve(
        parseDriver.execute(stageContext({ taskId, input: { source }, outputs: {}, ports }).ctx),
      );
      if (expected.outcome === 'deadLettered') {
        await expect(parsing).rejects.toSatisfy((error) => error instanceof FatalError && error.code === expected.code);
        return;
      }
      const card = await parsing;
      expect(parsedCardSchema.parse(JSON.parse(JSON.stringify(card)))).toEqual(card);
      expect({
        title: card.title,
        price: card.price,
        address: card.address,
        coordinates: card.coordinates,
        missing: card.missing,
      }).toEqual({
        title: expected.title,
        price: expected.price,
        address: expected.address,
        coordinates: expected.coordinates,
        missing: expected.missing,
      });
      expect(card.foundIn).toMatchObject(expected.foundIn ?? {});
      expect(card.attributes).toMatchObject(expected.attributes ?? {});
      if (expected.charset !== undefined) expect(card.charset.name).toBe(expected.charset);
      if (expected.warning !== undefined) expect(card.warnings.join('\n')).toContain(expected.warning);

      const photos = await photosDriver.execute(
        stageContext({ stage: 'photos', taskId, input: { source }, outputs: { parse: card }, ports }).ctx,
      );
      expect(photosResultSchema.parse(photos)).toEqual(photos);
      expect({
        found: card.photos.length,
        kept: photos.kept.length,
        duplicates: photos.duplicates.length,
        rejected: photos.rejected.map(({ code }) => code),
      }).toEqual(expected.photos);
    },
  );

  it('are the files that make-samples.ts writes', async () => {
    expect(await readFile(join(samplesDir, 'manifest.json'), 'utf8')).toBe(manifestText());
    for (const { file, content, isGenerated } of samplePages) {
      if (isGenerated === true) continue;
      const written = await readFile(join(samplesDir, file));
      expect(written.equals(typeof content === 'string' ? Buffer.from(content) : content), file).toBe(true);
    }
    for (const [file, content] of Object.entries(otherPhotoFiles)) {
      expect(await readFile(join(samplesDir, 'photos', file), 'utf8')).toBe(content);
    }
  });

  it('are at least 24, and hold dead letters of each kind', () => {
    const codes = new Set(
      samples.map((sample) => (sample.expect.outcome === 'deadLettered' ? sample.expect.code : '')),
    );
    expect(samples.length).toBeGreaterThanOrEqual(24);
    expect([...codes]).toEqual(
      expect.arrayContaining(['NOT_HTML', 'NO_LISTING', 'PAGE_TOO_LARGE', 'PAGE_TOO_COMPLEX']),
    );
  });
});
