import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../src/core/json.ts';
import type { ProjectionChange, ProjectionSave, ProjectionStore } from '../../src/ports/projection-store.ts';
import { expectEngineError } from '../support/nats-store-kit.ts';

/** An empty store, seen by two of its users. */
export interface ProjectionStoreUnderTest {
  readonly store: ProjectionStore;
  readonly other: ProjectionStore;
}

/** A change for tests. */
export function aChange(
  position: string,
  upserts: Readonly<Record<string, JsonValue>> = {},
  deletes: readonly string[] = [],
): ProjectionChange {
  return { position, upserts: new Map(Object.entries(upserts)), deletes };
}

/** The revision of a save that must have gone well. */
export function revisionOf(save: ProjectionSave): number {
  expect(save.kind).toBe('saved');
  return save.kind === 'saved' ? save.revision : -1;
}

/** The promises of a projection store, for each of its adapters. */
export function projectionStoreContract(name: string, open: () => Promise<ProjectionStoreUnderTest>): void {
  describe(`projection store: ${name}`, () => {
    it('a projection that was never saved is empty, with revision 0', async () => {
      const { store } = await open();
      expect(await store.load('letters')).toEqual({ position: null, revision: 0, documents: new Map() });
      expect(await store.peek('letters')).toEqual({ position: null, revision: 0 });
    });

    it('what is saved is loaded by everybody, document by document', async () => {
      const { store, other } = await open();
      const documents = { 'task-1': { at: 1, text: 'ä \u2028 "' }, Task_2: [null, true, 1.5], 'x-3': 'text' };
      const revision = revisionOf(await store.save('letters', aChange('7-1-1', documents), 0));
      const expected = { position: '7-1-1', revision, documents: new Map(Object.entries(documents)) };
      expect(await other.load('letters')).toEqual(expected);
      expect(await other.peek('letters')).toEqual({ position: '7-1-1', revision });
    });

    it('a save changes and removes what it names and leaves the rest', async () => {
      const { store } = await open();
      const first = revisionOf(await store.save('letters', aChange('1-1-1', { a: 1, b: 2, c: 3 }), 0));
      revisionOf(await store.save('letters', aChange('2-1-1', { b: 22, d: 4 }, ['a', 'never-there']), first));
      const { documents } = await store.load('letters');
      expect(Object.fromEntries(documents)).toEqual({ b: 22, c: 3, d: 4 });
    });

    it('a removed document can come again', async () => {
      const { store } = await open();
      const first = revisionOf(await store.save('letters', aChange('1-1-1', { a: 1 }), 0));
      const second = revisionOf(await store.save('letters', aChange('2-1-1', {}, ['a']), first));
      expect((await store.load('letters')).documents.size).toBe(0);
      revisionOf(await store.save('letters', aChange('3-1-1', { a: 3 }), second));
      expect((await store.load('letters')).documents).toEqual(new Map([['a', 3]]));
    });

    it('a position alone is saved too', async () => {
      const { store } = await open();
      const first = revisionOf(await store.save('letters', aChange('1-1-1'), 0));
      const second = revisionOf(await store.save('letters', aChange('2-1-1'), first));
      expect(second).toBeGreaterThan(first);
      expect(await store.load('letters')).toEqual({ position: '2-1-1', revision: second, documents: new Map() });
    });

    it('a save from an old revision is a conflict and changes nothing', async () => {
      const { store, other } = await open();
      const first = revisionOf(await store.save('letters', aChange('1-1-1', { a: 1 }), 0));
      const second = revisionOf(await other.save('letters', aChange('2-1-1', { b: 2 }), first));
      for (const stale of [0, first]) {
        expect(await store.save('letters', aChange('9-1-1', { c: 9 }, ['a']), stale)).toEqual({ kind: 'conflict' });
        expect(await store.save('letters', aChange('9-1-1'), stale)).toEqual({ kind: 'conflict' });
      }
      expect(await store.load('letters')).toEqual({
        position: '2-1-1',
        revision: second,
        documents: new Map(Object.entries({ a: 1, b: 2 })),
      });
    });

    it('of saves from one revision at the same time at most one is stored, and it is stored wholly', async () => {
      const { store, other } = await open();
      for (let round = 0; round < 5; round += 1) {
        const { revision } = await store.peek('letters');
        const saves = await Promise.all(
          [store, other, store, other].map((one, index) =>
            one.save('letters', aChange(`${round}-${index}-1`, { a: index, [`by-${index}`]: round }), revision),
          ),
        );
        const winners = saves.flatMap((save, index) => (save.kind === 'saved' ? [index] : []));
        expect(winners).toHaveLength(1);
        const [winner = -1] = winners;
        const { position, documents } = await other.load('letters');
        expect(position).toBe(`${round}-${winner}-1`);
        expect(documents.get('a')).toBe(winner);
        expect(documents.get(`by-${winner}`)).toBe(round);
      }
    });

    it('projections of other names are not touched', async () => {
      const { store } = await open();
      revisionOf(await store.save('letters', aChange('1-1-1', { a: 1 }), 0));
      revisionOf(await store.save('letters-two', aChange('5-1-1', { a: 2 }), 0));
      expect(await store.load('letters')).toMatchObject({ position: '1-1-1', documents: new Map([['a', 1]]) });
      expect(await store.load('letters-two')).toMatchObject({ position: '5-1-1', documents: new Map([['a', 2]]) });
    });

    it('some hundred documents are loaded as they were saved', async () => {
      const { store } = await open();
      const many = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`task-${index}`, { index }]));
      revisionOf(await store.save('letters', aChange('1-1-1', many), 0));
      const { documents } = await store.load('letters');
      expect(Object.fromEntries(documents)).toEqual(many);
    });

    it('PAYLOAD_TOO_LARGE names the document, and nothing of the save is written', async () => {
      const { store } = await open();
      const tooLarge = 'x'.repeat(store.maximumDocumentBytes);
      const error = await expectEngineError(
        store.save('letters', aChange('1-1-1', { small: 1, large: tooLarge }), 0),
        'PAYLOAD_TOO_LARGE',
      );
      expect(error.message).toContain('large');
      expect(await store.load('letters')).toMatchObject({ revision: 0, documents: new Map() });
      const fits = 'x'.repeat(store.maximumDocumentBytes - 2);
      revisionOf(await store.save('letters', aChange('1-1-1', { fits }), 0));
      expect((await store.load('letters')).documents.get('fits')).toBe(fits);
    });

    it.each(['', 'a.b', '*', 'a b', '>', 'ü', 'k'.repeat(129)])(
      'INVALID_ARGUMENT for the document key %j, and nothing is written',
      async (key) => {
        const { store } = await open();
        await expectEngineError(store.save('letters', aChange('1-1-1', { [key]: 1 }), 0), 'INVALID_ARGUMENT');
        await expectEngineError(store.save('letters', aChange('1-1-1', {}, [key]), 0), 'INVALID_ARGUMENT');
        expect((await store.peek('letters')).revision).toBe(0);
      },
    );

    it.each(['', 'Letters', 'a.b', '*'])('INVALID_ARGUMENT for the projection name %j', async (bad) => {
      const { store } = await open();
      await expectEngineError(store.load(bad), 'INVALID_ARGUMENT');
      await expectEngineError(store.peek(bad), 'INVALID_ARGUMENT');
      await expectEngineError(store.save(bad, aChange('1-1-1'), 0), 'INVALID_ARGUMENT');
    });
  });
}
