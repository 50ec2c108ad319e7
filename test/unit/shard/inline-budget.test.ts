import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { decodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import { configRanges, type EngineConfig } from '../../../src/core/config.ts';
import { maximumIdLength, maximumNameLength } from '../../../src/core/ids.ts';
import { inlineCheckpointBytes, inlineResultBytes } from '../../../src/core/inline-budget.ts';
import { definePipeline, type StageContext } from '../../../src/index.ts';
import { maximumStages } from '../../../src/pipeline/check-definition.ts';
import type { PipelineBuilder } from '../../../src/pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../../../src/pipeline/definition.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { loadLive } from '../../support/live-snapshots.ts';
import { aConfig, shard, taskOf } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

const mebibyte = 1024 * 1024;

/** Values whose JSON has so many bytes, or a few less. */
const values = {
  'text of one byte a character': (bytes: number) => 'x'.repeat(bytes - 2),
  'text of two bytes a character': (bytes: number) => 'ž'.repeat((bytes - 2) / 2),
  // MessagePack takes nine bytes where JSON takes four.
  'short decimals': (bytes: number) => Array.from({ length: Math.floor((bytes - 1) / 4) }, () => 0.5),
  'objects with short keys': (bytes: number) =>
    Array.from({ length: Math.floor((bytes - 1) / 10) }, () => ({ a: 0.5 })),
  // With its quotes two bytes over the limit.
  'what is kept outside': (bytes: number) => 'x'.repeat(bytes),
} as const;

/** A world with one task that carries all it may: it runs in the last of its stages, after its last checkpoint. */
async function laden(valueOf: (bytes: number) => unknown, settings: Partial<EngineConfig> = {}) {
  const config = aConfig(settings);
  const resultBytes = inlineResultBytes(config, maximumStages);
  const checkpointBytes = inlineCheckpointBytes(config);
  const names = Array.from({ length: maximumStages }, (_, index) => longName(`s${index}-`, maximumNameLength));
  const last = names.at(-1);
  let end: (value: unknown) => void = () => {};
  const run = async (ctx: StageContext): Promise<unknown> => {
    if (ctx.stage !== last) return valueOf(resultBytes);
    for (let index = 0; index < config.maxCheckpoints; index += 1) {
      await ctx.checkpoint(longName(`c${index}-`, maximumIdLength), () => valueOf(checkpointBytes));
    }
    return new Promise((resolve) => {
      end = resolve;
    });
  };
  const card = definePipeline({
    name: 'card',
    version: 1,
    input: z.any(),
    stages: (pipeline: PipelineBuilder<unknown, unknown>) => {
      let built = pipeline;
      const stage = { output: z.any(), driver: run as never, retry: { maxAttempts: 1 }, timeoutMs: 600_000 };
      for (const name of names) built = built.stage(name, stage) as typeof built;
      return built;
    },
  });
  const id = longName('t', maximumIdLength);
  const [world] = await ShardWorld.start({ pipelines: [card as PipelineDefinition], config: settings });
  await world.answer(world.submit(id, valueOf(resultBytes)));
  await world.untilState(id, `${last}.running`);
  await world.clock.advance(config.snapshotIntervalMs * 3);
  // Every command that is remembered, with the longest ids.
  for (let index = 0; index < config.dedupWindowSize; index += 1) {
    const commandId = longName(`c${index}-`, maximumIdLength) as never;
    await world.answer(world.control(index % 2 === 0 ? 'pause' : 'resume', id, commandId));
  }
  await world.clock.advance(config.snapshotIntervalMs * 3);
  return { world, card: card as PipelineDefinition, id, config, finish: () => end(valueOf(resultBytes)) };
}

function longName(start: string, length: number): string {
  return start + 'x'.repeat(length - start.length);
}

describe('the snapshot of a task that carries all it may', () => {
  const most = { maxCheckpoints: configRanges.maxCheckpoints.most, dedupWindowSize: configRanges.dedupWindowSize.most };

  it.each([
    ...Object.entries(values).map(([what, valueOf]) => [what, valueOf, {}] as const),
    ['short decimals and settings at their most', values['short decimals'], most],
    ['what is kept outside and settings at their most', values['what is kept outside'], most],
  ] as const)('R-CORE-3: is under 1 MiB with %s, and the checkpoint moves', async (_what, valueOf, settings) => {
    const { world, card, id, config, finish } = await laden(valueOf, settings);
    const { live, checkpoint } = await loadLive(world.test.snapshots, shard);
    const bytes = live.get(taskOf(id)) as Uint8Array;
    const state = decodeSnapshot(taskOf(id), bytes, new PipelineRegistry([card]));
    expect(Object.keys(state.outputs)).toHaveLength(maximumStages - 1);
    expect(Object.keys(state.checkpoints)).toHaveLength(config.maxCheckpoints);
    expect(state.commands).toHaveLength(config.dedupWindowSize);
    expect(bytes.length).toBeLessThan(mebibyte);
    const newest = await world.test.journal.readLast(shard);
    expect(checkpoint?.sequence).toBe(newest?.sequence);
    finish();
    await world.untilState(id, 'completed');
    await world.clock.advance(config.snapshotIntervalMs * 3);
    expect((await world.test.snapshots.findFinished(shard, [taskOf(id)])).size).toBe(1);
    expect(world.test.metrics.value('snapshot_failures_total')).toBe(0);
  });
});
