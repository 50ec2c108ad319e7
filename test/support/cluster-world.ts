import { createClient, type Client } from '../../src/client.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import type { ShardId } from '../../src/core/ids.ts';
import { encodeNodeMessage } from '../../src/core/node-messages.ts';
import { clusterSubject } from '../../src/core/subjects.ts';
import { FatalError, type StageContext } from '../../src/index.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Bus, RequestOutcome } from '../../src/ports/bus.ts';
import type { TimerHandle } from '../../src/ports/clock.ts';
import type { Engine, EngineDeps } from '../../src/supervisor/engine.ts';
import { TestEngine } from '../../src/testing.ts';
import { EffectLedger } from './effect-ledger.ts';
import { FreezableClock } from './freezable-clock.ts';
import { checkJournal, readWholeJournal, type JournalReport } from './journal-checker.ts';
import { Gate, tapJournal, tapLeases, tapSnapshots, type PortTap } from './port-taps.ts';
import { aPipeline, nodeOf } from './shard-kit.ts';

/** How long each stage works. */
export const stageMs = 20;
/** Deadline of every call of the world's client: a user's patience. */
const clientDeadlineMs = 10_000;

interface DriverPorts {
  readonly world: ClusterWorld;
  readonly clock: FreezableClock;
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
      const result = await make();
      await world.storeGate.pass();
      await this.#clock.awake();
      return result;
    };
    const overrides: Partial<EngineDeps> = {
      config: { ...test.config, ...config },
      clock: this.#clock,
      bus: this.#tapBus(test.bus),
      journal: tapJournal(test.journal, tap),
      snapshots: tapSnapshots(test.snapshots, tap),
      leases: tapLeases(test.leases, tap),
      ports: { world, clock: this.#clock } satisfies DriverPorts,
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

  async kill(): Promise<void> {
    this.status = 'killed';
    await this.engine.abandon();
  }

  freeze(): void {
    this.status = 'frozen';
    this.#clock.freeze();
  }

  thaw(): void {
    this.status = 'running';
    this.#clock.thaw();
  }

  async stop(graceMs = 10_000): Promise<void> {
    await this.engine.stop({ graceMs });
    this.status = 'stopped';
  }

  /** What a process supervisor tells all nodes when this process has ended. */
  tellExited(): void {
    const { bus, config } = this.#world.test;
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
      serve: (subject, handler, options) =>
        inner.serve(subject, (request) => this.#clock.whenAwake(() => handler(request)), options),
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
  readonly busGate = new Gate();
  /** Shut: journal, snapshots and leases answer no node. */
  readonly storeGate = new Gate();
  readonly #newestEpochs = new Map<string, number>();
  readonly #open = new Set<Promise<void>>();
  #submitted = 0;
  #completed = 0;

  constructor(config: Partial<EngineConfig> = {}) {
    this.test = TestEngine.create({
      pipelines: [this.pipeline],
      config: { shardCount: 12, leaseTtlMs: 20_000, leaseRenewMs: 5_000, abortGraceMs: 100, ...config },
    });
    const { bus, clock, journal, blobs } = this.test;
    const { namespace, shardCount } = this.test.config;
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
    try {
      await this.client.submit(this.pipeline, taskId, { taskId });
      await this.client.result(this.pipeline, taskId, { timeoutMs: 60_000 });
      this.#completed += 1;
    } catch (error) {
      this.clientErrors.push(`${taskId}: ${String(error)}`);
    }
  }

  /** The whole journal, read back and replayed. */
  async report(more: readonly PipelineDefinition[] = []): Promise<JournalReport> {
    const entries = await this.test.run(readWholeJournal(this.test.journal, this.test.config.shardCount));
    return checkJournal(entries, [this.pipeline, ...more]);
  }

  /** Every broken promise: of journal and effects, a task that was lost, an error that a client saw. */
  async violations(): Promise<readonly string[]> {
    const report = await this.report();
    const unfinished = [...report.tasks.values()].filter(({ machine }) => machine.value !== 'completed');
    return [
      ...report.violations,
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

  /** An outside world that takes some time, and refuses an owner when it has heard of a newer one. */
  async #drive(ctx: StageContext): Promise<unknown> {
    const { clock } = ctx.ports as unknown as DriverPorts;
    await new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(stageMs, resolve);
      ctx.signal.addEventListener('abort', () => {
        timer.cancel();
        reject(new Error('aborted'));
      });
    });
    const { epoch } = ctx.fence;
    if (epoch < (this.#newestEpochs.get(ctx.taskId) ?? 0)) throw new FatalError('an older owner');
    this.#newestEpochs.set(ctx.taskId, epoch);
    return this.ledger.apply(ctx);
  }
}
