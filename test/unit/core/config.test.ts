import { describe, expect, it } from 'vitest';
import { configDefaults, configRanges, resolveConfig } from '../../../src/core/config.ts';

function invalidField(field: string): unknown {
  return expect.objectContaining({ code: 'CONFIG_INVALID', field });
}

const numeric = Object.entries(configRanges);

describe('resolveConfig', () => {
  it('gives the defaults when nothing is said', () => {
    expect(resolveConfig()).toEqual(configDefaults);
    expect(resolveConfig({ shardCount: undefined })).toEqual(configDefaults);
  });

  it('lays what is given over the defaults', () => {
    expect(resolveConfig({ namespace: 'prod-1', shardCount: 64, durability: 'power-loss', replicas: 3 })).toEqual({
      ...configDefaults,
      namespace: 'prod-1',
      shardCount: 64,
      durability: 'power-loss',
      replicas: 3,
    });
  });

  it('every number has a range, and the default lies in it', () => {
    const numbers = Object.entries(configDefaults).filter(([, value]) => typeof value === 'number');
    expect(numbers.map(([name]) => name).toSorted()).toEqual(numeric.map(([name]) => name).toSorted());
    for (const [name, { least, most }] of numeric) {
      const value = configDefaults[name as keyof typeof configRanges];
      expect(value).toBeGreaterThanOrEqual(least);
      expect(value).toBeLessThanOrEqual(most);
    }
  });

  it.each(numeric.map(([name, range]) => [name, range] as const))(
    'CONFIG_INVALID when %s is out of its range or no whole number',
    (name, { least, most }) => {
      for (const value of [least - 1, most + 1, least + 0.5, Number.NaN, Infinity, String(least), null]) {
        expect(() => resolveConfig({ [name]: value })).toThrow(invalidField(name));
      }
    },
  );

  it('CONFIG_INVALID tells the limit and what was got', () => {
    expect(() => resolveConfig({ shardCount: 5_000 })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: 'shardCount must be an integer from 1 to 4096',
        limit: 'an integer from 1 to 4096',
        got: '5000',
      }),
    );
  });

  it.each([[''], ['Prod'], ['1a'], ['a.b'], ['a'.repeat(33)], [7]])(
    'CONFIG_INVALID for the namespace %o',
    (namespace) => {
      expect(() => resolveConfig({ namespace })).toThrow(invalidField('namespace'));
    },
  );

  it.each([
    ['durability', { durability: 'sometimes' }],
    ['replicas', { replicas: 2 }],
    ['replicas', { replicas: 4 }],
    ['leaseTtlMs', { leaseTtlMs: 20_500 }],
    ['leaseRenewMs', { leaseTtlMs: 15_000, leaseRenewMs: 5_001 }],
    ['inlinePayloadBytes', { inlinePayloadBytes: 64 * 1_024, maxCommitBytes: 190 * 1_024 }],
    ['breakerOpenMs', { breakerOpenMs: 501, breakerMaxOpenMs: 500 }],
    ['suspectAfterInterruptions', { suspectAfterInterruptions: 4, maxInterruptions: 3 }],
    ['suspectAfterInterruptions', { suspectAfterInterruptions: 2, maxInterruptions: 0 }],
    ['inlinePayloadBytes', { inlinePayloadBytes: 4_096, maxPayloadBytes: 2_048 }],
  ])('CONFIG_INVALID names %s for %o', (field, settings) => {
    expect(() => resolveConfig(settings)).toThrow(invalidField(field));
  });

  it('a relation between two settings may hold exactly', () => {
    expect(resolveConfig({ leaseTtlMs: 15_000, leaseRenewMs: 5_000 })).toMatchObject({ leaseRenewMs: 5_000 });
    expect(resolveConfig({ inlinePayloadBytes: 2_048, maxCommitBytes: 6_144 })).toMatchObject({
      maxCommitBytes: 6_144,
    });
    expect(resolveConfig({ breakerOpenMs: 500, breakerMaxOpenMs: 500 })).toMatchObject({ breakerMaxOpenMs: 500 });
  });

  it('a suspicion comes no later than the last interruption that is allowed, when nothing else is said', () => {
    const suspectAfter = (maxInterruptions: number): number =>
      resolveConfig({ maxInterruptions }).suspectAfterInterruptions;
    expect([0, 1, 2, 9].map(suspectAfter)).toEqual([1, 1, 2, 2]);
    expect(resolveConfig({ maxInterruptions: 3, suspectAfterInterruptions: 3 })).toMatchObject({
      suspectAfterInterruptions: 3,
    });
  });

  it('CONFIG_INVALID for a setting that does not exist, with those that do', () => {
    expect(() => resolveConfig({ shards: 4 })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        field: 'shards',
        message: 'shards is not a setting',
        limit: expect.stringContaining('shardCount') as string,
      }),
    );
  });
});
