import { replay } from '../actors/evolve.ts';
import { positionOf, type TaskState } from '../actors/task-state.ts';
import { asError } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { PathPlanner, Standing } from './path-planner.ts';
import type { PathStep } from './path-step.ts';

/** Longest bridge from where a fault left the task back to its path. */
const maximumBridgeSteps = 6;
const dedupWindowSize = 32;

/** What {@link PathDirector} goes by. */
export interface DirectorDeps {
  readonly taskId: TaskId;
  readonly definition: PipelineDefinition;
  readonly planner: PathPlanner;
  /** Whether the stage's effect has happened, as far as its driver has returned. */
  readonly isEffectDone: (stage: string) => boolean;
}

/**
 * Where a task is on its path: holds each committed record against the step that is due, and against the machine. Before the fault each
 * record must be that step; afterwards the engine may come back by another way, which the machine must allow, and the path is planned
 * anew from there.
 */
export class PathDirector {
  readonly taskId: TaskId;
  readonly problems: string[] = [];
  readonly journal: string[] = [];
  /** The task as the journal has it. */
  state: TaskState | null = null;
  isFaulted = false;
  #steps: readonly PathStep[];
  #taken = 0;
  #plans = 0;
  readonly #deps: DirectorDeps;
  #waiters: (() => void)[] = [];

  constructor(deps: DirectorDeps, steps: readonly PathStep[]) {
    this.taskId = deps.taskId;
    this.#deps = deps;
    this.#steps = steps;
  }

  get steps(): readonly PathStep[] {
    return this.#steps;
  }

  /** Steps that have happened. */
  get taken(): number {
    return this.#taken;
  }

  /** How often the path was planned anew. */
  get plans(): number {
    return this.#plans;
  }

  /** The step that is due; null at the end. */
  get next(): PathStep | null {
    return this.#steps[this.#taken] ?? null;
  }

  /** Resolves at the next record, or problem, or whatever {@link wake} tells. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  report(problem: string): void {
    if (!this.problems.includes(problem)) this.problems.push(problem);
    this.wake();
  }

  /** Whether the records hold the step of that index: what an append is recognized by. */
  holdsStep(records: readonly TaskRecord[], index: number): boolean {
    const offset = index - this.#taken;
    return offset >= 0 && this.#isStep(records[offset], this.#steps[index]);
  }

  /** A record of the task was committed. */
  observe(record: TaskRecord): void {
    const { definition } = this.#deps;
    const before = this.state?.machine.value ?? 'new';
    this.journal.push(`${record.seq} ${record.event.type} → ${record.to}`);
    try {
      this.state = replay({ definition, state: this.state, record, dedupWindowSize });
    } catch (error) {
      this.report(`the journal breaks the machine: ${asError(error).message}`);
      return;
    }
    const due = this.next;
    if (this.#isStep(record, due)) {
      this.#taken += 1;
      // The fault may have ended the attempt at another moment than the path would have: before its effect, or after.
      if (this.isFaulted && record.to.endsWith('.unknown')) this.#planAnew();
    } else if (record.event.type !== 'stage.checkpointed' && record.event.type !== 'stage.cleared')
      this.#leave(record, due, before);
    this.wake();
  }

  #isStep(record: TaskRecord | undefined, step: PathStep | null | undefined): boolean {
    if (record === undefined || step === null || step === undefined || record.to !== step.to) return false;
    const { type } = record.event;
    // What a lookup found out stands for what the driver returned.
    return type === step.event.type || (type === 'outcome.resolved' && step.event.type === 'stage.completed');
  }

  #leave(record: TaskRecord, due: PathStep | null, before: string): void {
    // How long a backoff has left is the clock's to say.
    const isByClock = record.event.type === 'task.resumed' && due?.event.type === 'task.resumed';
    if (this.isFaulted || isByClock) return this.#planAnew();
    const expected = due === null ? 'no further record' : `${due.to} by ${due.event.type}`;
    this.report(`in ${before}: expected ${expected}, got ${record.to} by ${record.event.type}${this.#why(record)}`);
  }

  #why({ event }: TaskRecord): string {
    if (event.type === 'stage.failed') return `: ${event.failure.code}: ${event.failure.message}`;
    if (event.type !== 'stage.completed' && event.type !== 'task.submitted') return '';
    const reasons = event.skipped.map(({ stage, reason }) => `${stage} is skipped (${reason})`);
    return reasons.length === 0
      ? ''
      : `: ${reasons.join(', ')}; the path was planned with other samples of input and outputs`;
  }

  /** From where the task stands back to the step that is due, and on; when there is no such way, to the end. */
  #planAnew(): void {
    const { planner } = this.#deps;
    const from = this.#standing;
    if (from === null) return;
    this.#plans += 1;
    const done = this.#steps.slice(0, this.#taken);
    const rest = this.#steps.slice(this.#taken);
    const way = planner.mainline(from);
    for (let length = 0; length <= Math.min(maximumBridgeSteps, way.length); length += 1) {
      const bridge = way.slice(0, length);
      const last = bridge.at(-1)?.to ?? from.machine.value;
      if (last !== rest[0]?.from) continue;
      const whole = planner.follow(from, [...bridge, ...rest]);
      if (whole !== null) {
        this.#steps = [...done, ...whole];
        return;
      }
    }
    this.#steps = [...done, ...way];
  }

  get #standing(): Standing | null {
    const { state } = this;
    if (state === null) return null;
    const { stage } = positionOf(state.machine.value);
    return {
      machine: state.machine,
      isEffectDone: stage !== null && this.#deps.isEffectDone(stage),
      isSlotTaken: false,
      completed: state.stages.filter(({ status }) => status === 'completed').map((progress) => progress.stage),
    };
  }
}
