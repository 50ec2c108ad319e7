import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../src/core/json.ts';
import type { Sequence, ShardId } from '../../../src/core/ids.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { ProjectionStore } from '../../../src/ports/projection-store.ts';
import {
  deadLetterProjection,
  DeadLetterProjection,
  maximumSaveTries,
  maximumUnsavedChanges,
} from '../../../src/projections/dead-letter-projection.ts';
import { applyToDeadLetters, type DeadLetters } from '../../../src/projections/dead-letters.ts';
import { MemoryProjectionStore, type ProjectionOperation } from '../../../src/store/memory-projections.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import { ArrayJournal, deadLettered, redriven, submitted } from '../../support/array-journal.ts';

interface World {
  readonly journal: ArrayJournal;
  readonly clock: VirtualClock;
  readonly logger: MemoryLogger;
  readonly store: MemoryProjectionStore;
  fault: { of: (operation: ProjectionOperation) => StoreFault };
  /** A projector as another process would have it: it shares the store and the journal, nothing else. */
  readonly projector: (store?: ProjectionStore) => DeadLetterProjection;
}

function aWorld(): World {
  const journal = new ArrayJournal();
  const clock = new VirtualClock();
  const logger = new MemoryLogger();
  const fault: World['fault'] = { of: () => 'none' };
  const store = new MemoryProjectionStore({ clock, faults: (operation) => fault.of(operation) });
  let seed = 0;
  const projector = (over: ProjectionStore = store): DeadLetterProjection =>
    new DeadLetterProjection({ journal, store: over, logger, clock, random: new SeededRandom((seed += 1)) });
  return { journal, clock, logger, store, fault, projector };
}

async function tasksOf(projection: DeadLetterProjection): Promise<string> {
  const page = await projection.list({ limit: 1_000, order: 'oldestFirst' });
  return page.deadLetters.map(({ taskId }) => taskId).join(' ');
}

/** What the whole journal says, by the pure fold. */
function truth(journal: ArrayJournal): ReadonlyMap<string, unknown> {
  return new Map(journal.entries.reduce<DeadLetters>(applyToDeadLetters, new Map()));
}

async function stored(world: World): Promise<ReadonlyMap<string, JsonValue>> {
  return (await world.store.load(deadLetterProjection)).documents;
}

describe('the dead-letter projection', () => {
  it('R-EVT-2: is pulled: it reads nothing before somebody asks, and then up to the end of the journal', async () => {
    const { journal, projector } = aWorld();
    journal.commit(0, [submitted('a'), deadLettered('a', 2)]);
    const projection = projector();
    expect(journal.reads).toBe(0);
    expect(await tasksOf(projection)).toBe('a');
    journal.commit(1, [deadLettered('b', 2)]);
    journal.commit(0, [redriven('a', 3)]);
    expect(await projection.list({ limit: 10 })).toMatchObject({ matchCount: 1, asOf: '3-1-2', next: null });
    expect(await projection.groups()).toMatchObject([{ count: 1, sample: { taskId: 'b' } }]);
  });

  it('reads each entry once: another projector goes on from what is stored', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    expect(await world.projector().catchUp()).toBe('1-1-2');
    world.journal.put(0, Buffer.from('unused')); // Cannot be read: whoever begins anew fails.
    await world.journal.trim(0 as ShardId, 1 as Sequence);
    world.journal.commit(0, [deadLettered('b', 2)]);
    await world.journal.trim(0 as ShardId, 2 as Sequence);
    expect(await tasksOf(world.projector())).toBe('a b');
  });

  it('a caught-up list outlives the trimming of its records', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    world.journal.commit(0, [submitted('b')]);
    expect(await world.projector().catchUp()).toBe('2-1-2');
    await world.journal.trim(0 as ShardId, 1 as Sequence);
    expect(await tasksOf(world.projector())).toBe('a');
    expect(world.logger.messages('warn')).toEqual([]);
  });

  it('catching up stores the position also when nothing is dead; a query then stores nothing', async () => {
    const world = aWorld();
    world.journal.commit(0, [submitted('a')]);
    expect(await tasksOf(world.projector())).toBe('');
    expect((await world.store.peek(deadLetterProjection)).position).toBeNull();
    await world.projector().catchUp();
    expect((await world.store.peek(deadLetterProjection)).position).toBe('1-1-2');
  });

  it('of an empty journal the list is empty and the position the start', async () => {
    const { projector } = aWorld();
    expect(await projector().catchUp()).toBe('0-0-0');
    expect(await projector().rebuild()).toBe('0-0-0');
    expect(await projector().list({ limit: 1 })).toEqual({ deadLetters: [], next: null, matchCount: 0, asOf: '0-0-0' });
  });

  it('rebuilt from zero it equals what was read step by step, by any number of projectors', async () => {
    const step = fc.record({
      shard: fc.nat({ max: 2 }),
      task: fc.constantFrom('a', 'b', 'c', 'd'),
      kind: fc.constantFrom('submit', 'dead', 'redrive'),
      reader: fc.constantFrom('none', 'first list', 'first catchUp', 'second list', 'second catchUp', 'fresh catchUp'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const world = aWorld();
        const readers = { first: world.projector(), second: world.projector(), fresh: world.projector() };
        for (const [index, { shard, task, kind, reader }] of steps.entries()) {
          const name = `${task}${shard}`; // A task stays in its shard.
          if (kind === 'submit') world.journal.commit(shard, [submitted(name)]);
          else if (kind === 'redrive') world.journal.commit(shard, [redriven(name, index + 1)]);
          else world.journal.commit(shard, [deadLettered(name, index + 1), submitted(`${name}x`)]);
          if (reader === 'none') continue;
          const [who, what] = reader.split(' ') as ['first' | 'second' | 'fresh', string];
          const projection = who === 'fresh' ? world.projector() : readers[who];
          if (what === 'list') expect(await tasksOf(projection)).toBe(namesOf(truth(world.journal)));
          else await projection.catchUp();
        }
        await world.projector().catchUp();
        expect(await stored(world)).toEqual(truth(world.journal));
        await world.projector().rebuild();
        expect(await stored(world)).toEqual(truth(world.journal));
      }),
      { numRuns: 100 },
    );
  });

  it('two projectors at the same time converge', async () => {
    const world = aWorld();
    for (let round = 0; round < 10; round += 1) {
      world.journal.commit(0, [deadLettered(`a-${round}`, 2)]);
      if (round % 3 === 0) world.journal.commit(0, [redriven(`a-${round}`, 3)]);
      const both = [world.projector(), world.projector(), world.projector()].map((one) => one.catchUp());
      await world.clock.advance(60_000);
      expect(new Set(await Promise.all(both)).size).toBe(1);
      expect(await stored(world)).toEqual(truth(world.journal));
    }
  });

  it('what a save that was cut off left behind is put right by the next one', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    world.journal.commit(0, [deadLettered('b', 2)]);
    await world.projector().catchUp();
    const { revision, position, documents } = await world.store.load(deadLetterProjection);
    world.journal.commit(0, [deadLettered('c', 2), redriven('a', 3)]);
    // Somebody stored `c` and removed `a`, but died before the position.
    const upserts = new Map([['c', { ...(documents.get('a') as object), taskId: 'c' } as JsonValue]]);
    await world.store.save(deadLetterProjection, { position: position ?? '', upserts, deletes: ['a'] }, revision);
    world.journal.commit(0, [redriven('c', 3)]);
    await world.projector().catchUp();
    expect(await stored(world)).toEqual(truth(world.journal));
  });

  it('a long read saves on the way, so that it is not begun anew', async () => {
    const world = aWorld();
    for (let index = 0; index <= maximumUnsavedChanges; index += 1)
      world.journal.commit(0, [deadLettered(`a-${index}`, 2)]);
    world.journal.put(0, Buffer.from('?'));
    await expect(world.projector().catchUp()).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
    expect((await world.store.peek(deadLetterProjection)).position).toBe(`${maximumUnsavedChanges}-1-2`);
  });

  it('RECORD_CORRUPT names the sequence of a journal entry that cannot be read, each time', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    world.journal.put(3, Buffer.from('?'));
    const projection = world.projector();
    for (const ask of [() => projection.list({ limit: 1 }), () => projection.catchUp(), () => projection.rebuild()]) {
      await expect(ask()).rejects.toMatchObject({
        code: 'RECORD_CORRUPT',
        message: expect.stringContaining('journal entry 2 of shard 3'),
      });
    }
  });

  it('RECORD_CORRUPT names a stored dead letter that cannot be read; a rebuild mends it', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    const broken = {
      position: '0-0-0',
      upserts: new Map<string, JsonValue>([
        ['a', 7],
        ['zz', null],
      ]),
      deletes: [],
    };
    await world.store.save(deadLetterProjection, broken, 0);
    await expect(world.projector().list({ limit: 1 })).rejects.toMatchObject({
      code: 'RECORD_CORRUPT',
      message: expect.stringContaining('dead letter of task a'),
    });
    await world.projector().rebuild();
    expect(await stored(world)).toEqual(truth(world.journal));
    expect(await tasksOf(world.projector())).toBe('a');
  });

  it('a rebuild keeps the dead letters whose records are trimmed, and no others', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('old', 2), deadLettered('back', 2)]);
    world.journal.commit(0, [deadLettered('new', 2)]);
    await world.projector().catchUp();
    await world.journal.trim(0 as ShardId, 1 as Sequence);
    const { revision, documents } = await world.store.load(deadLetterProjection);
    const invented = { ...(documents.get('new') as object), taskId: 'invented' } as JsonValue;
    const elsewhere = { ...(documents.get('old') as object), taskId: 'elsewhere', shard: 9 } as JsonValue;
    const upserts = new Map([
      ['invented', invented],
      ['elsewhere', elsewhere],
    ]);
    await world.store.save(deadLetterProjection, { position: '2-1-2', upserts, deletes: [] }, revision);
    world.journal.commit(0, [redriven('back', 3)]);
    await world.projector().rebuild();
    expect([...(await stored(world)).keys()].toSorted()).toEqual(['new', 'old']);
  });

  it('LOG_REGRESSED when the journal ends before what was read of it; a rebuild starts from what there is', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    const lost = { position: '50-1-2', upserts: new Map<string, JsonValue>(), deletes: [] };
    await world.store.save(deadLetterProjection, lost, 0);
    await expect(world.projector().catchUp()).rejects.toMatchObject({
      code: 'LOG_REGRESSED',
      message: 'the journal ends at 1, but it was read up to 50 before',
    });
    expect(await world.projector().rebuild()).toBe('1-1-2');
    expect(await tasksOf(world.projector())).toBe('a');
  });

  it('warns when the journal was trimmed before it was read', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    await world.projector().catchUp();
    world.journal.commit(0, [deadLettered('missed', 2)]);
    world.journal.commit(0, [deadLettered('b', 2)]);
    await world.journal.trim(0 as ShardId, 2 as Sequence);
    expect(await tasksOf(world.projector())).toBe('a b');
    expect(world.logger.lines).toMatchObject([{ level: 'warn', fields: { shard: 0, sequence: 2 } }]);
  });

  it.each<StoreFault>(['unavailable', 'full', 'lostAnswer'])(
    'a store that fails a save (%s) fails catching up, not an answer, and is written when it is well again',
    async (fault) => {
      const world = aWorld();
      world.journal.commit(0, [deadLettered('a', 2)]);
      const projection = world.projector();
      world.fault.of = (operation) => (operation === 'save' ? fault : 'none');
      expect(await tasksOf(projection)).toBe('a');
      expect(world.logger.messages('warn')).toHaveLength(1);
      const catchUp = projection.catchUp();
      // A save whose answer was lost is there: catching up sees that and has nothing to save.
      if (fault === 'lostAnswer') expect(await catchUp).toBe('1-1-2');
      else await expect(catchUp).rejects.toMatchObject({ code: fault === 'full' ? 'STORAGE_FULL' : 'UNAVAILABLE' });
      world.fault.of = () => 'none';
      world.journal.commit(0, [deadLettered('b', 2)]);
      const catching = projection.catchUp();
      await world.clock.advance(60_000);
      await catching;
      expect(await stored(world)).toEqual(truth(world.journal));
    },
  );

  it('UNAVAILABLE when others save all the time; an answer is given all the same', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    let saveCount = 0;
    const contended: ProjectionStore = {
      maximumDocumentBytes: 1_000,
      peek: (name) => world.store.peek(name),
      load: (name) => world.store.load(name),
      save: async () => {
        saveCount += 1;
        return { kind: 'conflict' };
      },
    };
    expect(await tasksOf(world.projector(contended))).toBe('a');
    expect(saveCount).toBe(1);
    const failing = expect(world.projector(contended).catchUp()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await world.clock.advance(600_000);
    await failing;
    expect(saveCount).toBe(1 + maximumSaveTries);
  });

  it('CANCELED when the signal aborts; the next call is not held up', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    const projection = world.projector();
    await expect(projection.catchUp(AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' });
    await expect(projection.list({ limit: 1 }, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' });
    expect(await tasksOf(projection)).toBe('a');
  });

  it('INVALID_ARGUMENT for a bad query leaves the projection as it was', async () => {
    const world = aWorld();
    world.journal.commit(0, [deadLettered('a', 2)]);
    const projection = world.projector();
    await expect(projection.list({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await tasksOf(projection)).toBe('a');
  });

  it('calls at the same time are answered one after the other, each entry taken once', async () => {
    const world = aWorld();
    for (let index = 0; index < 20; index += 1) world.journal.commit(0, [deadLettered(`a-${index}`, 2)]);
    const projection = world.projector();
    const pages = await Promise.all(Array.from({ length: 5 }, () => projection.list({ limit: 100 })));
    expect(pages.map(({ matchCount }) => matchCount)).toEqual([20, 20, 20, 20, 20]);
    expect(new Set(pages.flatMap(({ deadLetters }) => deadLetters.map(({ taskId }) => taskId))).size).toBe(20);
    expect(world.journal.reads).toBe(1);
  });
});

function namesOf(list: ReadonlyMap<string, unknown>): string {
  return [...list.entries()]
    .map(([taskId, letter]) => ({ taskId, sequence: Number((letter as { position: string }).position.split('-')[0]) }))
    .toSorted((a, b) => a.sequence - b.sequence)
    .map(({ taskId }) => taskId)
    .join(' ');
}
