import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import { PayloadStore } from '../../src/actors/payload-store.ts';
import { StageRun, type StageJob, type StageRunnerDeps } from '../../src/actors/stage-runner.ts';
import type { BreakerOutcome } from '../../src/core/circuit-breaker.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import type { Outcome } from '../../src/core/messages.ts';
import type { Payload } from '../../src/core/records.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import { definePipeline, type StageOptions } from '../../src/pipeline/define-pipeline.ts';
import type { AnyDriver, StageContext } from '../../src/ports/driver.ts';
import { MemoryBlobStore } from '../../src/store/memory-blobs.ts';
import type { StoreFault } from '../../src/store/store-fault.ts';
import { stageOf } from './a-task.ts';

type Options = StageOptions<unknown, unknown, StandardSchemaV1>;

/** What a test may set of a run. */
export interface RunSettings {
  /** The stage `photos`, the second of three; timeout 1,000 ms when left out. */
  readonly stage?: Partial<Omit<Options, 'driver'>>;
  /** The skip of the stage after it. */
  readonly skipNext?: Options['skip'];
  readonly input?: Payload;
  readonly outputs?: Readonly<Record<string, Payload>>;
  readonly checkpoints?: Readonly<Record<string, Payload>>;
  readonly attempt?: number;
  readonly ports?: Readonly<Record<string, unknown>>;
  readonly maxCheckpoints?: number;
  /** The blob store of another run; one of its own when left out. */
  readonly blobs?: MemoryBlobStore;
  /** Asked for each operation of its own blob store. */
  readonly faults?: () => StoreFault;
}

/** The sizes at which payloads leave the record and are refused. */
export const payloadLimits = { inlinePayloadBytes: 1_024, maxPayloadBytes: 4_096, maxCheckpoints: 16 };
/** How long a driver may take to stop. */
export const abortGraceMs = 500;

/** One attempt of stage `photos` of task `t-1`, with everything around it in memory and in virtual time. */
export class RunInTest {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly outcomes: Outcome[] = [];
  readonly ends: ('settled' | 'abandoned')[] = [];
  /** What each end says of the integration. */
  readonly integrations: BreakerOutcome[] = [];
  readonly blobs: MemoryBlobStore;
  readonly deps: StageRunnerDeps;
  readonly job: StageJob;
  /** Whether checkpoints are committed as soon as they come. */
  commitsCheckpoints = true;
  #run: StageRun | null = null;

  constructor(driver: AnyDriver, settings: RunSettings) {
    const { faults = () => 'none' } = settings;
    this.blobs = settings.blobs ?? new MemoryBlobStore({ clock: this.clock, faults });
    this.deps = {
      clock: this.clock,
      logger: this.logger,
      payloads: new PayloadStore({ blobs: this.blobs, config: payloadLimits }),
      namespace: 'cabinet',
      ports: settings.ports ?? {},
      config: { abortGraceMs, maxCheckpoints: settings.maxCheckpoints ?? 3 },
    };
    const definition = definePhotos(driver, settings);
    this.job = {
      taskId: 't-1' as TaskId,
      definition,
      spec: definition.stage(stageOf('photos')),
      attempt: settings.attempt ?? 1,
      input: settings.input ?? { json: { url: 'a' } },
      outputs: settings.outputs ?? { parse: { json: 'parsed' } },
      checkpoints: settings.checkpoints ?? {},
      fence: { shard: 3 as ShardId, epoch: 5 as Epoch, sequence: 70 as Sequence },
    };
  }

  start(): this {
    this.#run = StageRun.start(this.job, this.deps, {
      onOutcome: (outcome) => {
        this.outcomes.push(outcome);
        if (outcome.type === 'checkpoint.reached' && this.commitsCheckpoints) {
          this.run.checkpointCommitted(outcome.name);
        }
      },
      onEnd: (end, integration) => {
        this.ends.push(end);
        this.integrations.push(integration);
      },
    });
    return this;
  }

  /** Starts and lets everything happen that takes no time. */
  async started(): Promise<this> {
    this.start();
    await this.clock.advance(0);
    return this;
  }

  get run(): StageRun {
    if (this.#run === null) throw new Error('the run was not started');
    return this.#run;
  }

  /** The one `stage.settled` result. */
  get result(): Extract<Outcome, { type: 'stage.settled' }>['result'] {
    const settled = this.outcomes.filter((outcome) => outcome.type === 'stage.settled');
    if (settled.length !== 1 || settled[0] === undefined) throw new Error(`settled ${settled.length} times`);
    return settled[0].result;
  }

  /** The names of the checkpoints that the run has asked to commit. */
  get checkpointNames(): string[] {
    return this.outcomes.flatMap((outcome) => (outcome.type === 'checkpoint.reached' ? [outcome.name] : []));
  }
}

/** A run of this driver, not started. */
export function aRun(driver: ((ctx: StageContext) => unknown) | AnyDriver, settings: RunSettings = {}): RunInTest {
  return new RunInTest(typeof driver === 'function' ? { execute: driver } : driver, settings);
}

function definePhotos(driver: AnyDriver, { stage = {}, skipNext = null }: RunSettings) {
  const plain = { output: z.unknown(), driver: () => null, retry: { maxAttempts: 1 }, timeoutMs: 1_000 };
  const photos = { ...plain, retry: { maxAttempts: 3, initialDelayMs: 100, factor: 2, jitter: 0 }, ...stage, driver };
  return definePipeline({
    name: 'listing',
    version: 1,
    input: z.unknown(),
    stages: (pipeline) =>
      pipeline
        .stage('parse', plain)
        .stage('photos', photos as unknown as Options)
        .stage('publish', { ...plain, skip: skipNext })
        .stage('announce', plain),
  });
}
