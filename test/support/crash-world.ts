import { PayloadStore } from '../../src/actors/payload-store.ts';
import { checkJournal, type JournalReport } from '../../src/checking/journal-report.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import type { OperatorResolution } from '../../src/core/messages.ts';
import type { TaskView } from '../../src/core/task-view.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { metricCatalog } from '../../src/ports/metric-catalog.ts';
import type { Engine } from '../../src/supervisor/engine.ts';
import { TestEngine } from '../../src/testing.ts';
import { serveShard } from '../../src/transport/shard-service.ts';
import { MortalBus } from './crash-bus.ts';
import { callFields, CrashHistory, submitFields } from './crash-history.ts';
import { crashPipelines, inputOf, plainPipeline, type Behavior, type CrashPorts } from './crash-pipelines.ts';
import { Mortal, type CrashPoint } from './crash-points.ts';
import { EffectLedger } from './effect-ledger.ts';
import { tapBlobs, tapJournal, tapLeases, tapSnapshots } from './port-taps.ts';
import { TrimmedJournal } from './trimmed-journal.ts';

/** One process of a node. */
export interface CrashProcess {
  readonly nodeId: string;
  readonly mortal: Mortal;
  readonly engine: Engine;
  /** The one that it came in place of. */
  readonly replaces: CrashProcess | null;
  /** Stopped in good order, or died. */
  isStopped: boolean;
}

/** A command that its caller has an answer to: it may not be missing from the journal. */
export interface AnsweredCommand {
  readonly name: string;
  readonly taskId: string;
  readonly commandId: string;
}

/** A command of an operator. */
export type ControlName = 'pause' | 'resume' | 'cancel' | 'redrive';

/** Longest virtual time of one run. */
const patienceMs = 6 * 3_600_000;
/** Pause between two looks of {@link CrashWorld.until}. */
const lookMs = 100;
/** How long a stop in good order waits for drivers. */
const stopGraceMs = 1_000;

/** Nodes whose processes die at calls of their ports, over stores that outlive them. */
export class CrashWorld {
  readonly test: TestEngine;
  readonly ledger = new EffectLedger();
  /** All processes in the order of their starts. */
  readonly processes: CrashProcess[] = [];
  readonly answered: AnsweredCommand[] = [];
  /** What went wrong with a process that lives. */
  readonly failures: string[] = [];
  readonly #journal: TrimmedJournal;
  readonly #history: CrashHistory;
  readonly #points: readonly CrashPoint[];
  readonly #taken = new Set<string>();
  readonly #pipelines = new Map<string, PipelineDefinition<string>>();
  #isSpared = false;

  constructor(points: readonly CrashPoint[], config: Partial<EngineConfig> = {}) {
    this.#points = points;
    this.test = TestEngine.create({
      pipelines: crashPipelines,
      config: { snapshotEveryRecords: 3, snapshotIntervalMs: 200, abortGraceMs: 0, maxInterruptions: 20, ...config },
    });
    this.#journal = new TrimmedJournal(this.test.journal);
    const { clock, config: settings } = this.test;
    this.#history = new CrashHistory({ clock, ...settings });
  }

  /** Starts a process of a node; does not wait for it. */
  launch(nodeId: string, replaces: CrashProcess | null = null): CrashProcess {
    const { test, ledger } = this;
    const index = this.processes.length;
    const point = this.#isSpared ? undefined : this.#points.find(({ process }) => process === index);
    const mortal: Mortal = new Mortal(point, () => {
      bus.cut();
      void engine.abandon();
    });
    const bus = new MortalBus(test.bus, mortal);
    const blobs = tapBlobs(test.blobs, mortal.tap);
    const { config, logger, metrics } = test;
    const unanswerable = metrics.counter(metricCatalog.unanswerableRequests);
    const service = { bus, namespace: config.namespace, logger, unanswerable, maximumReplyBytes: 1024 * 1024 };
    const ports: CrashPorts = { ledger, process: mortal, clock: test.clock, taken: this.#taken };
    const engine: Engine = test.createEngine(nodeId, undefined, {
      journal: tapJournal(
        this.#history.journal(this.#journal.keeping, nodeId, () => engine.status.incarnation),
        mortal.tap,
      ),
      snapshots: tapSnapshots(this.#history.snapshots(test.snapshots), mortal.tap),
      leases: tapLeases(test.leases, mortal.tap),
      payloads: new PayloadStore({ blobs, config }),
      blobs,
      bus,
      ports: ports as unknown as Readonly<Record<string, unknown>>,
      serve: (shard, deliver) => serveShard(service, shard, deliver),
      onFailed: (error) => {
        if (!mortal.isDead) this.failures.push(`${nodeId} failed: ${error.message}`);
      },
    });
    const process: CrashProcess = { nodeId, mortal, engine, replaces, isStopped: false };
    this.processes.push(process);
    engine.start().catch((error: unknown) => {
      if (!mortal.isDead) this.failures.push(`${nodeId} did not start: ${String(error)}`);
    });
    return process;
  }

  /** Runs virtual time until the promise settles; whoever dies on the way is started again. @throws what it rejects with */
  async survive(promise: Promise<unknown>): Promise<void> {
    const run = { isSettled: false };
    const watched = promise.finally(() => {
      run.isSettled = true;
    });
    watched.catch(() => {}); // Awaited below.
    const isOver = (): boolean => run.isSettled || this.failures.length > 0;
    while (!isOver()) {
      await this.test.clock.runUntil(() => isOver() || this.#toReplace.length > 0, { maxVirtualMs: patienceMs });
      for (const process of this.#toReplace) this.launch(process.nodeId, process);
    }
    if (this.failures.length === 0) await watched;
  }

  /** Nobody dies any more. */
  spare(): void {
    this.#isSpared = true;
    for (const { mortal } of this.processes) mortal.spare();
  }

  /** Ends every process at once, and lets one of each node come up. */
  restartAll(): void {
    for (const { mortal } of this.processes) mortal.kill();
    for (const process of this.#toReplace) this.launch(process.nodeId, process);
  }

  /** Stops the node in good order. Its process is replaced only when no other node runs. */
  async stop(nodeId: string): Promise<void> {
    const process = this.processes.findLast((one) => one.nodeId === nodeId && !one.mortal.isDead);
    await process?.engine.stop({ graceMs: stopGraceMs });
    if (process === undefined || process.mortal.isDead) return;
    process.isStopped = true;
    process.mortal.kill();
  }

  async submit(taskId: string, behavior: Behavior, pipeline = plainPipeline): Promise<void> {
    this.#pipelines.set(taskId, pipeline);
    const input = inputOf(behavior);
    const made = this.test.client.submit(pipeline, input, { taskId });
    await this.#history.call(submitFields(taskId, pipeline.name, input), made, ({ kind }) => ({ kind }));
    this.answered.push({ name: 'submit', taskId, commandId: taskId });
  }

  async command(name: ControlName, taskId: string, commandId = `${name}-${taskId}`): Promise<void> {
    const made = this.test.client[name](taskId, { commandId });
    await this.#history.call(callFields(name, taskId, commandId), made, ({ repeated }) => ({ kind: 'done', repeated }));
    this.answered.push({ name, taskId, commandId });
  }

  async resolve(taskId: string, resolution: OperatorResolution, commandId: string): Promise<void> {
    const made = this.test.client.resolve(taskId, resolution, { commandId });
    await this.#history.call(callFields('resolve', taskId, commandId), made, ({ repeated }) => ({
      kind: 'done',
      repeated,
    }));
    this.answered.push({ name: 'resolve', taskId, commandId });
  }

  /** Resolves when the task has completed. @throws EngineError `TASK_FAILED` */
  async end(taskId: string): Promise<void> {
    const pipeline = this.#pipelines.get(taskId) ?? plainPipeline;
    const made = this.test.client.result(pipeline, taskId, { timeoutMs: 3_000_000 });
    await this.#history.call(callFields('result', taskId), made, () => ({ kind: 'answer', state: 'completed' }));
  }

  view(taskId: string): Promise<TaskView> {
    const made = this.test.client.get(taskId, { includePayloads: true });
    return this.#history.call(callFields('get', taskId), made, ({ state }) => ({ kind: 'answer', state }));
  }

  /** Virtual time of the scenario's own. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.test.clock.setTimer(delayMs, resolve));
  }

  /** Looks until it holds. */
  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await holds())) await this.pause(lookMs);
  }

  /** What the whole journal says, with what was trimmed of it. */
  async report(): Promise<JournalReport> {
    return checkJournal(await this.#entries(), crashPipelines);
  }

  /** Every broken invariant of journal, calls, effects, appends and snapshots. */
  async violations(): Promise<readonly string[]> {
    return this.#history.check(await this.#entries(), this.ledger);
  }

  #entries(): Promise<readonly JournalEntry[]> {
    return this.test.run(this.#journal.entries(this.test.config.shardCount));
  }

  get #toReplace(): readonly CrashProcess[] {
    const replaced = new Set(this.processes.map(({ replaces }) => replaces));
    const hasOthers = this.processes.some(({ mortal }) => !mortal.isDead);
    return this.processes.filter(
      (process) => process.mortal.isDead && !replaced.has(process) && !(process.isStopped && hasOthers),
    );
  }
}
