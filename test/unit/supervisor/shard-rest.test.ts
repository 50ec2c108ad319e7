import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import { noteTrouble, shardRestMs, troubleOf, type ShardTroubles } from '../../../src/supervisor/shard-rest.ts';

/** The longest and the shortest rest after each of so many troubles of one kind, one a second. */
function rests(kind: ShardTroubles['kind'], count: number): readonly (readonly [number, number])[] {
  let troubles: ShardTroubles | undefined;
  return Array.from({ length: count }, (_, index) => {
    troubles = noteTrouble(troubles, kind, index * 1_000);
    return [shardRestMs(troubles, 0), shardRestMs(troubles, 0.999_999)] as const;
  });
}

describe('what kept a shard from being served', () => {
  it.each([
    ['UNAVAILABLE', 'outage'],
    ['STORAGE_FULL', 'outage'],
    ['OWNERSHIP_LOST', 'outage'],
    ['RECORD_CORRUPT', 'fault'],
    ['LOG_REGRESSED', 'fault'],
    ['INTERNAL', 'fault'],
  ] as const)('%s is an %s', (code, kind) => {
    expect(troubleOf(new EngineError(code, 'm'))).toBe(kind);
  });

  it('is a fault when it is no error of the engine: a bug', () => {
    expect(troubleOf(new TypeError('m'))).toBe('fault');
  });
});

describe('the rest of a shard', () => {
  it('UNAVAILABLE: grows to 1 to 2 s and no further, however long the store is away', () => {
    expect(rests('outage', 8)).toEqual([
      [200, 100],
      [400, 200],
      [800, 400],
      [1_600, 800],
      [2_000, 1_000],
      [2_000, 1_000],
      [2_000, 1_000],
      [2_000, 1_000],
    ]);
  });

  it('RECORD_CORRUPT: grows to 10 s, for a fault of its own', () => {
    expect(rests('fault', 8).map(([longest]) => longest)).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
  });

  it('begins anew after another kind of trouble, and after a quiet minute', () => {
    let troubles: ShardTroubles | undefined;
    for (let time = 0; time < 6; time += 1) troubles = noteTrouble(troubles, 'outage', time);
    expect(noteTrouble(troubles, 'fault', 10).count).toBe(1);
    expect(noteTrouble(troubles, 'outage', 60_005).count).toBe(7);
    expect(noteTrouble(troubles, 'outage', 60_006).count).toBe(1);
  });
});
