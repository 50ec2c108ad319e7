import { describe, expect, it } from 'vitest';
import { PayloadStore } from '../../../src/actors/payload-store.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { MemoryBlobStore } from '../../../src/store/memory-blobs.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';

const taskId = 't-1' as TaskId;
const inlinePayloadBytes = 256;
const maxPayloadBytes = 1_024;

function aStore(faults: () => StoreFault = () => 'none') {
  const blobs = new MemoryBlobStore({ clock: new VirtualClock(), faults });
  return {
    blobs,
    payloads: new PayloadStore({ blobs, config: { inlinePayloadBytes, maxPayloadBytes, maxCheckpoints: 16 } }),
  };
}

describe('pack', () => {
  it.each([
    ['letters', 'x', 1],
    ['two-byte characters', 'é', 2],
    ['three-byte characters', '€', 3],
    ['four-byte characters', '🎈', 4],
    ['escaped characters', '\n', 2],
  ])('counts the bytes of the JSON text, not its characters: %s', async (_what, character, bytes) => {
    const { payloads } = aStore();
    const fitting = character.repeat(Math.floor((inlinePayloadBytes - 2) / bytes));
    expect(payloads.pack(taskId, 'output', fitting)).toEqual({ json: fitting });
    const larger = fitting + character;
    const payload = await payloads.pack(taskId, 'output', larger);
    expect(payload).toMatchObject({ blob: { sizeBytes: Buffer.byteLength(JSON.stringify(larger)) } });
    expect(await payloads.unpack(payload)).toBe(larger);
  });

  it('stores a large value outside under its task, name and hash, the same on a repeat', async () => {
    const { payloads } = aStore();
    const value = { text: 'x'.repeat(500) };
    const first = await payloads.pack(taskId, 'photos.output', value);
    expect(first).toMatchObject({ blob: { key: expect.stringMatching(/^t-1\/photos\.output\/[0-9a-f]{64}$/) } });
    expect(await payloads.pack(taskId, 'photos.output', value)).toEqual(first);
    expect(await payloads.unpack(first)).toEqual(value);
  });

  it('PAYLOAD_TOO_LARGE over the maximum, with both sizes and a way out', async () => {
    const { payloads } = aStore();
    expect(await payloads.pack(taskId, 'output', 'x'.repeat(maxPayloadBytes - 2))).toHaveProperty('blob');
    expect(() => payloads.pack(taskId, 'output', 'x'.repeat(maxPayloadBytes - 1))).toThrow(
      expect.objectContaining({
        code: 'PAYLOAD_TOO_LARGE',
        field: 'output',
        limit: '1024 bytes',
        got: '1025',
        hint: expect.stringContaining('reference'),
      }),
    );
  });

  it.each([[undefined], [7n], [() => 1], [new Map()], [Number.NaN], [{ deep: [undefined] }], ['\ud800']])(
    'UNSERIALIZABLE for %o',
    (value) => {
      expect(() => aStore().payloads.pack(taskId, 'output', value)).toThrow(
        expect.objectContaining({ code: 'UNSERIALIZABLE', field: 'output' }),
      );
    },
  );

  it('R-CORE-1: copies: what its giver changes later is not changed in the record', () => {
    const value = { list: [1] };
    const payload = aStore().payloads.pack(taskId, 'output', value);
    value.list.push(2);
    expect(payload).toEqual({ json: { list: [1] } });
    expect(Object.isFrozen(value)).toBe(false);
  });

  it.each([
    ['UNAVAILABLE', 'unavailable'],
    ['STORAGE_FULL', 'full'],
  ] as const)('%s when the blob store says so', async (code, fault) => {
    const { payloads } = aStore(() => fault);
    await expect(payloads.pack(taskId, 'output', 'x'.repeat(500))).rejects.toMatchObject({ code });
  });
});

describe('unpack', () => {
  it('R-CORE-1, R-DRV-1: gives frozen values, from record and store alike: nobody changes a task in place', async () => {
    const { payloads } = aStore();
    const small = { json: { photos: [{ url: 'a' }] } }; // As the journal gives it back: not frozen yet.
    const large = await payloads.pack(taskId, 'output', { photos: [{ url: 'x'.repeat(500) }] });
    for (const payload of [small, large]) {
      const value = (await payloads.unpack(payload)) as unknown as { photos: { url: string }[] };
      expect(() => value.photos.push({ url: 'b' })).toThrow(TypeError);
      expect(() => Object.assign(value.photos[0] as object, { url: 'b' })).toThrow(TypeError);
    }
  });

  it('RECORD_CORRUPT for a blob that was changed or is missing', async () => {
    const { blobs, payloads } = aStore();
    const payload = (await payloads.pack(taskId, 'output', 'x'.repeat(500))) as { blob: { key: string } };
    blobs.corrupt(payload.blob.key, Buffer.from(JSON.stringify('y'.repeat(500))));
    await expect(payloads.unpack(payload as never)).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
    await blobs.deleteTask(taskId);
    await expect(payloads.unpack(payload as never)).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
  });

  it('of all waits only when one lies outside', async () => {
    const { payloads } = aStore();
    expect(payloads.unpackAll({ parse: { json: 1 }, photos: { json: [2] } })).toEqual({ parse: 1, photos: [2] });
    const large = await payloads.pack(taskId, 'output', 'x'.repeat(500));
    const all = payloads.unpackAll({ parse: { json: 1 }, photos: large });
    expect(all).toBeInstanceOf(Promise);
    expect(await all).toEqual({ parse: 1, photos: 'x'.repeat(500) });
  });
});
