import { PayloadStore } from './actors/payload-store.ts';
import { createClient, type Client, type SubmitOptions, type Submitted } from './client.ts';
import { resolveConfig, type EngineConfig } from './core/config.ts';
import { EngineError } from './core/errors.ts';
import { parseNodeId, type Sequence, type TaskId } from './core/ids.ts';
import {
  planPipelineTests,
  type PipelineTestCase,
  type PipelineTestDriversChoice,
  type PipelineTestOptions,
} from './model-testing/test-pipeline.ts';
import type { OutputsOf, SubmittedInputOf } from './pipeline/define-pipeline.ts';
import type { PipelineDefinition } from './pipeline/definition.ts';
import { PipelineRegistry } from './pipeline/registry.ts';
import { MemoryLogger } from './platform/memory-logger.ts';
import { MemoryMetrics } from './platform/memory-metrics.ts';
import { SeededRandom } from './platform/seeded-random.ts';
import { VirtualClock } from './platform/virtual-clock.ts';
import { MemoryBlobStore } from './store/memory-blobs.ts';
import { MemoryJournal, type MemoryJournalOptions } from './store/memory-journal.ts';
import { MemoryLeaseStore } from './store/memory-leases.ts';
import { MemorySnapshotStore } from './store/memory-snapshots.ts';
import { Engine, type EngineDeps } from './supervisor/engine.ts';
import { MemoryBus } from './transport/memory-bus.ts';
import { serveShard } from './transport/shard-service.ts';
import { metricCatalog } from './ports/metric-catalog.ts';

export type { PipelineFault } from './model-testing/path-run.ts';
export { PipelineTestError } from './model-testing/pipeline-test-error.ts';
export type {
  PipelineTestCase,
  PipelineTestDrivers,
  PipelineTestDriversChoice,
  PipelineTestOptions,
} from './model-testing/test-pipeline.ts';
export { simulate } from './simulation/simulate.ts';
export type { SimulationOptions } from './simulation/simulation-options.ts';
export type { SimulationReport } from './simulation/simulation-report.ts';
export { MemoryLogger, type LoggedLine } from './platform/memory-logger.ts';
export { MemoryMetrics } from './platform/memory-metrics.ts';
export { SeededRandom } from './platform/seeded-random.ts';
export { VirtualClock } from './platform/virtual-clock.ts';
export { MemoryBlobStore } from './store/memory-blobs.ts';
export { MemoryJournal, type JournalFault, type JournalOperation } from './store/memory-journal.ts';
export { MemoryLeaseStore } from './store/memory-leases.ts';
export { MemorySnapshotStore } from './store/memory-snapshots.ts';
export { MemoryBus } from './transport/memory-bus.ts';

/** What a {@link TestEngine} is made with. */
export interface TestEngineOptions {
  readonly pipelines: readonly PipelineDefinition[];
  /** The integrations that drivers see in `ctx.ports`. */
  readonly ports?: Readonly<Record<string, unknown>>;
  /** Engine settings over the test defaults: one shard, leases and looks at the cluster that need no renewal for an hour. */
  readonly config?: Partial<EngineConfig>;
  /** Seed of ids and pauses; the same seed gives the same run. 1 when left out. */
  readonly seed?: number;
  /** Wall clock at the start; 2026-01-01 when left out. */
  readonly startAt?: number;
  /** Faults of the journal, as a real one has them. */
  readonly journal?: Pick<MemoryJournalOptions, 'faults' | 'replicas' | 'latencyMs'>;
}

const testDefaults: Partial<EngineConfig> = {
  shardCount: 1,
  leaseTtlMs: 3_600_000,
  leaseRenewMs: 1_200_000,
  clusterPollMs: 3_600_000,
  maxResultWaitMs: 600_000,
};
/** Longest that virtual time runs for one result: a year. */
const maximumVirtualMs = 365 * 24 * 3_600_000;
/** Deadline of a call while virtual time runs for it. */
const callDeadlineMs = 600_000;
/** How long one question for a result waits. */
const pollMs = 1_800_000;

/**
 * The real engine in this process, over in-memory stores and a virtual clock: hours of backoff pass in milliseconds.
 *
 * ```ts
 * const engine = await TestEngine.start({ pipelines: [card] });
 * const { taskId } = await engine.submit(card, { url });
 * expect(await engine.result(card, taskId)).toMatchObject({ publish: { id: 'p-1' } });
 * await engine.stop();
 * ```
 */
export class TestEngine {
  readonly clock: VirtualClock;
  readonly logger = new MemoryLogger();
  readonly metrics = new MemoryMetrics();
  readonly journal: MemoryJournal;
  readonly snapshots: MemorySnapshotStore;
  readonly leases: MemoryLeaseStore;
  readonly blobs: MemoryBlobStore;
  readonly bus: MemoryBus;
  readonly config: EngineConfig;
  /** Chance of the whole world, from its seed. */
  readonly random: SeededRandom;
  /** A client of the engine. Its calls need virtual time: use {@link run}, {@link submit}, {@link result}. */
  readonly client: Client;
  readonly #options: TestEngineOptions;
  #engine: Engine | null = null;

  private constructor(options: TestEngineOptions) {
    this.#options = options;
    this.config = resolveConfig({ ...testDefaults, ...options.config });
    this.random = new SeededRandom(options.seed ?? 1);
    this.clock = new VirtualClock({ startAt: options.startAt ?? Date.UTC(2026, 0, 1) });
    const { clock, logger } = this;
    this.journal = new MemoryJournal({ clock, ...options.journal });
    this.snapshots = new MemorySnapshotStore({ clock });
    this.leases = new MemoryLeaseStore({ clock });
    this.blobs = new MemoryBlobStore({ clock });
    this.bus = new MemoryBus({ clock, logger });
    this.client = createClient({
      bus: this.bus,
      clock,
      random: this.random,
      namespace: this.config.namespace,
      shardCount: this.config.shardCount,
      journal: this.journal,
      blobs: this.blobs,
      leases: this.leases,
      deadlineMs: callDeadlineMs,
    });
  }

  /** The world of an engine, in which none runs yet: {@link restart} starts it. */
  static create(options: TestEngineOptions): TestEngine {
    return new TestEngine(options);
  }

  /** Starts an engine. @throws EngineError as a real start does */
  static async start(options: TestEngineOptions): Promise<TestEngine> {
    const test = TestEngine.create(options);
    await test.restart();
    return test;
  }

  /** The engine that runs. Null after {@link kill} or {@link stop}. */
  get engine(): Engine | null {
    return this.#engine;
  }

  /** Starts a new process of the node over the same stores, with other pipelines if they are given. */
  async restart(pipelines: readonly PipelineDefinition[] = this.#options.pipelines): Promise<void> {
    this.#engine = this.createEngine('node-1', pipelines);
    await this.run(this.#engine.start());
  }

  /**
   * Another engine over the same stores, not started: to play a second node, or a zombie.
   *
   * @param overrides - ports of its own, such as a store that fails for this node alone
   */
  createEngine(
    nodeId: string,
    pipelines: readonly PipelineDefinition[] = this.#options.pipelines,
    overrides: Partial<EngineDeps> = {},
  ): Engine {
    const { clock, logger, metrics, journal, snapshots, leases, blobs, config } = this;
    const bus = overrides.bus ?? this.bus;
    const unanswerable = metrics.counter(metricCatalog.unanswerableRequests);
    const { tracing } = overrides;
    const maximumReplyBytes = 1024 * 1024;
    const service = { bus, namespace: config.namespace, logger, unanswerable, maximumReplyBytes, tracing };
    return new Engine({
      config,
      nodeId: parseNodeId(nodeId),
      clock,
      random: this.random,
      logger,
      metrics,
      journal,
      snapshots,
      leases,
      bus,
      payloads: new PayloadStore({ blobs, config }),
      blobs,
      registry: new PipelineRegistry(pipelines),
      ports: this.#options.ports ?? {},
      serve: (shard, deliver) => serveShard(service, shard, deliver),
      projectedThrough: () => Number.MAX_SAFE_INTEGER as Sequence,
      watchesEventLoop: false,
      onFailed: () => {},
      ...overrides,
    });
  }

  /** Ends the engine as `kill -9` would: what was not committed is gone, nothing is handed over. */
  async kill(): Promise<void> {
    const engine = this.#engine;
    this.#engine = null;
    if (engine !== null) await this.run(engine.abandon());
  }

  /** Hands everything over and stops. */
  async stop(): Promise<void> {
    const engine = this.#engine;
    this.#engine = null;
    if (engine !== null) await this.run(engine.stop({ graceMs: this.config.drainGraceMs }));
  }

  /** Lets virtual time pass. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Runs virtual time, from timer to timer, until the promise settles, and gives what it gave. */
  async run<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => {}); // Its rejection is the caller's: it is awaited below.
    await this.clock.runUntil(() => settled, { maxVirtualMs: maximumVirtualMs });
    return watched;
  }

  /** Submits a task; see {@link Client.submit}. */
  submit<Definition extends PipelineDefinition>(
    pipeline: Definition,
    input: SubmittedInputOf<Definition>,
    options?: SubmitOptions,
  ): Promise<Submitted> {
    return this.run(this.client.submit(pipeline, input, options));
  }

  /**
   * Runs virtual time until the task ends, and gives its outputs.
   *
   * @throws EngineError `TASK_FAILED` with the failure in it, when the task is dead-lettered or canceled; `DEADLINE_EXCEEDED` when it
   *   has not ended within a virtual year
   */
  async result<Definition extends PipelineDefinition>(
    pipeline: Definition,
    taskId: TaskId,
  ): Promise<OutputsOf<Definition>> {
    const giveUpAt = this.clock.now() + maximumVirtualMs;
    for (;;) {
      try {
        return await this.run<OutputsOf<Definition>>(this.client.result(pipeline, taskId, { timeoutMs: pollMs }));
      } catch (error) {
        const isPending = error instanceof EngineError && error.code === 'DEADLINE_EXCEEDED';
        if (!isPending || this.clock.now() > giveUpAt) throw error;
      }
    }
  }

  /** The task as it is now; see {@link Client.get}. */
  get(taskId: TaskId): ReturnType<Client['get']> {
    return this.run(this.client.get(taskId));
  }
}

/**
 * Test cases of a pipeline, made from its machine: its paths, each under crashes before and after a commit, repeated events, late timers and
 * owners that do not know that they are none any more. Drivers that are not idempotent, break their schema, ignore their abort signal or
 * have a lookup that cannot be relied on are found.
 *
 * ```ts
 * for (const { name, run } of testPipeline(card)) it(name, run);
 * ```
 *
 * @param drivers - simulated ones when left out; `own` for the definition's; or some of the test's
 * @throws EngineError `INVALID_ARGUMENT` when no sample of an input or output can be made, or an option is out of range
 */
export function testPipeline(
  definition: PipelineDefinition,
  drivers?: PipelineTestDriversChoice,
  options?: PipelineTestOptions,
): readonly PipelineTestCase[] {
  return planPipelineTests((world) => TestEngine.create(world), definition, drivers, options);
}
