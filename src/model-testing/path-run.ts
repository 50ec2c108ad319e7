import { decodeCommit } from '../core/commit-codec.ts';
import { asError, EngineError, unreachable } from '../core/errors.ts';
import type { EngineConfig } from '../core/config.ts';
import type { TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { TaskView } from '../core/task-view.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { AppendOutcome, Journal } from '../ports/journal.ts';
import type { AnyDriver } from '../ports/driver.ts';
import type { Clock } from '../ports/clock.ts';
import type { MachinePath } from './machine-paths.ts';
import { ModelProcess } from './model-process.ts';
import type { CreateModelWorld, ModelWorld } from './model-world.ts';
import { PathDirector } from './path-director.ts';
import { PathPlanner, type Route } from './path-planner.ts';
import type { PathStep } from './path-step.ts';
import type { PathStory } from './pipeline-test-error.ts';
import { SlotBlocker } from './slot-blocker.ts';
import { WatchedDrivers } from './watched-drivers.ts';

/** What happens to a step of a path. */
export type PipelineFault = (typeof pipelineFaults)[number];

/**
 * The faults, as users name them.
 *
 * - `crash before commit`, `crash after commit`: the process dies when the step's record is about to be written, or was written and
 *   nobody heard of it
 * - `duplicate event`: the command is sent again; the answer to the append is lost, so that it is sent again
 * - `late timer`: no timer of the process fires for a while
 * - `zombie outcome`: another process takes the shard over while the step's record is on its way; it may not be written
 */
export const pipelineFaults = [
  'none',
  'crash before commit',
  'crash after commit',
  'duplicate event',
  'late timer',
  'zombie outcome',
] as const;

/** What one run is made with. */
export interface PathRunSettings {
  readonly create: CreateModelWorld;
  readonly definition: PipelineDefinition;
  readonly driverOf: (clock: Clock) => (stage: string) => AnyDriver;
  readonly ports: () => Readonly<Record<string, unknown>>;
  readonly timesApplied: ((idempotencyKey: string) => number | Promise<number>) | undefined;
  readonly route: Route;
  readonly path: MachinePath;
  readonly fault: PipelineFault;
  /** The step that the fault is put at. */
  readonly faultStep: number;
}

const taskId = 'task-under-test' as TaskId;
const abortGraceMs = 5_000;
/** Longest virtual time of a run: the longest backoff, and some. */
const maximumVirtualMs = 40 * 24 * 3_600_000;
/** How long the engine has to know of its own last record, when its answer was lost. */
const settlingMs = 60_000;
/** Pause between two looks for that. */
const lookMs = 100;
/** How late timers are made; a deadline of a stage is not passed by it. */
const longLateMs = 600_000;
/** How long a stop waits for a driver that is to finish first. */
const drainGraceMs = 600_000;
/** Until a stop has begun to hand its shard over; shorter than any stage may take. */
const drainBeginMs = 20;

const config: Partial<EngineConfig> = {
  shardCount: 1,
  // One slot, so that the test can take it.
  maxRunningStages: 1,
  abortGraceMs,
  // What a path does to a stage must not make it suspect.
  maxInterruptions: 100,
  suspectAfterInterruptions: 100,
  // Snapshots come and go on the way.
  snapshotEveryRecords: 2,
};

/** Runs a path with a fault at one of its steps. @returns what is wrong; null when all holds */
export async function runPath(settings: PathRunSettings): Promise<PathStory | null> {
  const run = new PathRun(settings);
  await run.run();
  return run.story;
}

class PathRun {
  readonly #settings: PathRunSettings;
  readonly #world: ModelWorld;
  readonly #drivers: WatchedDrivers;
  readonly #director: PathDirector;
  readonly #blocker: SlotBlocker;
  readonly #watched: PipelineDefinition;
  readonly #processes: ModelProcess[] = [];
  #isOver = false;

  constructor(settings: PathRunSettings) {
    this.#settings = settings;
    const { definition, route, path, timesApplied } = settings;
    this.#blocker = new SlotBlocker(() => this.#director.wake());
    const clock = lazyClock(() => this.#world.clock);
    const driverOf = settings.driverOf(clock);
    this.#drivers = new WatchedDrivers(
      { clock, driverOf: (spec) => driverOf(spec.name), timesApplied, abortGraceMs },
      () => this.#director,
    );
    this.#watched = this.#drivers.watch(definition);
    this.#world = settings.create({
      pipelines: [this.#watched, this.#blocker.pipeline],
      ports: settings.ports(),
      config,
    });
    this.#director = new PathDirector(
      {
        taskId,
        definition: this.#watched,
        planner: new PathPlanner(this.#watched, route),
        isEffectDone: (stage) => this.#drivers.isEffectDone(this.#keyOf(stage)),
      },
      path.steps,
    );
  }

  get story(): PathStory | null {
    const { definition, path, fault, faultStep } = this.#settings;
    const { problems, steps, taken, journal } = this.#director;
    if (problems.length === 0) return null;
    return {
      pipeline: `${definition.name} version ${definition.version}`,
      path: path.name,
      fault,
      faultStep: fault === 'none' ? null : faultStep,
      steps,
      taken,
      problems,
      journal,
    };
  }

  async run(): Promise<void> {
    try {
      await this.#drive(this.#conduct());
      if (this.#director.problems.length > 0) return;
      await this.#drive(this.#checkEnd());
      for (const process of this.#processes) process.kill();
      await this.#drive(this.#checkEnd());
    } catch (error) {
      this.#director.report(this.#whyStuck(asError(error)));
    } finally {
      this.#isOver = true;
      for (const process of this.#processes) process.kill();
      this.#director.wake();
    }
  }

  /** Runs virtual time until the promise settles or a problem is found; a process that has ended is replaced. */
  async #drive(promise: Promise<void>): Promise<void> {
    let isSettled = false;
    const watched = promise.finally(() => {
      isSettled = true;
    });
    watched.catch(() => {}); // Awaited below.
    const { clock } = this.#world;
    const isDone = (): boolean => isSettled || this.#director.problems.length > 0;
    const isAlone = (): boolean => this.#processes.every(({ isGone }) => isGone);
    while (!isDone()) {
      if (isAlone()) this.#launch();
      await clock.runUntil(() => isDone() || isAlone(), { maxVirtualMs: maximumVirtualMs });
    }
    if (isSettled) await watched;
  }

  #launch(): ModelProcess {
    const process = new ModelProcess(
      this.#world,
      (from, request) => this.#append(from, request),
      (problem) => this.#director.report(problem),
    );
    this.#processes.push(process);
    return process;
  }

  #kill(process: ModelProcess): void {
    process.kill();
    this.#drivers.forgetHeld();
  }

  /** Brings one step after the other about, until the path is at its end. */
  async #conduct(): Promise<void> {
    for (let step = this.#director.next; step !== null; step = this.#director.next) {
      const { taken, plans } = this.#director;
      const isCurrent = (): boolean =>
        this.#director.taken === taken && this.#director.plans === plans && !this.#isOver;
      await this.#bringAbout(step, isCurrent);
      while (isCurrent() && this.#director.problems.length === 0) await this.#director.changed();
      if (this.#director.problems.length > 0) return;
    }
    // Whoever was aborted has its grace to stop.
    while (this.#drivers.inHand > 0 && this.#director.problems.length === 0) await this.#director.changed();
  }

  async #bringAbout(step: PathStep, isCurrent: () => boolean): Promise<void> {
    const { act } = step;
    switch (act.kind) {
      case 'submit':
        if (act.slot === 'taken') await this.#takeSlot(isCurrent);
        return this.#send(step, isCurrent);
      case 'due':
        if (act.slot === 'taken') await this.#takeSlot(isCurrent);
        return;
      case 'grant':
        return this.#blocker.release();
      case 'command':
      case 'resolve':
        if (step.from.endsWith('.running')) await this.#untilHeld(step, isCurrent);
        return this.#send(step, isCurrent);
      case 'lose':
        await this.#untilHeld(step, isCurrent);
        if (isCurrent()) for (const process of this.#processes) this.#kill(process);
        return;
      case 'release':
        await this.#untilHeld(step, isCurrent);
        if (isCurrent()) this.#stop(0);
        return;
      case 'complete':
        if (!act.drains) return;
        await this.#untilHeld(step, isCurrent);
        if (!isCurrent()) return;
        this.#stop(drainGraceMs);
        await this.#pause(drainBeginMs);
        this.#drivers.mayReturn = true;
        return this.#director.wake();
      case 'fail':
      case 'lookup':
        return; // By the driver itself.
      default:
        unreachable(act);
    }
  }

  #stop(graceMs: number): void {
    for (const process of this.#processes) {
      void process.stop(graceMs).finally(() => {
        this.#drivers.forgetHeld();
        this.#director.wake();
      });
    }
  }

  /** A command of the test, repeated until it is answered. A refusal counts as long as the path has not gone on. */
  #send(step: PathStep, isCurrent: () => boolean): void {
    void this.#perform(step).catch((error: unknown) => {
      if (!isCurrent() || this.#isOver) return;
      if (error instanceof EngineError && error.code === 'NOT_ALLOWED' && this.#director.isFaulted) {
        // The fault has changed what is legal; a record that tells so is on its way, or the path is stuck and says so.
        return this.#director.wake();
      }
      this.#director.report(`${step.event.type} was refused: ${asError(error).message}`);
    });
  }

  async #perform({ act, event }: PathStep): Promise<void> {
    const { client } = this.#world;
    const isDoubled =
      this.#settings.fault === 'duplicate event' && this.#director.steps[this.#settings.faultStep]?.act === act;
    const commandId = this.#commandIdOf(act);
    const send = async (): Promise<boolean> => {
      switch (act.kind) {
        case 'submit':
          return (await client.submit(this.#watched, this.#settings.route.input, { taskId })).kind === 'existing';
        case 'command':
          return (await client[act.name](taskId, { commandId })).repeated;
        case 'resolve':
          return (await client.resolve(taskId, this.#resolution(act.resolution), { commandId })).repeated;
        default:
          return false;
      }
    };
    await send();
    if (!isDoubled) return;
    this.#director.isFaulted = true;
    const isKnown = await send();
    if (!isKnown) this.#director.report(`${event.type} was sent twice with one id, and took effect twice`);
  }

  #resolution(kind: 'completed' | 'notDone' | 'failed'): Parameters<ModelWorld['client']['resolve']>[1] {
    const { stage } = this.#director.next ?? {};
    switch (kind) {
      case 'completed':
        return { kind, output: (this.#drivers.outputOf(this.#keyOf(stage ?? '')) ?? null) as JsonValue };
      case 'failed':
        return { kind, message: 'the test gives it up' };
      default:
        return { kind };
    }
  }

  /** One id for one intention: what is planned anew keeps its act. What has taken effect elsewhere is another intention now. */
  #commandIdOf(act: PathStep['act']): string {
    const id = `act-${this.#settings.path.steps.findIndex((step) => step.act === act)}`;
    const isUsed = this.#director.state?.commands.some(({ commandId }) => commandId === id) === true;
    return isUsed || id === 'act--1' ? `${id}-${this.#director.taken}-${this.#director.plans}` : id;
  }

  async #takeSlot(isCurrent: () => boolean): Promise<void> {
    const blocked = this.#world.client.submit(this.#blocker.pipeline, null, { taskId: 'slot-blocker' });
    blocked.catch(() => {}); // It is not what is tested; the slot is looked at.
    while (!this.#blocker.isTaken && isCurrent()) await this.#director.changed();
  }

  async #untilHeld({ act }: PathStep, isCurrent: () => boolean): Promise<void> {
    while (!this.#drivers.isHeldFor(act) && isCurrent()) await this.#director.changed();
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.setTimer(delayMs, resolve));
  }

  /** Where the fault takes hold: on the way of the step's record to the journal. */
  async #append(process: ModelProcess, request: Parameters<Journal['append']>[0]): Promise<AppendOutcome> {
    if (process.isEnded) return never();
    const { fault, faultStep } = this.#settings;
    const records = decodeCommit(request.body).records.filter(({ task }) => task === taskId);
    const isHere = fault !== 'none' && !this.#director.isFaulted && this.#director.holdsStep(records, faultStep);
    if (!isHere) return this.#store(request);
    switch (fault) {
      case 'crash before commit':
        this.#director.isFaulted = true;
        this.#kill(process);
        return never();
      case 'crash after commit':
        await this.#store(request);
        this.#director.isFaulted = true;
        this.#kill(process);
        return never();
      case 'duplicate event': {
        const outcome = await this.#store(request);
        this.#director.isFaulted = true;
        return outcome.kind === 'committed'
          ? { kind: 'unknown', code: 'UNAVAILABLE', detail: 'the test has lost the answer' }
          : outcome;
      }
      case 'late timer': {
        const outcome = await this.#store(request);
        this.#director.isFaulted = true;
        process.clock.hold(this.#lateMs);
        return outcome;
      }
      case 'zombie outcome':
        return this.#outrun(process, request);
      default:
        return unreachable(fault);
    }
  }

  /** Another process of the node takes the shard over before the record arrives. */
  async #outrun(zombie: ModelProcess, request: Parameters<Journal['append']>[0]): Promise<AppendOutcome> {
    this.#director.isFaulted = true;
    zombie.isZombie = true;
    this.#drivers.forgetHeld();
    await this.#launch().started;
    const outcome = await this.#world.journal.append(request);
    if (outcome.kind === 'committed')
      this.#director.report('the record of an owner that had lost its shard was written');
    return outcome;
  }

  async #store(request: Parameters<Journal['append']>[0]): Promise<AppendOutcome> {
    const outcome = await this.#world.journal.append(request);
    if (outcome.kind !== 'committed' || outcome.duplicate) return outcome;
    for (const record of decodeCommit(request.body).records) if (record.task === taskId) this.#director.observe(record);
    return outcome;
  }

  /** What the engine shows is what the journal says, and what the drivers gave. */
  async #checkEnd(): Promise<void> {
    const { state } = this.#director;
    const view = await this.#lastView();
    if (state === null || view.state !== state.machine.value || view.seq !== state.seq) {
      this.#director.report(
        `the engine shows ${view.state} after ${view.seq} records, the journal ${state?.machine.value} after ${state?.seq}`,
      );
    }
    for (const [stage, output] of Object.entries(view.outputs ?? {})) {
      const given = this.#readOutput(stage);
      if (given !== undefined && JSON.stringify(output) !== given) {
        this.#director.report(`${stage}: the output is ${JSON.stringify(output)}, its driver gave ${given}`);
      }
    }
  }

  /** The task as the engine shows it, once it knows of its own last record. */
  async #lastView(): Promise<TaskView> {
    const giveUpAt = this.#world.clock.monotonicMs() + settlingMs;
    for (;;) {
      const view = await this.#world.client.get(taskId, { includePayloads: true });
      const isCurrent = view.seq === this.#director.state?.seq;
      if (isCurrent || this.#world.clock.monotonicMs() > giveUpAt) return view;
      await this.#pause(lookMs);
    }
  }

  /** What a stage's driver has returned, if its schema gives out what it takes. */
  #readOutput(stage: string): string | undefined {
    const key = this.#keyOf(stage);
    if (!this.#drivers.isEffectDone(key)) return undefined;
    const { route } = this.#settings;
    const isChanged = JSON.stringify(route.outputs[stage]) !== JSON.stringify(route.readOutputs[stage]);
    return isChanged ? undefined : JSON.stringify(this.#drivers.outputOf(key));
  }

  #whyStuck(error: Error): string {
    const { next, state } = this.#director;
    const at = state?.machine.value ?? 'new';
    if (next === null) return `in ${at}: ${error.message}`;
    return `in ${at}: expected ${next.to} by ${next.event.type}, which did not come (${error.message})`;
  }

  get #lateMs(): number {
    const deadlines = this.#settings.definition.stages.flatMap(({ deadlineMs }) => deadlineMs ?? []);
    return Math.min(longLateMs, ...deadlines.map((deadlineMs) => Math.ceil(deadlineMs / 10)));
  }

  #keyOf(stage: string): string {
    return `${this.#world.config.namespace}:${taskId}:${stage}`;
  }
}

/** The world's clock before there is a world. */
function lazyClock(clock: () => Clock): Clock {
  return {
    now: () => clock().now(),
    monotonicMs: () => clock().monotonicMs(),
    setTimer: (delayMs, fn) => clock().setTimer(delayMs, fn),
    defer: (fn) => clock().defer(fn),
  };
}

function never<Result>(): Promise<Result> {
  return new Promise(() => {});
}
