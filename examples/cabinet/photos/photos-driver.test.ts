import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { createCabinetPorts } from '../card-pipeline.ts';
import type { ParsedCard } from '../card.ts';
import { sceneOf, type SceneKind } from '../drawing/scenes.ts';
import { samplesDir } from '../sample-listing.ts';
import { answeringServers } from '../testing/answering-server.ts';
import { stageContext } from '../testing/stage-context.ts';
import { temporaryFolders } from '../testing/temporary-folder.ts';
import { hammingDistance } from './difference-hash.ts';
import { nearDuplicateBits } from './near-duplicates.ts';
import { makeRenditions, maximumPixels, targetWidths } from './photo-renditions.ts';
import { photosDriver } from './photos-driver.ts';

const newFolder = temporaryFolders();
const startServer = answeringServers();
const samplePhoto = (file: string) => readFile(join(samplesDir, 'photos', file));

function cardWith(photos: readonly string[]): ParsedCard {
  return {
    source: 'file:page.html',
    title: 'A card',
    price: null,
    address: null,
    coordinates: null,
    description: null,
    attributes: {},
    photos: [...photos],
    missing: [],
    foundIn: {},
    charset: { name: 'utf-8', from: 'meta' },
    warnings: [],
  };
}

async function setUp(photos: readonly string[]) {
  const workDir = await newFolder();
  const pagesDir = await newFolder();
  const ports = createCabinetPorts({
    pagesDir,
    workDir,
    feedDir: await newFolder(),
    boardUrl: 'http://127.0.0.1:1',
    allowPrivateHosts: true,
  });
  const checkpoints = new Map<string, string>();
  const attempt = (number: number, signal?: AbortSignal) =>
    stageContext({
      stage: 'photos',
      attempt: number,
      input: { source: 'file:page.html' },
      outputs: { parse: cardWith(photos) },
      ports,
      checkpoints,
      ...(signal === undefined ? {} : { signal }),
    });
  return { workDir, pagesDir, checkpoints, attempt };
}

describe('makeRenditions', { timeout: 30_000 }, () => {
  it('turns a photo upright by its EXIF orientation', async () => {
    // Stored on its side; the scene drawn anew is what it must look like.
    const stored = await sharp(await samplePhoto('sideways.jpg')).metadata();
    expect(stored).toMatchObject({ width: 750, height: 1_000, orientation: 6 });
    const made = await makeRenditions(await samplePhoto('sideways.jpg'));
    if (made.kind !== 'photo') throw new Error(made.reason);
    expect([made.width, made.height]).toEqual([1_000, 750]);
    const upright = await sharp(Buffer.from(sceneOf('house', 59)))
      .resize(320, 240)
      .flatten()
      .removeAlpha()
      .raw()
      .toBuffer();
    const rendition = await sharp(made.renditions[0]?.bytes).resize(320, 240).removeAlpha().raw().toBuffer();
    const difference = rendition.reduce((sum, level, index) => sum + Math.abs(level - (upright[index] ?? 0)), 0);
    expect(difference / rendition.length).toBeLessThan(6);
  });

  it('leaves no metadata: no place, no owner, no orientation', async () => {
    const original = await sharp(await samplePhoto('sideways.jpg')).metadata();
    expect(original.exif?.includes('A private person')).toBe(true);
    const made = await makeRenditions(await samplePhoto('sideways.jpg'));
    if (made.kind !== 'photo') throw new Error(made.reason);
    for (const { bytes } of made.renditions) {
      const { format, exif, icc, xmp, iptc, orientation } = await sharp(bytes).metadata();
      expect({ format, exif, icc, xmp, iptc, orientation }).toEqual({ format: 'webp' });
      expect(Buffer.from(bytes).includes('A private person')).toBe(false);
    }
  });

  it('makes three widths and never enlarges', async () => {
    expect(targetWidths(2_000)).toEqual([320, 800, 1_600]);
    expect(targetWidths(1_600)).toEqual([320, 800, 1_600]);
    expect(targetWidths(500)).toEqual([320, 500]);
    expect(targetWidths(100)).toEqual([100]);
    const made = await makeRenditions(await samplePhoto('villa-panorama.jpg'));
    expect(made.kind === 'photo' && made.renditions.map(({ width, height }) => [width, height])).toEqual([
      [320, 240],
      [800, 600],
      [1_600, 1_200],
    ]);
  });

  it('gives nearly the same hash for another size and compression, and another for another picture', async () => {
    const hashes = new Map<string, string>();
    const draw = async (kind: SceneKind, width: number, quality: number) => {
      const picture = sharp(Buffer.from(sceneOf(kind, 3)), { density: 216 }).resize(width);
      const made = await makeRenditions(await picture.jpeg({ quality }).toBuffer());
      return (made.kind === 'photo' ? made.hash : null) ?? 'none';
    };
    for (const kind of ['house', 'room', 'car', 'tower', 'lake'] as const) {
      const hash = await draw(kind, 1_200, 90);
      expect(hammingDistance(hash, await draw(kind, 300, 50)), kind).toBeLessThanOrEqual(nearDuplicateBits);
      for (const [other, known] of hashes) {
        expect(hammingDistance(hash, known), `${kind} and ${other}`).toBeGreaterThan(nearDuplicateBits);
      }
      hashes.set(kind, hash);
    }
  });

  it.each([
    ['not-an-image.jpg', 'NOT_AN_IMAGE'],
    ['drawing.svg', 'NOT_AN_IMAGE'],
    ['truncated.jpg', 'DAMAGED_IMAGE'],
  ])('finds %s unreadable: %s', async (file, code) => {
    expect(await makeRenditions(await samplePhoto(file))).toMatchObject({ kind: 'unreadable', code });
  });

  it('finds a picture with too many pixels unreadable before it unpacks it', async () => {
    const side = Math.ceil(Math.sqrt(maximumPixels)) + 100;
    const bomb = await sharp({ create: { width: side, height: side, channels: 3, background: '#fff' } })
      .png()
      .toBuffer();
    expect(await makeRenditions(bomb)).toMatchObject({ kind: 'unreadable', code: 'TOO_MANY_PIXELS' });
  });
});

describe('photosDriver', { timeout: 30_000 }, () => {
  it('R-IDEM-1: takes committed photos from their checkpoints on a second attempt, and reads only the rest', async () => {
    const house = await samplePhoto('house-front.jpg');
    const room = await samplePhoto('house-room.jpg');
    const asked: string[] = [];
    let isDown = true;
    const url = await startServer((incoming, response) => {
      asked.push(incoming.url ?? '');
      if (incoming.url === '/2' && isDown) response.writeHead(503).end();
      else response.end(incoming.url === '/1' ? house : room);
    });
    const { attempt, workDir } = await setUp([`${url}/1`, `${url}/2`]);
    const first = attempt(1);
    await expect(photosDriver.execute(first.ctx)).rejects.toMatchObject({ name: 'RetryableError', code: 'HTTP_503' });
    expect(first.ran).toEqual(['photo-1', 'photo-2']);
    isDown = false;
    const second = attempt(2);
    const result = await photosDriver.execute(second.ctx);
    expect(second.ran).toEqual(['photo-2']);
    expect(asked).toEqual(['/1', '/2', '/2']);
    expect(second.heartbeats()).toBe(2);
    expect(result.kept.map(({ number }) => number)).toEqual([1, 2]);
    for (const { file, sizeBytes } of result.kept.flatMap(({ renditions }) => renditions)) {
      expect((await readFile(join(workDir, file))).byteLength).toBe(sizeBytes);
    }
  });

  it('makes the files of a committed photo again when the machine that had them is gone', async () => {
    const { attempt, pagesDir, workDir } = await setUp(['file:photos/castle.jpg']);
    await mkdir(join(pagesDir, 'photos'));
    await copyFile(join(samplesDir, 'photos/castle.jpg'), join(pagesDir, 'photos/castle.jpg'));
    const before = await photosDriver.execute(attempt(1).ctx);
    await rm(join(workDir, 'card-1'), { recursive: true });
    const again = attempt(2);
    const after = await photosDriver.execute(again.ctx);
    expect(again.ran).toEqual([]);
    expect(after).toEqual(before);
    const [rendition] = after.kept[0]?.renditions ?? [];
    expect((await readFile(join(workDir, rendition?.file ?? ''))).byteLength).toBe(rendition?.sizeBytes);
  });

  it('goes on when no photo can be read, and lists each with its reason', async () => {
    const url = await startServer((incoming, response) => {
      if (incoming.url === '/gone') response.writeHead(410).end();
      else response.end('<html>not a photo</html>');
    });
    const { attempt } = await setUp([`${url}/gone`, `${url}/page`, 'file:none.jpg']);
    const { kept, rejected } = await photosDriver.execute(attempt(1).ctx);
    expect(kept).toEqual([]);
    expect(rejected.map(({ number, code }) => [number, code])).toEqual([
      [1, 'HTTP_410'],
      [2, 'NOT_AN_IMAGE'],
      [3, 'NOT_FOUND'],
    ]);
  });

  it('fails with RateLimitedError and RetryableError when a host asks for patience or is down', async () => {
    const url = await startServer((_, response) => response.writeHead(429, { 'retry-after': '2' }).end());
    const limited = await setUp([`${url}/1`]);
    await expect(photosDriver.execute(limited.attempt(1).ctx)).rejects.toBeInstanceOf(RateLimitedError);
    const down = await setUp(['http://127.0.0.1:1/x.jpg']);
    await expect(photosDriver.execute(down.attempt(1).ctx)).rejects.toBeInstanceOf(RetryableError);
    expect(down.checkpoints.size).toBe(0);
  });

  it('stops at the signal with its reason', async () => {
    const { attempt } = await setUp(['file:a.jpg']);
    const signal = AbortSignal.abort(new Error('canceled by a person'));
    await expect(photosDriver.execute(attempt(1, signal).ctx)).rejects.toThrow('canceled by a person');
  });
});
