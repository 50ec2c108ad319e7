import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import { commitFormat } from '../../../src/core/commit-codec.ts';
import { snapshotFormat } from '../../../src/actors/snapshot-codec.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { listingPipeline } from '../../support/a-task.ts';
import {
  makeGoldenFile,
  nextOf,
  replayGolden,
  restoreGolden,
  type GoldenFile,
  type GoldenTask,
} from '../../support/golden-corpus.ts';

const folder = resolve(import.meta.dirname, '../../fixtures/golden');
const files = readdirSync(folder)
  .toSorted((left, right) => left.localeCompare(right, 'en', { numeric: true }))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as GoldenFile);

function codeOf(restore: () => unknown): string {
  try {
    restore();
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe.each(files)('what $engine has stored', (file) => {
  const isReadable = file.snapshotFormat === snapshotFormat && file.commitFormat === commitFormat;

  it('is of a pipeline that has not changed since', () => {
    expect(file.fingerprint).toBe(listingPipeline.fingerprint);
    expect(file.tasks.length).toBeGreaterThan(50);
  });

  it('PIPELINE_VERSION_UNKNOWN on a node that has another version of the pipeline, PIPELINE_UNKNOWN where it has none', () => {
    const newer = new PipelineRegistry([{ ...listingPipeline, version: listingPipeline.version + 1 }]);
    const [task] = file.tasks as [GoldenTask];
    expect(codeOf(() => restoreGolden(task, newer))).toBe('PIPELINE_VERSION_UNKNOWN');
    expect(codeOf(() => restoreGolden(task, new PipelineRegistry([])))).toBe('PIPELINE_UNKNOWN');
  });

  if (!isReadable) {
    it('RECORD_CORRUPT names the format where it is another one', () => {
      for (const task of file.tasks)
        expect([task.name, codeOf(() => restoreGolden(task))]).toEqual([task.name, 'RECORD_CORRUPT']);
    });
    return;
  }

  it('R-CORE-1 R-CORE-3: goes on from every snapshot as it would have then', () => {
    for (const task of file.tasks) {
      const state = restoreGolden(task);
      expect([task.name, state.machine.value]).toEqual([task.name, task.state]);
      expect([task.name, nextOf(state, task.now)]).toEqual([task.name, task.next]);
    }
  });

  it('R-CORE-1: is replayed from the journal to what its snapshot says', () => {
    for (const task of file.tasks) expect([task.name, replayGolden(task)]).toEqual([task.name, restoreGolden(task)]);
  });
});

it('R-CORE-3: the corpus has a task in every state of the pipeline’s machine', () => {
  const states = new Set(files.flatMap(({ tasks }) => tasks.map(({ state }) => state)));
  const missing = [...listingPipeline.plan.nodes.keys()].filter((value) => !states.has(value));
  // `parse` and `photos` run again, so that their outcome is never unknown.
  expect(missing).toEqual(['new', 'parse.unknown', 'photos.unknown']);
});

it('R-CORE-1: a task that is made anew stores the bytes that the newest version has stored', () => {
  const newest = files.at(-1) as GoldenFile;
  expect(makeGoldenFile(newest.engine)).toEqual(newest);
});
