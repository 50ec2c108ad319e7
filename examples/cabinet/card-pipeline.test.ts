import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StageName } from '../../src/core/ids.ts';
import { parseJsonValue } from '../../src/core/json.ts';
import { startBoardServer } from './board/board-server.ts';
import { createCabinetPorts, createCardPipeline } from './card-pipeline.ts';
import { cleanupDriver } from './cleanup/cleanup-driver.ts';
import { readCabinetResults } from './results.ts';
import { prepareSamples } from './sample-listing.ts';
import { stageContext } from './testing/stage-context.ts';
import { temporaryFolders } from './testing/temporary-folder.ts';

const newFolder = temporaryFolders();

describe('the card pipeline', () => {
  it('has the five stages in order, each with a finite policy, a timeout and an output', () => {
    const pipeline = createCardPipeline();
    expect(pipeline.stages.map(({ name }) => name)).toEqual(['parse', 'photos', 'publish', 'export', 'cleanup']);
    expect(pipeline.stages.every(({ effect }) => effect === 'idempotent')).toBe(true);
    expect(pipeline.stages.map(({ skip }) => skip?.reason ?? null)).toEqual([
      null,
      'the page has no photos',
      null,
      null,
      null,
    ]);
    expect(createCardPipeline().fingerprint).toBe(pipeline.fingerprint);
  });

  it.each(['https://a.example/x', 'file:a.html'])('accepts the source %s', async (source) => {
    expect(await createCardPipeline().input['~standard'].validate({ source })).toEqual({ value: { source } });
  });

  it.each([{}, { source: '' }, { source: 'ftp://x' }, { source: 'file:' }, { source: 'file:a', extra: 1 }, null])(
    'refuses the input %j',
    async (input) => {
      expect(await createCardPipeline().input['~standard'].validate(input)).toHaveProperty('issues');
    },
  );

  it(
    'takes every sample from page to feed, each attempt twice, with one effect each',
    { timeout: 120_000 },
    async () => {
      const folder = await newFolder();
      const [pagesDir, workDir, feedDir, dataDir] = ['pages', 'work', 'feed', 'board'].map((name) =>
        join(folder, name),
      ) as [string, string, string, string];
      const samples = await prepareSamples(pagesDir);
      const board = await startBoardServer({ dataDir });
      try {
        const ports = createCabinetPorts({ pagesDir, workDir, feedDir, boardUrl: board.url });
        const completed = samples.filter(({ expect: { outcome } }) => outcome === 'completed');
        for (const { file, source } of completed) await runTwice(file.replaceAll('.', '-'), source, ports);
        const results = await readCabinetResults({ feedDir, workDir, boardDataDir: dataDir });
        expect(results.feed).toEqual({
          ndjsonLines: completed.length,
          csvRows: completed.length,
          duplicateCards: 0,
          missingPhotos: [],
        });
        expect(results.board).toEqual({ applied: completed.length, duplicateEffects: 0, unpublishedCards: [] });
        expect(results.workFolders).toEqual([]);
        expect(await board.stats()).toMatchObject({ requests: completed.length * 2, duplicateKeys: completed.length });
      } finally {
        await board.close();
      }
    },
  );

  it('fails with FatalError PORT_MISSING on a node without ports.cabinet', async () => {
    const { ctx } = stageContext({ input: { source: 'file:a' }, outputs: {}, ports: {} });
    await expect(cleanupDriver.execute(ctx)).rejects.toMatchObject({ code: 'PORT_MISSING' });
  });
});

describe('cleanupDriver', () => {
  it('removes the files of its card only, and may run again', async () => {
    const workDir = await newFolder();
    const ports = createCabinetPorts({ pagesDir: '/none', workDir, feedDir: '/none', boardUrl: 'http://127.0.0.1:1' });
    await ports.cabinet.work.write('card-1/photo-1-320.webp', new Uint8Array([1]));
    await ports.cabinet.work.write('card-10/photo-1-320.webp', new Uint8Array([1]));
    const { ctx } = stageContext({ stage: 'cleanup', input: { source: 'file:a' }, outputs: {}, ports });
    expect(await cleanupDriver.execute(ctx)).toEqual({ removedFolder: 'card-1' });
    expect(await cleanupDriver.execute(ctx)).toEqual({ removedFolder: 'card-1' });
    expect(await readdir(workDir)).toEqual(['card-10']);
    expect((await stat(join(workDir, 'card-10/photo-1-320.webp'))).size).toBe(1);
  });
});

/** Runs a card's stages as the engine does, each twice: as when the first attempt's owner died before its result was recorded. */
async function runTwice(taskId: string, source: string, ports: ReturnType<typeof createCabinetPorts>): Promise<void> {
  const outputs: Record<string, unknown> = {};
  for (const spec of createCardPipeline().stages) {
    if (spec.skip?.when({ input: { source }, outputs }) === true) continue;
    const results = [];
    for (const attempt of [1, 2]) {
      const { ctx } = stageContext({ stage: spec.name, taskId, attempt, input: { source }, outputs, ports });
      const result = await spec.driver.execute(ctx);
      const checked = await spec.output['~standard'].validate(parseJsonValue(result, 'output'));
      expect(checked.issues, `${taskId} ${spec.name}`).toBeUndefined();
      results.push(result);
    }
    expect(results[1], `${taskId} ${spec.name}`).toEqual(results[0]);
    outputs[spec.name satisfies StageName] = results[0];
  }
}
