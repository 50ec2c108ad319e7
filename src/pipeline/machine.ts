import { assign, setup, type AnyStateMachine } from 'xstate';
import type { PipelineName, StageName } from '../core/ids.ts';
import type { TaskEventType } from '../core/records.ts';
import { assignments, type Assignment, type AssignmentName } from './assignments.ts';
import { declaredContinuations } from './continuation.ts';
import { initialControl, type StageControl } from './control.ts';
import type { StageSpec } from './definition.ts';
import { guards, type ContinuationParams, type Guard, type GuardName, type MachineEvent } from './guards.ts';

// The machine of a pipeline with the stages parse and photos. Every stage has the same five states:
//
//   new ──task.submitted──► parse ──stage.completed──► photos ──stage.completed──► completed
//                             │                          │
//                             └── task.canceled ─────────┴──► canceled
//
//               ┌────────────────────────── one stage ──────────────────────────┐
//               │             stage.started                                     │
//        ──────►│ queued ─────────────────────► running ──stage.completed───────┼──► next stage
//               │  ▲  ▲ │ task.paused  retry.due ▲ │ │                          │
//               │  │  │ ▼                        │ │ │ stage.failed (gives up)  │
//               │  │ held ◄──task.paused── backingOff◄┘ └───────────────────────┼──► deadLettered.<stage>
//               │  │   └──task.resumed──────►  ▲  (stage.failed, a retry)       │          │
//               │  │                           │  │ owner.changed               │          │
//               │  └──outcome.resolved── unknown ◄┘                             │          │
//               └──▲────────────────────────────────────────────────────────────┘          │
//                  └───────────────────────────── task.redriven ───────────────────────────┘
//
// It is pure: its actions are assignments of the control, there is no `after` (restored XState timers are lost), no `invoke`
// and no spawn (restored invocations would run again), and time comes in with the event.

/** The states within a stage. */
export const stageStates = ['queued', 'running', 'backingOff', 'held', 'unknown'] as const;

/** One of the {@link stageStates}. */
export type StageStateName = (typeof stageStates)[number];

/** Top-level states that are no stage; no stage may have such a name. */
export const reservedStateNames = ['new', 'completed', 'canceled', 'deadLettered'] as const;

/** One transition of the machine's config: data alone, the functions are named. */
export interface TransitionConfig {
  /** Left out: the state stays. */
  readonly target?: string;
  readonly guard?: { readonly type: GuardName; readonly params?: object };
  readonly actions: readonly { readonly type: AssignmentName }[];
}

/** One state of the machine's config. */
export interface StateConfig {
  readonly type?: 'final';
  readonly initial?: string;
  readonly on?: { readonly [Type in TaskEventType]?: TransitionConfig | readonly TransitionConfig[] };
  readonly states?: { readonly [name: string]: StateConfig };
}

/** The machine's config as plain JSON, in the order in which the author wrote the stages. */
export interface MachineConfig extends StateConfig {
  readonly id: string;
  readonly version: string;
  readonly context: StageControl;
  readonly states: { readonly [name: string]: StateConfig };
}

/** The XState machine whose states are the stages. */
export function buildMachine(name: PipelineName, version: number, stages: readonly StageSpec[]): AnyStateMachine {
  const config = buildMachineConfig(name, version, stages);
  return declareImplementations().createMachine(config);
}

/** The config of {@link buildMachine}'s machine. */
export function buildMachineConfig(name: PipelineName, version: number, stages: readonly StageSpec[]): MachineConfig {
  const stageEntries = stages.map((stage) => [stage.name, stageConfig(name, stages, stage)] as const);
  return {
    id: name,
    version: String(version),
    context: initialControl,
    initial: 'new',
    states: {
      new: { on: { 'task.submitted': submitTransitions(name, stages) } },
      ...Object.fromEntries(stageEntries),
      completed: { type: 'final' },
      canceled: { type: 'final' },
      deadLettered: {
        ...(stages[0] === undefined ? {} : { initial: stages[0].name }),
        states: Object.fromEntries(
          stages.map((stage) => [
            stage.name,
            { on: { 'task.redriven': { target: `#${name}.${stage.name}.queued`, actions: named('redrive') } } },
          ]),
        ),
      },
    },
  };
}

/** The names of the machine's functions, for a machine that was read from JSON. */
export function machineImplementations(): { guards: Record<string, unknown>; actions: Record<string, unknown> } {
  return {
    guards: mapValues(
      guards as unknown as Record<GuardName, Guard>,
      (guard) =>
        ({ context, event }: { context: StageControl; event: MachineEvent }, params: unknown) =>
          guard(context, event, params),
    ),
    actions: mapValues(assignments as unknown as Record<AssignmentName, Assignment>, (assignment) =>
      assign(({ context, event }: { context: StageControl; event: MachineEvent }) => assignment(context, event)),
    ),
  };
}

// The stages are known at run time only, so that XState's types can say nothing of them; `check-machine.ts` proves the rest.
function declareImplementations(): { createMachine(config: MachineConfig): AnyStateMachine } {
  return setup(machineImplementations() as Parameters<typeof setup>[0]) as unknown as {
    createMachine(config: MachineConfig): AnyStateMachine;
  };
}

function mapValues<Value, Result>(
  record: Readonly<Record<string, Value>>,
  change: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function submitTransitions(id: string, stages: readonly StageSpec[]): TransitionConfig[] {
  return declaredContinuations(stages, -1).flatMap(({ next, skipped }) => {
    if (next === null) return [ending(id, skipped, 'submitsInto', {}, ['endUnstarted', 'settle'])];
    return (['running', 'queued'] as const).map((arrives) => arriving(id, next, skipped, arrives, 'submitsInto', {}));
  });
}

function stageConfig(id: string, stages: readonly StageSpec[], stage: StageSpec): StateConfig {
  const params = { stage: stage.name };
  const retrying = { ...params, maxAttempts: stage.retry.maxAttempts };
  const deadLettered = `#${id}.deadLettered.${stage.name}`;
  return {
    initial: 'queued',
    on: {
      'task.canceled': { target: `#${id}.canceled`, actions: named('settle') },
      'task.quarantined': { target: deadLettered, actions: named('settle') },
    },
    states: {
      queued: {
        on: {
          'stage.started': {
            target: 'running',
            guard: { type: 'startsNextAttempt', params },
            actions: named('startAttempt'),
          },
          'task.paused': { target: 'held', actions: named('dropPause') },
        },
      },
      running: {
        on: {
          'stage.checkpointed': { guard: { type: 'isCurrentAttempt', params }, actions: named('keep') },
          'stage.completed': goingOn(id, stages, stage, 'completesInto', params),
          'stage.failed': [
            {
              target: 'backingOff',
              guard: { type: 'retriesWithinBudget', params: { ...retrying, pausing: false } },
              actions: named('backOff'),
            },
            {
              target: 'held',
              guard: { type: 'retriesWithinBudget', params: { ...retrying, pausing: true } },
              actions: named('backOff'),
            },
            { target: deadLettered, guard: { type: 'givesUp', params }, actions: named('settle') },
          ],
          'task.paused': { guard: { type: 'isNotPausing' }, actions: named('askPause') },
          'task.resumed': { guard: { type: 'isPausing' }, actions: named('dropPause') },
          'owner.changed': [
            interrupted('queued', ['rerun'], false, ['countInterruption']),
            interrupted('held', ['rerun'], true, ['countInterruption', 'dropPause']),
            interrupted('unknown', ['lookup', 'park'], null, ['countInterruption']),
            {
              target: deadLettered,
              guard: { type: 'interruptedTooOften' },
              actions: named('countInterruption', 'settle'),
            },
          ],
        },
      },
      backingOff: {
        on: {
          'retry.due': [
            { target: 'running', guard: { type: 'startsAtOnce' }, actions: named('startAttempt') },
            { target: 'queued', guard: { type: 'waitsForSlot' }, actions: named('queueAgain') },
          ],
          'task.paused': { target: 'held', actions: named('dropPause') },
        },
      },
      held: {
        on: {
          'task.resumed': [
            { target: 'backingOff', guard: { type: 'isNotDueYet' }, actions: named('keep') },
            { target: 'queued', guard: { type: 'isDue' }, actions: named('queueAgain') },
          ],
        },
      },
      unknown: {
        on: {
          'outcome.resolved': [
            ...goingOn(id, stages, stage, 'resolvesInto', {}),
            resolved('queued', { kind: 'notDone', pausing: false }, ['keep']),
            resolved('held', { kind: 'notDone', pausing: true }, ['dropPause']),
            resolved(deadLettered, { kind: 'failed', pausing: null }, ['settle']),
            { guard: { type: 'resolvesAs', params: { kind: 'unknown', pausing: null } }, actions: named('keep') },
          ],
          'owner.changed': { guard: { type: 'staysUnknown' }, actions: named('keep') },
          'task.redriven': { target: 'queued', actions: named('redrive') },
        },
      },
    },
  };
}

function goingOn(
  id: string,
  stages: readonly StageSpec[],
  stage: StageSpec,
  type: GuardName,
  params: object,
): TransitionConfig[] {
  return declaredContinuations(stages, stage.index).flatMap(({ next, skipped }) => {
    if (next === null) return [ending(id, skipped, type, params, ['settle'])];
    // The uncontended path, where the next stage takes over the slot, is asked first.
    return (['running', 'queued', 'held'] as const).map((arrives) =>
      arriving(id, next, skipped, arrives, type, params),
    );
  });
}

function arriving(
  id: string,
  next: StageName,
  skipped: readonly StageName[],
  arrives: 'running' | 'queued' | 'held',
  type: GuardName,
  params: object,
): TransitionConfig {
  const continuation: ContinuationParams = { next, skipped, arrives };
  return {
    target: `#${id}.${next}.${arrives}`,
    guard: { type, params: { ...params, ...continuation } },
    actions: named('enterStage'),
  };
}

function ending(
  id: string,
  skipped: readonly StageName[],
  type: GuardName,
  params: object,
  actions: readonly AssignmentName[],
): TransitionConfig {
  const continuation: ContinuationParams = { next: null, skipped, arrives: 'end' };
  return {
    target: `#${id}.completed`,
    guard: { type, params: { ...params, ...continuation } },
    actions: named(...actions),
  };
}

function interrupted(
  target: string,
  decisions: readonly string[],
  pausing: boolean | null,
  actions: readonly AssignmentName[],
): TransitionConfig {
  return {
    target,
    guard: { type: 'interruptedWithinLimit', params: { decisions, pausing } },
    actions: named(...actions),
  };
}

function resolved(target: string, params: object, actions: readonly AssignmentName[]): TransitionConfig {
  return { target, guard: { type: 'resolvesAs', params }, actions: named(...actions) };
}

function named(...names: readonly AssignmentName[]): { type: AssignmentName }[] {
  return names.map((type) => ({ type }));
}
