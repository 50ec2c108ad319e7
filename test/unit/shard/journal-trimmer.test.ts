import { describe, expect, it } from 'vitest';

import { JournalTrimmer } from '../../../src/shard/journal-trimmer.ts';
import { MemoryJournal, MemoryLogger, VirtualClock } from '../../../src/testing.ts';
import type { Journal } from '../../../src/ports/journal.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { sequenceOf, shard } from '../../support/shard-kit.ts';

const hour = 3_600_000;

class World {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly journal = new MemoryJournal({ clock: this.clock });
  projected = Number.MAX_SAFE_INTEGER;

  trimmer(auditWindowMs: number, journal: Journal = this.journal): JournalTrimmer {
    return new JournalTrimmer(
      {
        journal,
        clock: this.clock,
        logger: this.logger,
        config: { auditWindowMs },
        projectedThrough: () => sequenceOf(this.projected),
      },
      shard,
    );
  }

  /** Appends one message now. */
  async append(messageId: string): Promise<void> {
    const last = await this.journal.readLast(shard);
    const appended = this.journal.append({
      shard,
      body: new Uint8Array([1]),
      expectedLast: last?.sequence ?? sequenceOf(0),
      messageId,
    });
    await this.clock.advance(0);
    await appended;
  }

  /** Sequences that are still there. */
  async kept(): Promise<number[]> {
    const sequences: number[] = [];
    const through = (await this.journal.readLast(shard))?.sequence ?? sequenceOf(0);
    for await (const { sequence } of this.journal.read({ shard, after: sequenceOf(0), through }))
      sequences.push(sequence);
    return sequences;
  }
}

async function withMessages(count: number): Promise<World> {
  const world = new World();
  for (let index = 1; index <= count; index += 1) await world.append(`m-${index}`);
  return world;
}

describe('trimming a journal', () => {
  it('removes what the checkpoint has and the audit window has no more', async () => {
    const world = await withMessages(3);
    await world.clock.advance(2 * hour);
    await world.append('young');
    const trimmer = world.trimmer(hour);
    trimmer.checkpointed(sequenceOf(4));
    await world.clock.advance(60_000);
    expect(await world.kept()).toEqual([4]);
  });

  it('R-CORE-3: keeps what is behind the checkpoint, however old', async () => {
    const world = await withMessages(4);
    await world.clock.advance(100 * hour);
    world.trimmer(hour).checkpointed(sequenceOf(2));
    await world.clock.advance(hour);
    expect(await world.kept()).toEqual([3, 4]);
  });

  it('keeps what a projection has not read, and removes it when it has', async () => {
    const world = await withMessages(4);
    world.projected = 1;
    world.trimmer(0).checkpointed(sequenceOf(4));
    await world.clock.advance(90_000);
    expect(await world.kept()).toEqual([2, 3, 4]);
    world.projected = 3;
    await world.clock.advance(120_000);
    expect(await world.kept()).toEqual([4]);
  });

  it('keeps what is within the audit window until the window is over, with no further checkpoint', async () => {
    const world = await withMessages(2);
    await world.clock.advance(hour / 2);
    await world.append('later');
    world.trimmer(hour).checkpointed(sequenceOf(3));
    await world.clock.advance(60_000);
    expect(await world.kept()).toEqual([1, 2, 3]);
    await world.clock.advance(hour / 2);
    expect(await world.kept()).toEqual([3]);
  });

  it('R-LOCK-1: never removes the last message: its sequence is the fence', async () => {
    const world = await withMessages(3);
    await world.clock.advance(100 * hour);
    world.trimmer(0).checkpointed(sequenceOf(3));
    await world.clock.advance(hour);
    expect(await world.kept()).toEqual([3]);
    await world.append('next');
    expect(await world.kept()).toEqual([3, 4]);
  });

  it('looks at most once a minute, however many checkpoints there are', async () => {
    const world = await withMessages(5);
    let reads = 0;
    const counting: Journal = Object.assign(Object.create(world.journal) as Journal, {
      maximumBodyBytes: 1,
      append: () => Promise.reject(new Error('a trimmer does not append')),
      read: (range: Parameters<Journal['read']>[0]) => {
        reads += 1;
        return world.journal.read(range);
      },
      trim: (of: typeof shard, through: ReturnType<typeof sequenceOf>) => world.journal.trim(of, through),
    });
    const trimmer = world.trimmer(0, counting);
    for (let checkpoint = 1; checkpoint <= 5; checkpoint += 1) trimmer.checkpointed(sequenceOf(checkpoint));
    await world.clock.advance(59_999);
    expect(reads).toBe(0);
    await world.clock.advance(hour);
    expect(reads).toBe(1);
    expect(await world.kept()).toEqual([5]);
  });

  it('R-FAIL-1 UNAVAILABLE: is tried again when the journal does not answer', async () => {
    const world = await withMessages(2);
    let failures = 2;
    const failing: Journal = Object.assign(Object.create(world.journal) as Journal, {
      read: (range: Parameters<Journal['read']>[0]) => world.journal.read(range),
      trim: (of: typeof shard, through: ReturnType<typeof sequenceOf>) => {
        failures -= 1;
        if (failures >= 0) return Promise.reject(new EngineError('UNAVAILABLE', 'no answer'));
        return world.journal.trim(of, through);
      },
    });
    world.trimmer(0, failing).checkpointed(sequenceOf(2));
    await world.clock.advance(120_000);
    expect(await world.kept()).toEqual([1, 2]);
    expect(world.logger.messages('warn')).toHaveLength(2);
    await world.clock.advance(60_000);
    expect(await world.kept()).toEqual([2]);
  });

  it('ends with the shard', async () => {
    const world = await withMessages(2);
    const trimmer = world.trimmer(0);
    trimmer.checkpointed(sequenceOf(2));
    trimmer.close();
    trimmer.checkpointed(sequenceOf(2));
    await world.clock.advance(hour);
    expect(await world.kept()).toEqual([1, 2]);
    expect(world.clock.pendingTimers).toBe(0);
  });
});
