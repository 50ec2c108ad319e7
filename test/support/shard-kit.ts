import { z } from 'zod';

import { resolveConfig, type EngineConfig } from '../../src/core/config.ts';
import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { Epoch, NodeId, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import type { Commit } from '../../src/core/records.ts';
import { definePipeline, type StageContext } from '../../src/index.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Journal } from '../../src/ports/journal.ts';

/** The shard of tests with one shard. */
export const shard = 0 as ShardId;

/** Branded values for tests. */
export const epochOf = (value: number): Epoch => value as Epoch;
export const sequenceOf = (value: number): Sequence => value as Sequence;
export const taskOf = (value: string): TaskId => value as TaskId;
export const nodeOf = (value: string): NodeId => value as NodeId;

/** The defaults with some settings changed. */
export function aConfig(partial: Partial<EngineConfig> = {}): EngineConfig {
  return resolveConfig({ shardCount: 1, ...partial });
}

/** Settings of {@link aPipeline}. */
export interface PipelineSettings {
  readonly name?: string;
  readonly version?: number;
  readonly stages?: readonly string[];
  readonly maxAttempts?: number;
  readonly delayMs?: number;
  readonly timeoutMs?: number;
  readonly concurrency?: number | null;
  readonly effect?: 'idempotent' | 'atMostOnce';
  /** Gives the stage's output; `${stage}-${input}` when left out. */
  readonly run?: (ctx: StageContext) => unknown;
}

/** A pipeline of stages that take text and give any JSON. */
export function aPipeline(settings: PipelineSettings = {}): PipelineDefinition<string> {
  const { name = 'card', version = 1, stages = ['parse', 'publish'], maxAttempts = 3, delayMs = 1_000 } = settings;
  const { timeoutMs = 60_000, concurrency = null, effect = 'idempotent' } = settings;
  const run = settings.run ?? ((ctx: StageContext) => `${ctx.stage}-${String(ctx.input)}`);
  return definePipeline({
    name,
    version,
    input: z.string(),
    stages: (pipeline) => {
      let built = pipeline;
      for (const stage of stages) {
        built = built.stage(stage, {
          output: z.any(),
          driver: (ctx) => run(ctx as unknown as StageContext),
          retry: { maxAttempts, initialDelayMs: delayMs, factor: 1, maxDelayMs: delayMs, jitter: 0 },
          timeoutMs,
          concurrency,
          effect,
        });
      }
      return built;
    },
  }) as PipelineDefinition<string>;
}

/** Every commit of the shard's journal. */
export async function commitsOf(
  journal: Journal,
  ofShard: ShardId = shard,
): Promise<{ readonly sequence: Sequence; readonly commit: Commit }[]> {
  const last = await journal.readLast(ofShard);
  if (last === null) return [];
  const commits: { readonly sequence: Sequence; readonly commit: Commit }[] = [];
  for await (const entry of journal.read({ shard: ofShard, after: sequenceOf(0), through: last.sequence })) {
    commits.push({ sequence: entry.sequence, commit: decodeCommit(entry.body) });
  }
  return commits;
}
