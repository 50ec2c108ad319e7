import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/cli/config-loader.ts';
import { checkConfig } from '../../../src/config-file.ts';
import { configDefaults, configRanges, resolveConfig } from '../../../src/core/config.ts';
import { readEnvironment, variableOf } from '../../../src/platform/environment.ts';
import { anyJsonValue, anyText, anyValue, expectGoodError, thrownBy } from './awkward-values.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-bad-config-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the engine’s settings', () => {
  it.each<[row: string, settings: unknown, field: string]>([
    ['91 a lease shorter than three renewals', { leaseTtlMs: 10_000, leaseRenewMs: 4_000 }, 'leaseRenewMs'],
    ['91 a lease under 2 s', { leaseTtlMs: 1_000, leaseRenewMs: 300 }, 'leaseTtlMs'],
    ['91 a lease of fractional seconds', { leaseTtlMs: 2_500, leaseRenewMs: 500 }, 'leaseTtlMs'],
    ['92 no shards', { shardCount: 0 }, 'shardCount'],
    ['92 4,097 shards', { shardCount: 4_097 }, 'shardCount'],
    ['a name that only Object has', { toString: 1 }, 'toString'],
    ['the constructor', { constructor: 1 }, 'constructor'],
    ['an own __proto__', JSON.parse('{"__proto__":{"shardCount":4}}'), '__proto__'],
    ['null for a number', { replicas: null }, 'replicas'],
    ['a number as text', { replicas: '3' }, 'replicas'],
    ['two replicas', { replicas: 2 }, 'replicas'],
    ['null for them all', null, 'config'],
    ['a list', [], 'config'],
    ['a text', 'shardCount=4', 'config'],
  ])('CONFIG_INVALID: row %s is refused with its field and the rule', async (_row, settings, field) => {
    const error = await thrownBy(() => resolveConfig(settings as Record<string, unknown>));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', field, limit: expect.stringMatching(/./) as string });
  });

  it('CONFIG_INVALID: each one is held to its type, whatever stands there', () => {
    const names = Object.keys(configDefaults);
    fc.assert(
      fc.property(fc.constantFrom(...names, 'toString', 'x'), anyValue, (name, value) => {
        let config: object;
        try {
          config = resolveConfig({ [name]: value });
        } catch (thrown) {
          expect(expectGoodError(thrown).code).toBe('CONFIG_INVALID');
          return;
        }
        expect(Object.keys(config).toSorted()).toEqual(names.toSorted());
        for (const [one, given] of Object.entries(config))
          expect([one, typeof given]).toEqual([one, one in configRanges ? 'number' : 'string']);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the environment', () => {
  const variables = [
    ...Object.keys(configDefaults).map(variableOf),
    'CABINET_ADMIN',
    'CABINET_ADMIN_PORT',
    'CABINET_ADMIN_URL',
    'CABINET_ADMIN_TOKEN',
    'CABINET_HEALTH_PORT',
    'CABINET_PROCESSES',
    'CABINET_LOG_LEVEL',
    'CABINET_LOG_FORMAT',
    'CABINET_NODE_ID',
    'NATS_URL',
  ];

  it('CONFIG_INVALID: is taken or refused with the variable, whatever text one holds', () => {
    const texts = fc.oneof(
      anyText,
      fc.constantFrom('-1', '65536', '0x10', '1e3', '١٢', '１２', '1_000', ' 5 ', 'on', 'ON', 'tcp://10.0.0.1:1'),
    );
    fc.assert(
      fc.property(fc.constantFrom(...variables), texts, (variable, text) => {
        try {
          resolveConfig(readEnvironment({ [variable]: text }).config);
        } catch (thrown) {
          const error = expectGoodError(thrown);
          expect(error.code).toBe('CONFIG_INVALID');
          expect([variable, variableOf(error.field ?? '')]).toContain(
            error.field === variable ? variable : variableOf(error.field ?? ''),
          );
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(['１２', '١٢', '1_000', '12n', '+5', '5.0', 'true', '\u00a0'.repeat(2) + 'x'])(
    'CONFIG_INVALID: %s is no number',
    async (text) => {
      expect(await thrownBy(() => readEnvironment({ CABINET_SHARD_COUNT: text }))).toMatchObject({
        code: 'CONFIG_INVALID',
        field: 'CABINET_SHARD_COUNT',
        limit: 'an integer',
      });
    },
  );
});

describe('the configuration file', () => {
  it.each<[row: string, text: string | Uint8Array, says: RegExp]>([
    ['31 a key twice', '{"engine":{},"engine":{"shardCount":4}}', /duplicate key 'engine'/],
    ['31 a setting twice', '{"engine":{"shardCount":4,"shardCount":8}}', /duplicate key 'shardCount'/],
    ['29 __proto__', '{"__proto__":{"engine":{}}}', /forbidden key '__proto__'/],
    ['32 a comment', '{"engine":{} // mine\n}', /invalid JSON at byte 13/],
    ['32 truncated', '{"engine":{"shardCount":', /invalid JSON at byte 24/],
    ['32 nothing', '', /invalid JSON at byte 0/],
    ['28 nested 100,000 deep', '['.repeat(100_000), /nested deeper than 64/],
    ['no UTF-8', Uint8Array.of(0xff, 0xfe, 0x7b), /not UTF-8/],
    ['over a mebibyte', `{"engine":{}}${' '.repeat(1_048_576)}`, /allowed are 1048576/],
    ['null', 'null', /the file must be an object/],
    ['68 an unknown part', '{"engines":{}}', /engines/],
    ['98 a way around certificates', '{"nats":{"tls":{"rejectUnauthorized":false}}}', /nats\.tls\.rejectUnauthorized/],
    ['98 a word for TLS', '{"nats":{"tls":true}}', /nats\.tls must be an object/],
    ['98 an authority that is no file', '{"nats":{"tls":{"caFile":7}}}', /nats\.tls\.caFile must be text/],
    [
      '98 a handshake that is no flag',
      '{"nats":{"tls":{"handshakeFirst":"yes"}}}',
      /handshakeFirst must be true or false/,
    ],
    ['a token of the console in a file', '{"admin":{"token":"cbt_x"}}', /admin\.token is not a setting/],
    ['a console that is no text', '{"admin":{"url":["https://a"]}}', /admin\.url must be text/],
  ])('CONFIG_INVALID: JSON of row %s is refused with the file and the place', async (_row, text, says) => {
    const file = join(folder, 'cabinet.config.json');
    await writeFile(file, text);
    const error = await thrownBy(() => loadConfig({ workingFolder: folder }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('cabinet.config.json');
    expect(error.message).toMatch(says);
  });

  it('CONFIG_INVALID: is taken or refused with the path, whatever stands in one of its parts', () => {
    const parts = ['ports', 'engine', 'nats', 'nodeId', 'supervisor', 'inspector', 'admin', 'health', 'x'];
    const settings = [
      'servers',
      'monitorUrls',
      'token',
      'tls',
      'connectTimeoutMs',
      'processes',
      'hungAfterMs',
      'hostedViewerUrl',
      'enabled',
      'port',
      'host',
      'allowedHosts',
      'tlsKeyFile',
      'metricsTokenFile',
      'url',
      'tokenFile',
      'caFile',
      'toString',
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...parts),
        fc.constantFrom(...settings),
        fc.oneof(anyJsonValue, anyValue),
        fc.boolean(),
        (part, setting, value, whole) => {
          try {
            checkConfig({ [part]: whole ? value : { [setting]: value } }, 'cabinet.config.json');
          } catch (thrown) {
            expect(expectGoodError(thrown).code).toBe('CONFIG_INVALID');
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('CONFIG_INVALID: pipelines are taken or refused, whatever they are', () => {
    fc.assert(
      fc.property(anyValue, fc.boolean(), (value, inList) => {
        try {
          checkConfig({ pipelines: inList ? [value] : value }, 'cabinet.config.mjs');
        } catch (thrown) {
          expect(expectGoodError(thrown).code).toBe('CONFIG_INVALID');
        }
      }),
      { numRuns: 500 },
    );
  });
});
