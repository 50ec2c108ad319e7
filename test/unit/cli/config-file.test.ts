import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../../src/cli/config-loader.ts';
import { requirePipelines } from '../../../src/cli/local-pipelines.ts';
import { choosePipeline } from '../../../src/pipeline/choose-pipeline.ts';
import { checkConfig, defineConfig } from '../../../src/config-file.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-config-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const demo = definePipeline({
  name: 'demo',
  version: 1,
  input: z.object({}),
  stages: (pipeline) =>
    pipeline.stage('only', { output: z.object({}), driver: () => ({}), retry: { maxAttempts: 1 }, timeoutMs: 1_000 }),
});

describe('a configuration', () => {
  it('with definitions is taken as it is', () => {
    const config = defineConfig({ pipelines: [demo], engine: { shardCount: 4 }, nats: { servers: ['nats://a'] } });
    expect(checkConfig(config, '/app/cabinet.config.mjs')).toEqual(config);
  });

  it('takes a definition of another copy of this package, by its shape', () => {
    expect(checkConfig({ pipelines: [{ ...demo }] }, 'c.mjs').pipelines).toHaveLength(1);
  });

  it.each<[unknown, string]>([
    [undefined, 'the default export must be an object'],
    [[demo], 'the default export must be an object'],
    [{}, 'pipelines is missing'],
    [{ pipelines: [] }, 'pipelines is empty'],
    [{ pipelines: demo }, 'pipelines must be a list of definitions'],
    [{ pipelines: [demo, { name: 'x' }] }, 'pipelines[1] is not a pipeline definition'],
    [{ pipelines: [null] }, 'pipelines[0] is not a pipeline definition'],
    [{ pipelines: [demo], pipeline: [] }, 'pipeline is not a setting'],
    [{ pipelines: [demo], engine: 5 }, 'engine must be an object'],
    [{ pipelines: [demo], ports: [] }, 'ports must be an object'],
    [{ pipelines: [demo], nats: 'nats://a' }, 'nats must be an object'],
    [{ pipelines: [demo], nats: { url: 'nats://a' } }, 'nats.url is not a setting'],
    [{ pipelines: [demo], nats: { servers: [] } }, 'nats.servers must be a URL'],
    [{ pipelines: [demo], supervisor: 4 }, 'supervisor must be an object'],
    [{ pipelines: [demo], supervisor: { nodes: 4 } }, 'supervisor.nodes is not a setting'],
    [{ pipelines: [demo], supervisor: { processes: 0 } }, 'supervisor.processes must be a whole number from 1 to 1024'],
    [
      { pipelines: [demo], supervisor: { hungAfterMs: '9' } },
      'supervisor.hungAfterMs must be a whole number from 3000',
    ],
    [{ pipelines: [demo], inspector: { url: 'x' } }, 'inspector.url is not a setting'],
    [{ pipelines: [demo], inspector: { hostedViewerUrl: 7 } }, 'inspector.hostedViewerUrl must be text'],
    [{ pipelines: [demo], admin: { tls: true } }, 'admin.tls is not a setting'],
    [{ pipelines: [demo], health: { ports: [1] } }, 'health.ports is not a setting'],
    [{ pipelines: [demo], health: { port: 65_536 } }, 'health.port must be a whole number from 0 to 65535'],
    [{ pipelines: [demo], health: { host: '' } }, 'health.host must be text that is not empty'],
    [{ pipelines: [demo], admin: { enabled: 'yes' } }, 'admin.enabled must be true or false'],
    [{ pipelines: [demo], admin: { port: 65_536 } }, 'admin.port must be a whole number from 0 to 65535'],
    [{ pipelines: [demo], admin: { host: '' } }, 'admin.host must be text'],
    [{ pipelines: [demo], admin: { allowedHosts: 'one' } }, 'admin.allowedHosts must be a list of names'],
    [{ pipelines: [demo], nodeId: '' }, 'nodeId must be text'],
  ])('CONFIG_INVALID: %#', (value, says) => {
    expect(() => checkConfig(value, 'cabinet.config.mjs')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`cabinet.config.mjs: ${says}`) as string,
      }) as Error,
    );
  });

  it('CONFIG_INVALID: a secret of the wrong type is not echoed', () => {
    const value = { pipelines: [demo], nats: { token: 987_654 } };
    expect(() => checkConfig(value, 'c.mjs')).toThrow(
      expect.objectContaining({ message: expect.stringContaining('nats.token') as string, got: 'number' }) as Error,
    );
  });
});

describe('the configuration file', () => {
  it('is none when the folder has none', async () => {
    expect(await loadConfig({ workingFolder: folder })).toBeNull();
  });

  it('is the built one before its source, and JSON holds what is no code', async () => {
    await writeFile(join(folder, 'cabinet.config.json'), '{"engine":{"shardCount":4}}');
    const json = await loadConfig({ workingFolder: folder });
    expect(json?.config).toEqual({ pipelines: [], engine: { shardCount: 4 } });
    expect(() => requirePipelines(json, folder)).toThrow('pipelines is missing');
    await writeFile(join(folder, 'cabinet.config.mjs'), 'export default { pipelines: 1 }');
    await expect(loadConfig({ workingFolder: folder })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('cabinet.config.mjs: pipelines must be a list') as string,
    });
  });

  it.each([
    ['gone.mjs', undefined, /there is no configuration file .*gone\.mjs/],
    ['throws.mjs', "throw new Error('no luck')", /throws\.mjs could not be loaded: Error: no luck/],
    ['syntax.mjs', 'export default {', /syntax\.mjs could not be loaded: /],
    ['nothing.mjs', 'export const config = {}', /nothing\.mjs: there is no default export/],
    ['bad.json', '{"engine":', /bad\.json could not be loaded: INVALID_MESSAGE: invalid JSON at byte 10/],
    ['code.json', '{"pipelines":[]}', /code\.json: pipelines cannot stand in a JSON file/],
    ['list.json', '[]', /list\.json: the file must be an object/],
  ])('CONFIG_INVALID: %s', async (file, text, says) => {
    if (text !== undefined) await writeFile(join(folder, file), text);
    await expect(loadConfig({ workingFolder: folder, file })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(says) as string,
    });
  });
});

describe('a pipeline of several', () => {
  const known = [
    { name: 'card', version: 1 },
    { name: 'card', version: 3 },
    { name: 'demo', version: 1 },
  ];

  it('is the newest version, or the one asked for', () => {
    expect(choosePipeline(known, 'card', undefined).version).toBe(3);
    expect(choosePipeline(known, 'card', 1).version).toBe(1);
  });

  it('PIPELINE_UNKNOWN and PIPELINE_VERSION_UNKNOWN tell what is known', () => {
    expect(() => choosePipeline(known, 'crad', undefined)).toThrow(
      expect.objectContaining({ code: 'PIPELINE_UNKNOWN', hint: 'known are card, demo' }) as Error,
    );
    expect(() => choosePipeline(known, 'card', 2)).toThrow(
      expect.objectContaining({ code: 'PIPELINE_VERSION_UNKNOWN', hint: 'known are 3, 1' }) as Error,
    );
  });
});
