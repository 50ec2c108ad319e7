import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { assert } from '../core/errors.ts';
import type { Millis, StageName } from '../core/ids.ts';
import type { TaskEvent, TaskEventType } from '../core/records.ts';
import { assignments, type Assignment } from './assignments.ts';
import type { StageControl } from './control.ts';
import { guards, type Guard, type GuardName } from './guards.ts';

// XState's `transition` costs 5.6 µs a call with a reused actor scope, 6.6 µs with an actor, 12 µs as the pure function. The plan
// is the same machine, not a second one: it is read off the state nodes that XState resolved, with their guards, targets and
// assignments, and a test compares the two on every state and event.

/** One transition, resolved: what must hold, where it leads and what it does to the control. */
export interface PlannedTransition {
  readonly guardName: GuardName | null;
  readonly params: unknown;
  readonly guard: Guard | null;
  readonly target: PlanNode;
  /** False for a transition that stays where it is. */
  readonly moves: boolean;
  readonly assignments: readonly Assignment[];
}

/** One state that a task can be in. */
export interface PlanNode {
  /** The state's name in records, such as `photos.running`. */
  readonly value: string;
  /** The stage that the state belongs to; null for the top-level states. */
  readonly stage: StageName | null;
  /** The last part of the name: `running`, `completed`; for `deadLettered.photos` it is `deadLettered`. */
  readonly status: string;
  readonly transitions: ReadonlyMap<TaskEventType, readonly PlannedTransition[]>;
}

/** All states of a machine by name, with their transitions. */
export interface TransitionPlan {
  readonly initial: PlanNode;
  readonly nodes: ReadonlyMap<string, PlanNode>;
}

/** A plan node while its plan is read. */
interface OpenNode extends PlanNode {
  readonly transitions: Map<TaskEventType, PlannedTransition[]>;
}

/**
 * The plan of a machine of the subset that `check-machine.ts` proves: compound and atomic states, guards and assignments by
 * name, nothing else.
 */
export function planOf(machine: AnyStateMachine): TransitionPlan {
  const nodes = new Map<string, OpenNode>();
  const leaves = leavesOf(machine.root);
  for (const leaf of leaves) nodes.set(valueOf(leaf), openNode(leaf));
  for (const leaf of leaves) {
    const node = nodeNamed(nodes, valueOf(leaf));
    // A state's own transitions are asked before its parent's, as XState does.
    for (let source: AnyStateNode | undefined = leaf; source !== undefined; source = source.parent) {
      for (const [type, definitions] of source.transitions) {
        const planned = node.transitions.get(type as TaskEventType) ?? [];
        for (const definition of definitions) {
          const target = definition.target?.[0];
          const targetNode = target === undefined ? node : nodeNamed(nodes, valueOf(initialLeaf(target)));
          planned.push(planTransition(definition, targetNode, target !== undefined));
        }
        node.transitions.set(type as TaskEventType, planned);
      }
    }
  }
  return { initial: nodeNamed(nodes, valueOf(initialLeaf(machine.root))), nodes };
}

/** The transition that a state takes for an event; null: the state refuses it. */
export function selectTransition(
  node: PlanNode,
  control: StageControl,
  event: TaskEvent,
  at: Millis,
): PlannedTransition | null {
  const candidates = node.transitions.get(event.type);
  if (candidates === undefined) return null;
  for (const candidate of candidates) {
    if (candidate.guard === null || candidate.guard(control, event, candidate.params, at)) return candidate;
  }
  return null;
}

/** The name of a leaf state in records: its path, joined by dots. */
export function valueOf(leaf: AnyStateNode): string {
  return leaf.path.join('.');
}

/** The states without children, in the order of the config. */
export function leavesOf(node: AnyStateNode): AnyStateNode[] {
  const children = Object.values(node.states);
  return children.length === 0 ? [node] : children.flatMap((child) => leavesOf(child));
}

/** The leaf that is entered when the node is. */
export function initialLeaf(node: AnyStateNode): AnyStateNode {
  let leaf = node;
  while (leaf.type === 'compound') {
    const [initial] = leaf.initial.target;
    assert(initial !== undefined, () => `state ${leaf.id} has no initial state`);
    leaf = initial;
  }
  return leaf;
}

function openNode(leaf: AnyStateNode): OpenNode {
  const [first = '', second] = leaf.path;
  const value = valueOf(leaf);
  if (second === undefined) return { value, stage: null, status: first, transitions: new Map() };
  if (first === 'deadLettered') return { value, stage: second as StageName, status: first, transitions: new Map() };
  return { value, stage: first as StageName, status: second, transitions: new Map() };
}

function nodeNamed(nodes: ReadonlyMap<string, OpenNode>, value: string): OpenNode {
  const node = nodes.get(value);
  assert(node !== undefined, () => `the machine has no state ${value}`);
  return node;
}

function planTransition(
  definition: AnyStateNode['on'][string][number],
  target: PlanNode,
  moves: boolean,
): PlannedTransition {
  const { guard, actions } = definition as {
    readonly guard?: { readonly type: GuardName; readonly params?: unknown };
    readonly actions: readonly { readonly type: string }[];
  };
  if (guard !== undefined) assert(Object.hasOwn(guards, guard.type), () => `there is no guard ${guard.type}`);
  return {
    guardName: guard?.type ?? null,
    params: guard?.params,
    guard: guard === undefined ? null : (guards[guard.type] as Guard),
    target,
    moves,
    assignments: actions.map(({ type }) => assignmentNamed(type)),
  };
}

function assignmentNamed(name: string): Assignment {
  assert(Object.hasOwn(assignments, name), () => `there is no assignment ${name}`);
  return assignments[name as keyof typeof assignments] as Assignment;
}
