import {
  parsePipelineName,
  parseStageName,
  parseTaskId,
  type Epoch,
  type Sequence,
  type ShardId,
} from '../../../src/core/ids.ts';
import type { StageContext } from '../../../src/ports/driver.ts';
import type { Logger } from '../../../src/ports/logger.ts';

/** What a test says of a stage's context; the rest has quiet defaults. */
export interface StageContextOptions<Input, Outputs> {
  readonly input: Input;
  readonly outputs: Outputs;
  readonly ports: Readonly<Record<string, unknown>>;
  readonly stage?: string;
  readonly taskId?: string;
  readonly attempt?: number;
  readonly idempotencyKey?: string;
  readonly fence?: { readonly shard: number; readonly epoch: number; readonly sequence: number };
  readonly signal?: AbortSignal;
  /** Committed checkpoints. Give the same map to two contexts and the second is a later attempt. */
  readonly checkpoints?: Map<string, string>;
}

/** A context as the engine gives it to a driver, with what the driver did to it. */
export interface RecordedContext<Input, Outputs> {
  readonly ctx: StageContext<Input, Outputs>;
  readonly heartbeats: () => number;
  /** Names of the checkpoints whose functions ran in this attempt. */
  readonly ran: readonly string[];
}

/** A stage's context made by hand. Checkpoints go through JSON, as in the engine. */
export function stageContext<Input, Outputs>(
  options: StageContextOptions<Input, Outputs>,
): RecordedContext<Input, Outputs> {
  const { taskId = 'card-1', stage = 'parse', checkpoints = new Map<string, string>() } = options;
  const fence = options.fence ?? { shard: 0, epoch: 1, sequence: 1 };
  let heartbeats = 0;
  const ran: string[] = [];
  const ctx: StageContext<Input, Outputs> = {
    taskId: parseTaskId(taskId),
    pipeline: parsePipelineName('card'),
    stage: parseStageName(stage),
    attempt: options.attempt ?? 1,
    input: options.input,
    outputs: options.outputs,
    idempotencyKey: options.idempotencyKey ?? `${taskId}:${stage}`,
    fence: {
      shard: fence.shard as ShardId,
      epoch: fence.epoch as Epoch,
      sequence: fence.sequence as Sequence,
    },
    signal: options.signal ?? new AbortController().signal,
    heartbeat() {
      heartbeats += 1;
    },
    async checkpoint<Value>(name: string, fn: () => Promise<Value> | Value): Promise<Value> {
      const committed = checkpoints.get(name);
      if (committed !== undefined) return JSON.parse(committed) as Value;
      ran.push(name);
      const value = await fn();
      checkpoints.set(name, JSON.stringify(value));
      return value;
    },
    log: silentLogger,
    ports: options.ports,
  };
  return { ctx, heartbeats: () => heartbeats, ran };
}

const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
