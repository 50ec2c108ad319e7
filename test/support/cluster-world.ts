import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import type {
  CallEvent,
  DriverOutcome,
  FaultEvent,
  HistoryEvent,
  ProcessName,
} from '../../src/checking/history-events.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import type { History } from '../../src/checking/history.ts';
import type { InvariantId } from '../../src/checking/invariant.ts';
import { checkJournal, type JournalReport } from '../../src/checking/journal-report.ts';
import { recordAppends } from '../../src/checking/recording-journal.ts';
import { recordSnapshots } from '../../src/checking/recording-snapshots.ts';
import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import { createClient, type Client } from '../../src/client.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import { EngineError } from '../../src/core/errors.ts';
import { contentHash } from '../../src/core/hash.ts';
import type { ShardId } from '../../src/core/ids.ts';
import type { JsonValue } from '../../src/core/json.ts';
import { encodeNodeMessage } from '../../src/core/node-messages.ts';
import { clusterSubject } from '../../src/core/subjects.ts';
import { FatalError, type StageContext } from '../../src/index.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import { PipelineRegistry } from '../../src/pipeline/registry.ts';
import type { Bus, BusService, RequestOutcome } from '../../src/ports/bus.ts';
import type { TimerHandle } from '../../src/ports/clock.ts';
import type { Journal } from '../../src/ports/journal.ts';
import { metricCatalog } from '../../src/ports/metric-catalog.ts';
import type { Engine, EngineDeps } from '../../src/supervisor/engine.ts';
import { TestEngine, type TestEngineOptions } from '../../src/testing.ts';
import { EffectLedger } from './effect-ledger.ts';
import { FreezableClock } from './freezable-clock.ts';
import { Gate, never, tapJournal, tapLeases, tapSnapshots, type PortTap } from './port-taps.ts';
import { aPipeline, nodeOf } from './shard-kit.ts';

/** How long each stage works. */
export const stageMs = 20;
/** Deadline of every call of the world's client: a user's patience. */
const clientDeadlineMs = 10_000;
/** How much later than its deadline an answer may come: the last try is let come to its end. */
const deadlineSlackMs = 1_000;

/** What every run of the world is there to prove. */
const provenInvariants: readonly InvariantId[] = [
  'I1',
  'I2',
  'I3',
  'I4',
  'I8',
  'I9',
  'I12',
  'I13',
  'I14',
  'I15',
  'I16',
  'I17',
  'I18',
  'I26',
  'I34',
  'I35',
  'I39',
  'I40',
  'I52',
  'A1',
  'A2',
  'A3',
];

interface DriverPorts {
  readonly world: ClusterWorld;
  readonly clock: FreezableClock;
  readonly process: () => ProcessName;
}

/** A gate that tells of the time in which it is shut as a fault. */
class NotedGate extends Gate {
  readonly #begin: () => () => void;
  #end: (() => void) | null = null;

  constructor(begin: () => () => void) {
    super();
    this.#begin = begin;
  }

  override shut(): void {
    this.#end ??= this.#begin();
    super.shut();
  }

  override open(): void {
    this.#end?.();
    this.#end = null;
    super.open();
  }
}

/** One process of a node: over ports that stand still while it is frozen. */
export class ClusterNode {
  readonly nodeId: string;
  readonly engine: Engine;
  readonly failures: string[] = [];
  status: 'running' | 'frozen' | 'killed' | 'stopped' = 'running';
  /** While set, this process has no link to the bus for what it asks. */
  isBlind = false;
  readonly #clock: FreezableClock;
  readonly #world: ClusterWorld;
  /** The epoch of each shard's last append by this process, and whether it was refused. */
  readonly #epochs = new Map<number, { readonly epoch: number; readonly isRefused: boolean }>();
  #thawed: (() => void) | null = null;

  constructor(
    world: ClusterWorld,
    nodeId: string,
    pipelines?: readonly PipelineDefinition[],
    config: Partial<EngineConfig> = {},
  ) {
    const { test } = world;
    this.#world = world;
    this.nodeId = nodeId;
    this.#clock = new FreezableClock(test.clock);
    const tap: PortTap = async (_call, make) => {
      await this.#clock.awake();
      await world.storeGate.pass();
      // What a process had not sent when it was killed is never sent.
      if (this.status === 'killed') return never();
      const result = await make();
      await world.storeGate.pass();
      await this.#clock.awake();
      return result;
    };
    const now = (): number => test.clock.now();
    const recorded = { recorder: world.recorder, node: nodeId, incarnation: () => this.incarnation, now };
    const registry = new PipelineRegistry(pipelines ?? [world.pipeline]);
    const overrides: Partial<EngineDeps> = {
      config: { ...test.config, ...config },
      clock: this.#clock,
      bus: this.#tapBus(test.bus),
      journal: this.#watchEpochs(recordAppends(tapJournal(test.journal, tap), recorded)),
      snapshots: recordSnapshots(tapSnapshots(test.snapshots, tap), recorded, registry),
      leases: tapLeases(test.leases, tap),
      ports: { world, clock: this.#clock, process: () => this.process } satisfies DriverPorts,
      onLife: ({ incarnation }) =>
        world.recorder.record({ type: 'process.started', node: nodeId, incarnation, at: now() }),
      onFailed: (error) => this.failures.push(error.code),
    };
    this.engine = test.createEngine(nodeId, pipelines, overrides);
  }

  get shards(): readonly ShardId[] {
    return this.engine.status.owned.map(({ shard }) => shard).toSorted((left, right) => left - right);
  }

  get incarnation(): string {
    return this.engine.status.incarnation;
  }

  get process(): ProcessName {
    return { node: this.nodeId, incarnation: this.incarnation };
  }

  async kill(): Promise<void> {
    this.status = 'killed';
    const at = this.#world.test.clock.now();
    const { process } = this;
    this.#world.beginFault('crash', this.nodeId)();
    for (const { shard, epoch } of this.engine.status.owned) {
      this.#world.recorder.record({ type: 'shard.closed', ...process, shard, epoch, how: 'crashed', at });
    }
    this.#world.recorder.record({ type: 'process.ended', ...process, how: 'killed', at });
    await this.engine.abandon();
  }

  freeze(): void {
    this.status = 'frozen';
    this.#thawed = this.#world.beginFault('pause', this.nodeId);
    this.#clock.freeze();
  }

  thaw(): void {
    this.status = 'running';
    this.#thawed?.();
    this.#clock.thaw();
  }

  async stop(graceMs = 10_000): Promise<void> {
    const { recorder, test } = this.#world;
    const { process } = this;
    recorder.record({ type: 'process.draining', ...process, graceMs, at: test.clock.now() });
    await this.engine.stop({ graceMs });
    this.status = 'stopped';
    recorder.record({ type: 'process.ended', ...process, how: 'drained', at: test.clock.now() });
  }

  /** What a process supervisor tells all nodes when this process has ended. */
  tellExited(): void {
    const { bus, config } = this.#world.test;
    this.#world.beginFault('crash', this.nodeId)();
    const body = encodeNodeMessage({ nodeId: nodeOf(this.nodeId), incarnation: this.incarnation });
    void bus.request(clusterSubject(config.namespace, 'exited'), body, { timeoutMs: 1 });
  }

  #tapBus(inner: Bus): Bus {
    return {
      request: async (subject, body, options): Promise<RequestOutcome> => {
        await this.#clock.awake();
        const isLost = this.#world.losesNotices && subject.endsWith('.cluster.changed');
        if (isLost) return { kind: 'timeout' };
        if (this.isBlind) return { kind: 'disconnected' };
        return this.#overBus(options.timeoutMs, () => inner.request(subject, body, options));
      },
      serve: async (subject, handler, options) => {
        const service = await inner.serve(subject, (request) => this.#clock.whenAwake(() => handler(request)), options);
        const shard = /\.shard\.(\d+)$/.exec(subject)?.[1];
        return shard === undefined ? service : this.#noteServing(Number(shard), service);
      },
    };
  }

  /** A shard is served from its subscription to the end of that. */
  #noteServing(shard: number, service: BusService): BusService {
    const { recorder, test } = this.#world;
    const epoch = this.#epochs.get(shard)?.epoch ?? 0;
    const { process } = this;
    recorder.record({ type: 'shard.opened', ...process, shard, epoch, at: test.clock.now() });
    return {
      stop: async () => {
        if (this.status !== 'killed') {
          const how = this.#epochs.get(shard)?.isRefused === true ? 'lost' : 'released';
          recorder.record({ type: 'shard.closed', ...process, shard, epoch, how, at: test.clock.now() });
        }
        await service.stop();
      },
    };
  }

  #watchEpochs(inner: Journal): Journal {
    return {
      ...inner,
      append: async (request) => {
        const epoch = Number(request.messageId.split('.')[1]);
        const outcome = await inner.append(request);
        this.#epochs.set(request.shard, { epoch, isRefused: outcome.kind === 'conflict' });
        return outcome;
      },
    };
  }

  /** A bus that stands still keeps what it was given, and gives it when it goes on: the asker may have given up by then. */
  async #overBus(timeoutMs: number, send: () => Promise<RequestOutcome>): Promise<RequestOutcome> {
    const { busGate } = this.#world;
    const answered = async (): Promise<RequestOutcome> => {
      await busGate.pass();
      const outcome = await send();
      await busGate.pass();
      return outcome;
    };
    let timer: TimerHandle | undefined;
    const timedOut = new Promise<RequestOutcome>((resolve) => {
      timer = this.#clock.setTimer(timeoutMs, () => resolve({ kind: 'timeout' }));
    });
    return Promise.race([answered(), timedOut]).finally(() => timer?.cancel());
  }
}

/** Nodes that share the shards of one cluster, in virtual time: the real engines over in-memory stores. */
export class ClusterWorld {
  readonly test: TestEngine;
  readonly ledger = new EffectLedger();
  readonly pipeline = aPipeline({ run: (ctx) => this.#drive(ctx), maxAttempts: 3 });
  readonly client: Client;
  readonly nodes: ClusterNode[] = [];
  /** What the client was told instead of a result. */
  readonly clientErrors: string[] = [];
  /** While set, no notice reaches anybody. */
  losesNotices = false;
  /** Shut: the bus between the nodes stands still. */
  readonly busGate: Gate = new NotedGate(() => this.beginFault('partition', 'bus'));
  /** Shut: journal, snapshots and leases answer no node. */
  readonly storeGate: Gate = new NotedGate(() => this.beginFault('storeSlow', 'stores'));
  /** What happens in this world, for the invariants. */
  readonly recorder: HistoryRecorder;
  readonly #newestEpochs = new Map<string, number>();
  readonly #open = new Set<Promise<void>>();
  #submitted = 0;
  #completed = 0;

  /** @param stores - seed of the world's chance, and faults of its journal */
  constructor(config: Partial<EngineConfig> = {}, stores: Pick<TestEngineOptions, 'seed' | 'journal'> = {}) {
    this.test = TestEngine.create({
      ...stores,
      pipelines: [this.pipeline],
      config: { shardCount: 12, leaseTtlMs: 20_000, leaseRenewMs: 5_000, abortGraceMs: 100, ...config },
    });
    const { bus, clock, journal, blobs } = this.test;
    const { namespace, shardCount, maxInterruptions, dedupWindowSize } = this.test.config;
    this.recorder = new HistoryRecorder({
      namespace,
      shardCount,
      parts: ['calls', 'effects', 'drivers', 'ownership', 'appends', 'faults', 'processes', 'snapshots'],
      bounds: {
        timerEarlyMs: 0,
        deadlineSlackMs,
        maxInterruptions,
        dedupWindowSize,
        effectStages: this.pipeline.stages.map(({ name }) => `${this.pipeline.name}/${name}`),
      },
    });
    this.client = createClient({
      bus,
      clock,
      random: this.test.random,
      namespace,
      shardCount,
      journal,
      blobs,
      leases: this.test.leases,
      deadlineMs: clientDeadlineMs,
    });
  }

  get running(): readonly ClusterNode[] {
    return this.nodes.filter(({ status }) => status === 'running');
  }

  get nowMs(): number {
    return this.test.clock.monotonicMs();
  }

  /** Starts a process of a node. @param config - settings of its own, such as a capacity */
  start(
    nodeId: string,
    pipelines?: readonly PipelineDefinition[],
    config?: Partial<EngineConfig>,
  ): Promise<ClusterNode> {
    return this.test.run(this.begin(nodeId, pipelines, config));
  }

  /** As {@link start}, without letting virtual time pass for it. */
  async begin(
    nodeId: string,
    pipelines?: readonly PipelineDefinition[],
    config?: Partial<EngineConfig>,
  ): Promise<ClusterNode> {
    const node = new ClusterNode(this, nodeId, pipelines, config);
    this.nodes.push(node);
    await node.engine.start();
    return node;
  }

  /** Starts nodes one after the other and waits until they share the shards. */
  async startAll(...nodeIds: readonly string[]): Promise<readonly ClusterNode[]> {
    const nodes: ClusterNode[] = [];
    for (const nodeId of nodeIds) nodes.push(await this.start(nodeId));
    await this.untilShared();
    return nodes;
  }

  advance(ms: number): Promise<void> {
    return this.test.advance(ms);
  }

  /** Runs virtual time until it holds, and tells how long that took. */
  async until(condition: () => boolean, maxVirtualMs = 120_000): Promise<number> {
    const startMs = this.nowMs;
    await this.test.clock.runUntil(condition, { maxVirtualMs });
    return this.nowMs - startMs;
  }

  /** How often each shard is served by a running process. */
  get servedCounts(): readonly number[] {
    const served = this.running.flatMap(({ shards }) => shards);
    return Array.from(
      { length: this.test.config.shardCount },
      (_, shard) => served.filter((one) => one === shard).length,
    );
  }

  get isServed(): boolean {
    return this.servedCounts.every((count) => count === 1);
  }

  /** Until every shard is served by one running node. */
  untilServed(): Promise<number> {
    return this.until(() => this.isServed);
  }

  /** Until every running node says that it is ready and every shard is served. */
  async untilShared(): Promise<number> {
    const least = Math.floor((0.9 * this.test.config.shardCount) / this.running.length);
    return this.until(() => this.isServed && this.running.every(({ shards }) => shards.length >= least));
  }

  /** Submits tasks, one every `everyMs`, and follows each to its end; what goes wrong is kept in {@link clientErrors}. */
  load(count: number, everyMs: number): void {
    const { clock } = this.test;
    for (let index = 0; index < count; index += 1) {
      this.#submitted += 1;
      const taskId = `t-${this.#submitted}`;
      const started = new Promise<void>((resolve) => void clock.setTimer(index * everyMs, resolve));
      const followed = started.then(() => this.#follow(taskId)).finally(() => this.#open.delete(followed));
      this.#open.add(followed);
    }
  }

  /** Until every task of the load has ended for its client. */
  untilDone(): Promise<number> {
    return this.until(() => this.#open.size === 0);
  }

  async #follow(taskId: string): Promise<void> {
    const { pipeline } = this;
    try {
      await this.#call(
        {
          kind: 'submit',
          task: taskId,
          pipeline: pipeline.name,
          argumentsHash: contentHash(taskId),
          deadlineMs: clientDeadlineMs,
        },
        () => this.client.submit(pipeline, taskId, { taskId }),
        (answer) => ({ outcome: { kind: answer.kind }, answeredTask: answer.taskId }),
      );
      await this.#call(
        { kind: 'result', task: taskId, deadlineMs: 60_000 },
        () => this.client.result(pipeline, taskId, { timeoutMs: 60_000 }),
        () => ({ outcome: { kind: 'answer', state: 'completed' } }),
      );
      this.#completed += 1;
    } catch (error) {
      this.clientErrors.push(`${taskId}: ${String(error)}`);
    }
  }

  async #call<Result>(
    call: Pick<CallEvent, 'kind' | 'task' | 'pipeline' | 'argumentsHash' | 'deadlineMs'>,
    make: () => Promise<Result>,
    toAnswer: (result: Result) => Pick<CallEvent, 'outcome' | 'answeredTask'>,
  ): Promise<Result> {
    const { clock } = this.test;
    const begun: CallEvent = {
      ...call,
      type: 'call',
      client: 'client',
      call: `${call.kind}-${call.task}`,
      invokedAt: clock.now(),
      answeredAt: null,
      outcome: { kind: 'none' },
    };
    const slot = this.recorder.open(begun);
    try {
      const result = await make();
      slot.complete({ ...begun, answeredAt: clock.now(), ...toAnswer(result) });
      return result;
    } catch (error) {
      const code = error instanceof EngineError ? error.code : 'INTERNAL';
      slot.complete({ ...begun, answeredAt: clock.now(), outcome: { kind: 'error', code } });
      throw error;
    }
  }

  /** Notes a fault from now on. @returns ends it */
  beginFault(kind: FaultEvent['kind'], target: string): () => void {
    const { clock } = this.test;
    const begun: FaultEvent = { type: 'fault', kind, target, at: clock.now(), until: null };
    const slot = this.recorder.open(begun);
    return () => slot.complete({ ...begun, until: clock.now() });
  }

  /** The whole journal, read back and replayed. */
  async report(more: readonly PipelineDefinition[] = []): Promise<JournalReport> {
    const entries = await this.test.run(readWholeJournal(this.test.journal, this.test.config.shardCount));
    return checkJournal(entries, [this.pipeline, ...more]);
  }

  /** All that happened so far, as the invariants judge it. */
  async history(): Promise<History> {
    const { journal, config, clock } = this.test;
    const entries = await this.test.run(readWholeJournal(journal, config.shardCount));
    const recorded = this.recorder.finish({ entries, endedAt: clock.now(), isHealed: this.#open.size === 0 });
    const counters = Object.fromEntries(
      Object.values(metricCatalog).map(({ name }) => [name, this.test.metrics.value(name)]),
    );
    const metrics: HistoryEvent = { type: 'metrics', node: 'all', incarnation: 'all', counters };
    return { ...recorded, parts: [...recorded.parts, 'metrics'], events: [...recorded.events, metrics] };
  }

  /** Every broken promise: an invariant, a task that was lost, an error that a client saw. */
  async violations(): Promise<readonly string[]> {
    const { violations, story } = checkHistory(await this.history(), {
      definitions: [this.pipeline],
      needs: provenInvariants,
    });
    const unfinished = [...story.tasks.values()].filter(({ machine }) => machine.value !== 'completed');
    return [
      ...violations.map(formatViolation),
      ...this.ledger.violations(),
      ...this.clientErrors,
      ...unfinished.map(({ taskId, machine }) => `${taskId} is ${JSON.stringify(machine.value)}`),
      ...(this.#completed === this.#submitted ? [] : [`${this.#submitted - this.#completed} tasks have no result`]),
      ...(this.ledger.appliedCount() === 2 * this.#submitted ? [] : ['effects are missing']),
    ];
  }

  /** Stages that ran more than once. */
  get repeats(): readonly string[] {
    const names = this.ledger.reached.map(({ task, stage }) => `${task}/${stage}`);
    return names.filter((name, index) => names.indexOf(name) !== index);
  }

  async stop(): Promise<void> {
    await this.test.run(Promise.all(this.running.map((node) => node.stop(0))));
  }

  async #drive(ctx: StageContext): Promise<unknown> {
    const { process } = ctx.ports as unknown as DriverPorts;
    const { clock } = this.test;
    const { taskId: task, stage, attempt, fence, idempotencyKey: key } = ctx;
    const name = { ...process(), task, stage, attempt };
    this.recorder.record({ type: 'driver.started', ...name, key, fence: { ...fence }, at: clock.now() });
    const end = (outcome: DriverOutcome): void =>
      this.recorder.record({ type: 'driver.ended', ...name, outcome, at: clock.now() });
    try {
      const output = await this.#affect(ctx);
      end({ kind: 'completed', outputHash: contentHash(output) });
      return output;
    } catch (error) {
      end(ctx.signal.aborted ? { kind: 'aborted' } : { kind: 'failed', class: 'fatal' });
      throw error;
    }
  }

  /** An outside world that takes some time, and refuses an owner when it has heard of a newer one. */
  async #affect(ctx: StageContext): Promise<JsonValue> {
    const { clock } = ctx.ports as unknown as DriverPorts;
    await new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(stageMs, resolve);
      ctx.signal.addEventListener('abort', () => {
        timer.cancel();
        reject(new Error('aborted'));
      });
    });
    const { taskId: task, stage, attempt, fence, idempotencyKey: key } = ctx;
    const isStale = fence.epoch < (this.#newestEpochs.get(task) ?? 0);
    const isKnown = this.ledger.outputOf(key) !== undefined;
    const receipt = isStale ? undefined : this.ledger.apply(ctx);
    this.recorder.record({
      type: 'effect',
      key,
      task,
      stage,
      attempt,
      fence: { ...fence },
      result: isStale ? 'refused' : isKnown ? 'replayed' : 'applied',
      ...(receipt === undefined ? {} : { receipt }),
      at: this.test.clock.now(),
    });
    if (receipt === undefined) throw new FatalError('an older owner');
    this.#newestEpochs.set(task, fence.epoch);
    return receipt;
  }
}
