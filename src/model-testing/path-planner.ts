import { decideRetry } from '../core/backoff.ts';
import type { Failure, FailureClass, HandoverDecision } from '../core/failures.ts';
import type { CommandId, Epoch, StageName } from '../core/ids.ts';
import type { Continuation, TaskEvent } from '../core/records.ts';
import { continueAfter } from '../pipeline/continuation.ts';
import { attemptsUsed } from '../pipeline/control.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import { initialStep, step, type MachineState } from '../pipeline/machine-step.ts';
import type { Act, PathStep } from './path-step.ts';

/** What a path goes by: the input, and what each stage gives. */
export interface Route {
  readonly input: unknown;
  /** The input as the schema gives it out: what skips look at. */
  readonly readInput: unknown;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly readOutputs: Readonly<Record<string, unknown>>;
}

/** Where a planned task stands. */
export interface Standing {
  readonly machine: MachineState;
  /** Whether the effect of the current stage has happened. */
  readonly isEffectDone: boolean;
  /** Whether the test holds the slot that the queued stage waits for. */
  readonly isSlotTaken: boolean;
  /** The stages that have completed. */
  readonly completed: readonly StageName[];
}

/** One step, and where it leads. */
export interface Option {
  readonly step: PathStep;
  readonly next: Standing;
}

const origin = { commandId: 'planned' as CommandId };
/** Failures that a simulated driver can have, the most harmless first. */
const simulatedClasses: readonly FailureClass[] = ['retryable', 'rateLimited', 'unexpected', 'timeout'];

/** The steps of a pipeline's machine that a test can bring about. The machine itself says which are legal, and where they lead. */
export class PathPlanner {
  readonly #definition: PipelineDefinition;
  readonly #route: Route;

  constructor(definition: PipelineDefinition, route: Route) {
    this.#definition = definition;
    this.#route = route;
  }

  /** Before the submit. */
  get beginning(): Standing {
    return { machine: initialStep(this.#definition), isEffectDone: false, isSlotTaken: false, completed: [] };
  }

  /** The step that is taken when nothing happens to the task; null at its end. */
  mainOption(standing: Standing): Option | null {
    const [act] = this.#mainActs(standing);
    return act === undefined ? null : this.#take(standing, act, false);
  }

  /** The other steps that the test can bring about here, and the machine takes. */
  detours(standing: Standing): readonly Option[] {
    return this.#detourActs(standing).flatMap((act) => this.#take(standing, act, true) ?? []);
  }

  /** The way to the end on which nothing more happens. */
  mainline(from: Standing): readonly PathStep[] {
    const steps: PathStep[] = [];
    for (let option = this.mainOption(from); option !== null; option = this.mainOption(option.next))
      steps.push(option.step);
    return steps;
  }

  /** The steps in order from a standing, as far as the machine takes them; null when it refuses one. */
  follow(from: Standing, steps: readonly PathStep[]): readonly PathStep[] | null {
    let standing = from;
    const followed: PathStep[] = [];
    for (const { act, isDetour } of steps) {
      const option = this.#take(standing, act, isDetour);
      if (option === null) return null;
      followed.push(option.step);
      standing = option.next;
    }
    return this.mainOption(standing) === null ? followed : null;
  }

  #mainActs({ machine, isEffectDone }: Standing): readonly Act[] {
    switch (machine.node.status) {
      case 'new':
        return [{ kind: 'submit', slot: 'free' }];
      case 'queued':
        return [{ kind: 'grant' }];
      case 'running':
        return [{ kind: 'complete', drains: false }];
      case 'backingOff':
        return [{ kind: 'due', slot: 'free' }];
      case 'held':
        return [{ kind: 'command', name: 'resume' }];
      case 'deadLettered':
        return [{ kind: 'command', name: 'redrive' }];
      case 'unknown':
        if (this.#specOf(machine).driver.lookup !== undefined) {
          return [{ kind: 'lookup', answer: isEffectDone ? 'done' : 'notDone' }];
        }
        return [{ kind: 'resolve', resolution: isEffectDone ? 'completed' : 'notDone' }];
      default:
        return [];
    }
  }

  #detourActs(standing: Standing): readonly Act[] {
    const { machine, isEffectDone, isSlotTaken } = standing;
    const pause: Act = { kind: 'command', name: 'pause' };
    const cancel: Act = { kind: 'command', name: 'cancel' };
    switch (machine.node.status) {
      case 'new':
        return [{ kind: 'submit', slot: 'taken' }];
      case 'queued':
        // A stage that gets its slot at once cannot be met while it waits.
        return isSlotTaken ? [pause, cancel] : [];
      case 'running':
        return this.#runningDetours(machine, pause, cancel);
      case 'backingOff':
        return [{ kind: 'due', slot: 'taken' }, pause, cancel];
      case 'held':
        return [cancel];
      case 'unknown': {
        if (this.#specOf(machine).driver.lookup !== undefined) return [];
        // To send it back to work, or to give it up, is the truth only when nothing was done.
        const back: Act = { kind: 'command', name: 'redrive' };
        return isEffectDone ? [cancel] : [{ kind: 'resolve', resolution: 'failed' }, back, cancel];
      }
      default:
        return [];
    }
  }

  #runningDetours(machine: MachineState, pause: Act, cancel: Act): readonly Act[] {
    const spec = this.#specOf(machine);
    const failing = simulatedClasses.find((failureClass) => spec.retry.retryOn.includes(failureClass));
    const resume: Act = { kind: 'command', name: 'resume' };
    const losses: readonly Act[] =
      spec.driver.lookup === undefined && spec.effect === 'idempotent'
        ? [{ kind: 'lose', effect: 'done' }]
        : [
            { kind: 'lose', effect: 'done' },
            { kind: 'lose', effect: 'notDone' },
          ];
    return [
      ...(failing === undefined ? [] : [{ kind: 'fail', failureClass: failing } as const]),
      { kind: 'fail', failureClass: 'fatal' },
      ...losses,
      { kind: 'release' },
      machine.control.pausing ? resume : pause,
      cancel,
      ...(machine.control.pausing ? [] : [{ kind: 'complete', drains: true } as const]),
    ];
  }

  #take(standing: Standing, act: Act, isDetour: boolean): Option | null {
    if (!isTrue(act, standing.isEffectDone)) return null;
    const event = this.#eventOf(standing, act);
    if (event === null) return null;
    const { machine } = standing;
    const result = step(this.#definition, machine, event, 0);
    if (result.kind === 'refused') return null;
    const { node } = machine;
    const hasMoved = result.state.node.stage !== node.stage;
    const isOfEffect = act.kind === 'lose' && act.effect === 'done';
    const isStarted = node.status === 'queued' && result.state.node.status === 'running';
    return {
      step: {
        act,
        event: { ...event, at: 0 },
        from: machine.value,
        to: result.state.value,
        stage: node.stage,
        isDetour,
      },
      next: {
        machine: result.state,
        isEffectDone: !hasMoved && (standing.isEffectDone || isOfEffect || this.#failsAfterEffect(machine, act)),
        isSlotTaken: 'slot' in act ? act.slot === 'taken' : standing.isSlotTaken && !isStarted,
        completed:
          event.type === 'stage.completed' ||
          (event.type === 'outcome.resolved' && event.resolution.kind === 'completed')
            ? [...standing.completed, event.stage]
            : standing.completed,
      },
    };
  }

  /** A failure that is tried again may come after the effect; of an effect that may happen once only it must not. */
  #failsAfterEffect({ node }: MachineState, act: Act): boolean {
    return act.kind === 'fail' && failsAfterEffect(this.#definition.stage(node.stage as StageName), act.failureClass);
  }

  #eventOf(standing: Standing, act: Act): TaskEvent | null {
    const { machine } = standing;
    const { control } = machine;
    const stage = machine.node.stage as StageName;
    const { attempt } = control;
    switch (act.kind) {
      case 'submit':
        return {
          type: 'task.submitted',
          pipeline: this.#definition.name,
          version: this.#definition.version,
          input: { json: null },
          inputHash: 'planned',
          origin,
          ...this.#wayAfter(-1, [], act.slot === 'free'),
        };
      case 'grant':
        return { type: 'stage.started', stage, attempt: attempt + 1 };
      case 'complete': {
        const way = this.#wayAfter(this.#specOf(machine).index, standing.completed, !control.pausing && !act.drains);
        if (act.drains && way.next === null) return null;
        return { type: 'stage.completed', stage, attempt, output: { json: null }, ...way };
      }
      case 'fail':
        return this.#failing(machine, act.failureClass);
      case 'due':
        return { type: 'retry.due', stage, attempt: attempt + 1, start: act.slot === 'free' };
      case 'command':
        return { type: commandEvents[act.name], origin };
      case 'resolve':
      case 'lookup':
        return this.#resolving(standing, act);
      case 'lose':
        return { type: 'owner.changed', stage, attempt, epoch: 2 as Epoch, decision: cutOff(this.#specOf(machine)) };
      case 'release':
        return { type: 'stage.released', stage, attempt, decision: cutOff(this.#specOf(machine)) };
      default: {
        const other: never = act;
        return other;
      }
    }
  }

  #failing(machine: MachineState, failureClass: FailureClass): TaskEvent {
    const spec = this.#specOf(machine);
    const { control } = machine;
    const failure: Failure = { class: failureClass, code: 'SIMULATED', name: 'Error', message: 'simulated' };
    const decision = decideRetry({
      policy: spec.retry,
      failure,
      used: attemptsUsed(control),
      now: control.enteredAt,
      random: 0,
      deadlineAt: spec.deadlineMs === null ? null : control.enteredAt + spec.deadlineMs,
    });
    return { type: 'stage.failed', stage: spec.name, attempt: control.attempt, failure, decision };
  }

  #resolving(standing: Standing, act: Extract<Act, { kind: 'resolve' | 'lookup' }>): TaskEvent {
    const { machine } = standing;
    const spec = this.#specOf(machine);
    const by = act.kind === 'lookup' ? 'lookup' : 'operator';
    const base = { type: 'outcome.resolved', stage: spec.name, attempt: machine.control.attempt, by, origin } as const;
    const answer = act.kind === 'lookup' ? act.answer : act.resolution;
    if (answer === 'notDone') return { ...base, resolution: { kind: 'notDone' } };
    if (answer === 'failed') {
      const failure: Failure = {
        class: 'fatal',
        code: 'RESOLVED_AS_FAILED',
        name: 'OperatorDecision',
        message: 'planned',
      };
      return { ...base, resolution: { kind: 'failed', failure } };
    }
    const way = this.#wayAfter(spec.index, standing.completed, !machine.control.pausing);
    return { ...base, resolution: { kind: 'completed', output: { json: null }, ...way } };
  }

  #wayAfter(stageIndex: number, completed: readonly StageName[], start: boolean): Continuation {
    const { readInput, readOutputs } = this.#route;
    const current = this.#definition.stages[stageIndex]?.name;
    const known = current === undefined ? completed : [...completed, current];
    const outputs = Object.fromEntries(known.map((name) => [name, readOutputs[name]]));
    const way = continueAfter(this.#definition, stageIndex, () => ({ input: readInput, outputs }));
    return { ...way, start: start && way.next !== null };
  }

  #specOf({ node }: MachineState): StageSpec {
    return this.#definition.stage(node.stage as StageName);
  }
}

const commandEvents = {
  pause: 'task.paused',
  resume: 'task.resumed',
  cancel: 'task.canceled',
  redrive: 'task.redriven',
} as const;

/** Whether an answer says of the effect what is so. */
function isTrue(act: Act, isEffectDone: boolean): boolean {
  if (act.kind === 'lookup') return (act.answer === 'done') === isEffectDone;
  return act.kind !== 'resolve' || (act.resolution === 'completed') === isEffectDone;
}

/** What the engine decides for a stage whose owner is gone. */
function cutOff(spec: StageSpec): HandoverDecision {
  if (spec.driver.lookup !== undefined) return { kind: 'lookup' };
  return { kind: spec.effect === 'atMostOnce' ? 'park' : 'rerun' };
}

/** Whether a simulated failure of the class comes after the effect, as a lost answer does. */
export function failsAfterEffect(spec: StageSpec, failureClass: FailureClass): boolean {
  return spec.effect === 'idempotent' && failureClass !== 'fatal' && failureClass !== 'timeout';
}
