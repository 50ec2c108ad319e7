import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryPrefix } from '../files/atomic-file.ts';
import { temporaryFolders } from '../testing/temporary-folder.ts';
import { csvCell, csvHeader, csvRowOf, type FeedCard } from './csv-row.ts';
import { FeedGenerations, keptGenerations, leftoverAgeMs } from './feed-generations.ts';
import { createFeedStore } from './feed-store.ts';

const newFolder = temporaryFolders();

function card(cardId: string, more: Partial<FeedCard> = {}): FeedCard {
  return {
    cardId,
    source: 'file:a.html',
    title: 'Title',
    price: { amount: 5, currency: 'EUR' },
    address: null,
    coordinates: { latitude: -1.5, longitude: 2 },
    description: null,
    attributes: {},
    missing: [],
    photos: [],
    publication: { publicationId: 'p-1', path: '/publications/p-1' },
    ...more,
  };
}

async function feedIds(feedDir: string): Promise<readonly string[]> {
  const text = await readFile(join(feedDir, 'feed.ndjson'), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as FeedCard).cardId);
}

describe('the feeds', { timeout: 30_000 }, () => {
  it('R-IDEM-1: hold each card once, however many stores add it at one time', async () => {
    const feedDir = await newFolder();
    // Each store is as its own process: they share nothing but the folder.
    const stores = Array.from({ length: 4 }, () => createFeedStore(feedDir));
    const ids = Array.from({ length: 25 }, (_, index) => `card-${String(index).padStart(2, '0')}`);
    await Promise.all(stores.flatMap((store) => ids.map((id) => store.addCard(card(id)))));
    expect([...(await feedIds(feedDir))].toSorted()).toEqual(ids);
    const rows = (await readFile(join(feedDir, 'feed.csv'), 'utf8')).split('\r\n');
    expect(rows).toHaveLength(ids.length + 2);
    expect(new Set(rows).size).toBe(ids.length + 2);
  });

  it('hold a card as soon as its add resolves', async () => {
    const feedDir = await newFolder();
    const store = createFeedStore(feedDir);
    await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async (id) => {
        await store.addCard(card(id));
        expect(await feedIds(feedDir)).toContain(id);
      }),
    );
  });

  it('are whole after a crash at any point: before the card, before the feeds, in between', async () => {
    const feedDir = await newFolder();
    await createFeedStore(feedDir).addCard(card('first'));
    // Died while it wrote a card, and while it wrote a generation.
    await writeFile(join(feedDir, 'cards', `${temporaryPrefix}half`), '{"cardId":"ha');
    await mkdir(join(feedDir, 'generations', `${temporaryPrefix}half`));
    await writeFile(join(feedDir, 'generations', `${temporaryPrefix}half`, 'cards.ndjson'), '{"cardId":"ha');
    // Died after the card's file and before the feeds.
    await writeFile(join(feedDir, 'cards', 'second.json'), JSON.stringify(card('second')));
    await createFeedStore(feedDir).addCard(card('third'));
    await createFeedStore(feedDir).addCard(card('second'));
    expect(await feedIds(feedDir)).toEqual(['first', 'second', 'third']);
  });

  it('sweep what a crash left, when it is old, and old generations', async () => {
    const feedDir = await newFolder();
    const store = createFeedStore(feedDir);
    await store.addCard(card('a'));
    const old = join(feedDir, 'generations', `${temporaryPrefix}old`);
    const young = join(feedDir, 'generations', `${temporaryPrefix}young`);
    await mkdir(old);
    await mkdir(young);
    const then = new Date(Date.now() - leftoverAgeMs - 1_000);
    await utimes(old, then, then);
    for (const id of ['b', 'c', 'd', 'e', 'f']) await store.addCard(card(id));
    const names = (await readdir(join(feedDir, 'generations'))).toSorted();
    expect(names.filter((name) => name.startsWith(temporaryPrefix))).toEqual([`${temporaryPrefix}young`]);
    expect(names.filter((name) => /^\d+$/.test(name))).toEqual(
      ['00000003', '00000004', '00000005', '00000006'].slice(-keptGenerations - 1),
    );
    expect(await readdir(feedDir)).toEqual(expect.not.arrayContaining([expect.stringContaining(temporaryPrefix)]));
  });

  it('are right after a writer that was frozen puts a generation into a gap', async () => {
    const feedDir = await newFolder();
    const store = createFeedStore(feedDir);
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) await store.addCard(card(id));
    // The zombie saw generation 0, and its number 1 has been swept since: its rename succeeds.
    await mkdir(join(feedDir, 'generations', '00000001'));
    await writeFile(join(feedDir, 'generations', '00000001', 'card-ids.txt'), 'zombie\n');
    await writeFile(join(feedDir, 'cards', 'zombie.json'), JSON.stringify(card('zombie')));
    await new FeedGenerations(feedDir).settle();
    expect(await feedIds(feedDir)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'zombie']);
  });

  it('refuse another card of the same id with FatalError CARD_CONFLICT', async () => {
    const feedDir = await newFolder();
    const store = createFeedStore(feedDir);
    await store.addCard(card('a'));
    await expect(store.addCard(card('a', { title: 'Other' }))).rejects.toMatchObject({ code: 'CARD_CONFLICT' });
    expect(await feedIds(feedDir)).toEqual(['a']);
  });

  it('refuse an id that is a path with FatalError PATH_OUTSIDE', async () => {
    const store = createFeedStore(await newFolder());
    await expect(store.addCard(card('../../x'))).rejects.toMatchObject({ code: 'PATH_OUTSIDE' });
  });

  it('report a folder that cannot be written with RetryableError, and go on when it can', async () => {
    const feedDir = join(await newFolder(), 'feed');
    await writeFile(feedDir, 'a file in the way');
    const store = createFeedStore(feedDir);
    await expect(store.addCard(card('a'))).rejects.toMatchObject({ code: expect.stringMatching(/ENOTDIR|EEXIST/) });
    await rm(feedDir);
    await store.addCard(card('a'));
    expect(await feedIds(feedDir)).toEqual(['a']);
  });

  it('take a photo once, and again only when it is not whole', async () => {
    const feedDir = await newFolder();
    const store = createFeedStore(feedDir);
    let reads = 0;
    const add = () =>
      store.addPhoto({ file: 'a/photo-1-320.webp', sizeBytes: 4 }, () => {
        reads += 1;
        return Promise.resolve(new TextEncoder().encode('webp'));
      });
    await add();
    await add();
    expect(reads).toBe(1);
    await writeFile(join(feedDir, 'photos/a/photo-1-320.webp'), 'we');
    await add();
    expect(reads).toBe(2);
    expect((await stat(join(feedDir, 'photos/a/photo-1-320.webp'))).size).toBe(4);
  });
});

describe('csvRowOf', () => {
  it('has a cell for each column of the header', () => {
    expect(csvHeader).toMatch(/^cardId,title,priceAmount,.*\r\n$/);
    expect(csvRowOf(card('a')).split(',')).toHaveLength(csvHeader.split(',').length);
  });

  it.each([
    ['plain', 'plain'],
    ['with, comma', '"with, comma"'],
    ['with "quotes"', '"with ""quotes"""'],
    ['two\nlines', '"two\nlines"'],
    [' padded ', '" padded "'],
    ['=1+1', "'=1+1"],
    ['+49 30', "'+49 30"],
    ['-5', "'-5"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"],
    ['  =1', "'  =1"],
    ['＝1', "'＝1"],
    ['=HYPERLINK("x","y")', `"'=HYPERLINK(""x"",""y"")"`],
    [null, ''],
    [-73.9, '-73.9'],
  ])('writes %j as %j', (cell, text) => {
    expect(csvCell(cell)).toBe(text);
  });
});
