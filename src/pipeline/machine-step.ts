import type { AnyActorScope, AnyMachineSnapshot } from 'xstate';
import { assert, EngineError } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import { taskEventTypes, type TaskEvent, type TaskEventType } from '../core/records.ts';
import type { TaskCommandName } from '../core/task-view.ts';
import { initialControl, type StageControl } from './control.ts';
import type { PipelineDefinition } from './definition.ts';
import { holdsBeforeEvent, type MachineEvent } from './guards.ts';
import { explainRefusal } from './refusals.ts';
import { selectTransition, type PlanNode, type PlannedTransition } from './transition-plan.ts';

export type { MachineEvent } from './guards.ts';

/** Where a task stands in its machine. Plain but for `node`: keep `value` and `control`, {@link restore} gives the rest. */
export interface MachineState {
  /** Such as `photos.running`, `deadLettered.photos`, `completed`. */
  readonly value: string;
  readonly control: StageControl;
  /** Opaque: the definition's own entry for `value`. */
  readonly node: PlanNode;
}

/** What an event does to a task: it moves (perhaps to the same state), or is refused for a reason that a person can read. */
export type StepResult =
  { readonly kind: 'moved'; readonly state: MachineState } | { readonly kind: 'refused'; readonly reason: string };

/** The state of a task that was not submitted yet. */
export function initialStep(definition: PipelineDefinition): MachineState {
  return { value: definition.plan.initial.value, control: initialControl, node: definition.plan.initial };
}

/** The state after an event that happened at `at`. Pure and total: every event of every state moves it or is refused with a reason. */
export function step(definition: PipelineDefinition, state: MachineState, event: TaskEvent, at: Millis): StepResult {
  const transition = selectTransition(state.node, state.control, event, at);
  if (transition !== null) return { kind: 'moved', state: follow(transition, state.control, event, at) };
  const reason = explainRefusal(state.node, state.control, event, definition.stages);
  assert(reason !== null, () => `${definition.name} neither accepts nor refuses ${event.type} in ${state.value}`);
  return { kind: 'refused', reason };
}

function follow(transition: PlannedTransition, before: StageControl, event: TaskEvent, at: Millis): MachineState {
  let control = before;
  for (const assignment of transition.assignments) control = assignment(control, event, at);
  return { value: transition.target.value, control, node: transition.target };
}

/**
 * The state of a task from what was stored of it.
 *
 * @throws EngineError `RECORD_CORRUPT` for a state that the definition does not have
 */
export function restore(definition: PipelineDefinition, value: string, control: StageControl): MachineState {
  return { value, control, node: nodeOf(definition, value) };
}

/** The events that the state can accept, in the order of a task's life; their data decides in the end. */
export function acceptedEvents(definition: PipelineDefinition, value: string, control: StageControl): TaskEventType[] {
  const { transitions } = nodeOf(definition, value);
  return taskEventTypes.filter((type) =>
    transitions.get(type)?.some(({ guardName }) => holdsBeforeEvent(guardName, control)),
  );
}

const commandEvents = [
  ['pause', 'task.paused'],
  ['resume', 'task.resumed'],
  ['cancel', 'task.canceled'],
  ['redrive', 'task.redriven'],
  ['resolve', 'outcome.resolved'],
] as const satisfies readonly (readonly [TaskCommandName, TaskEventType])[];

/** The commands that an operator may send in this state. */
export function legalCommands(definition: PipelineDefinition, value: string, control: StageControl): TaskCommandName[] {
  const accepted = acceptedEvents(definition, value, control);
  return commandEvents.filter(([, type]) => accepted.includes(type)).map(([name]) => name);
}

function nodeOf(definition: PipelineDefinition, value: string): PlanNode {
  const node = definition.plan.nodes.get(value);
  if (node !== undefined) return node;
  throw new EngineError(
    'RECORD_CORRUPT',
    `pipeline ${definition.name} version ${definition.version} has no such state`,
    {
      field: 'state',
      got: value,
      hint: 'the record was written by another definition of this version',
    },
  );
}

/** The state as an XState snapshot, for the inspector and whatever else speaks XState. */
export function snapshotOf(definition: PipelineDefinition, state: MachineState): AnyMachineSnapshot {
  const [first = '', second] = state.value.split('.');
  return definition.machine.resolveState({
    value: second === undefined ? first : { [first]: second },
    context: state.control,
  }) as AnyMachineSnapshot;
}

/** {@link step} as XState itself does it, some hundred times slower: what the plan is proven equal to. */
export function stepByXState(definition: PipelineDefinition, state: MachineState, event: MachineEvent): StepResult {
  const before = snapshotOf(definition, state);
  // Every transition has an assignment, so that a snapshot that is the same object was not moved.
  const after = definition.machine.transition(before, event, inertScope) as AnyMachineSnapshot;
  if (after === before) return { kind: 'refused', reason: 'XState takes no transition' };
  const value = typeof after.value === 'string' ? after.value : Object.entries(after.value).flat().join('.');
  return { kind: 'moved', state: restore(definition, value, after.context as StageControl) };
}

const ignore = (): void => {};

/** An actor scope for machines that do nothing: no child, no message, no timer can come from them. */
const inertScope = {
  self: {},
  id: '',
  sessionId: '',
  logger: ignore,
  defer: ignore,
  emit: ignore,
  stopChild: ignore,
  actionExecutor: ignore,
  system: { _sendInspectionEvent: ignore },
} as unknown as AnyActorScope;
