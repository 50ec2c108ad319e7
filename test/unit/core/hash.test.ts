import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentHash, hash32, shardOf, unitHash } from '../../../src/core/hash.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import type { JsonValue } from '../../../src/core/json.ts';

const ids = Array.from({ length: 16_000 }, (_, index) => `task-${index}` as TaskId);

describe('hash32', () => {
  it('never changes: a change moves every task to another shard', () => {
    expect(['', 'a', 'task-1', 'é💥'].map((text) => hash32(text))).toEqual([
      2872998923, 444641715, 1572795129, 3368434833,
    ]);
  });

  it('is a whole number of 32 bits for every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const hash = hash32(text);
        expect(hash).toBe(hash >>> 0);
        expect(hash32(text)).toBe(hash);
      }),
    );
  });
});

describe('shardOf', () => {
  it('spreads ids that differ in their last digits evenly over the shards', () => {
    const counts = Array.from({ length: 16 }, () => 0);
    for (const id of ids) counts[shardOf(id, 16)] = (counts[shardOf(id, 16)] ?? 0) + 1;
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1_150);
  });

  it('is a shard of the cluster, whatever its count', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 4_096 }), (id, shardCount) => {
        const shard = shardOf(id as TaskId, shardCount);
        expect(shard).toBeGreaterThanOrEqual(0);
        expect(shard).toBeLessThan(shardCount);
      }),
    );
  });
});

describe('unitHash', () => {
  it('is in [0, 1), the same for the same text, and even over many', () => {
    const units = ids.map((id) => unitHash(id));
    expect(units.every((unit) => unit >= 0 && unit < 1)).toBe(true);
    expect(units).toEqual(ids.map((id) => unitHash(id)));
    const mean = units.reduce((sum, unit) => sum + unit, 0) / units.length;
    expect(mean).toBeGreaterThan(0.48);
    expect(mean).toBeLessThan(0.52);
  });
});

describe('contentHash', () => {
  it('is the SHA-256 of the canonical JSON', () => {
    expect(contentHash({ a: 1 })).toBe('015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862');
  });

  it('is equal for equal values, whatever the order of their keys, and differs for others', () => {
    expect(contentHash({ a: 1, b: { c: 2, d: 3 } })).toBe(contentHash({ b: { d: 3, c: 2 }, a: 1 }));
    const values: JsonValue[] = [null, 0, '0', false, [], {}, [0], ['0'], { a: null }, { a: 0 }];
    expect(new Set(values.map((value) => contentHash(value))).size).toBe(values.length);
  });
});
