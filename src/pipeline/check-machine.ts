import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { EngineError } from '../core/errors.ts';
import { initialLeaf, leavesOf, valueOf } from './transition-plan.ts';

/** What keeps a cycle of the machine finite. */
export type CycleBound =
  /** Counted against the stage's `maxAttempts`. */
  | 'attempts'
  /** Counted against the limit of interruptions. */
  | 'interruptions'
  /** Counted against the limit of handovers. */
  | 'handovers'
  /** Each time around takes a person's command. */
  | 'operator';

/** The guards that count: a transition with one of them cannot be taken more often than its limit. */
export const countedGuards: ReadonlyMap<string, CycleBound> = new Map([
  ['retriesWithinBudget', 'attempts'],
  ['interruptedWithinLimit', 'interruptions'],
  ['releasedWithinLimit', 'handovers'],
]);

/** The events that only an operator's command makes. */
export const operatorEvents: ReadonlySet<string> = new Set(['task.paused', 'task.resumed', 'task.redriven']);

/** The events that may leave the state as it is: they note a fact and start nothing. */
export const notingEvents: ReadonlySet<string> = new Set([
  'stage.checkpointed',
  'stage.cleared',
  'task.paused',
  'task.resumed',
  'owner.changed',
  'outcome.resolved',
]);

/** One transition from one leaf state to another. */
export interface MachineEdge {
  readonly from: string;
  readonly to: string;
  readonly event: string;
  readonly bound: CycleBound | null;
  /** False for a transition without a target. */
  readonly moves: boolean;
}

/**
 * Proves of a pipeline's machine what the engine relies on: it does nothing by itself, every state is reached from its initial
 * one, a final state is reached from every state, and every cycle is counted.
 *
 * @throws EngineError `PIPELINE_INVALID` with field `machine.<state>`
 */
export function checkMachine(machine: AnyStateMachine): void {
  for (const node of nodesOf(machine.root)) checkPure(node);
  const leaves = leavesOf(machine.root);
  const edges = edgesOf(machine);
  checkReachable(leaves, edges, valueOf(initialLeaf(machine.root)));
  checkEnds(leaves, edges);
  checkStays(edges);
  checkCycles(edges);
}

/** All transitions between leaf states, those of a parent given to each of its leaves. */
export function edgesOf(machine: AnyStateMachine): MachineEdge[] {
  return leavesOf(machine.root).flatMap((leaf) => {
    const edges: MachineEdge[] = [];
    for (let source: AnyStateNode | undefined = leaf; source !== undefined; source = source.parent) {
      for (const [event, definitions] of source.transitions) {
        for (const { target, guard } of definitions) {
          const to = target?.[0] === undefined ? valueOf(leaf) : valueOf(initialLeaf(target[0]));
          edges.push({ from: valueOf(leaf), to, event, bound: boundOf(event, guard), moves: target !== undefined });
        }
      }
    }
    return edges;
  });
}

function boundOf(event: string, guard: unknown): CycleBound | null {
  if (operatorEvents.has(event)) return 'operator';
  const name = (guard as { type?: unknown } | undefined)?.type;
  return typeof name === 'string' ? (countedGuards.get(name) ?? null) : null;
}

function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap((child) => nodesOf(child))];
}

function checkPure(node: AnyStateNode): void {
  if (node.type === 'parallel' || node.type === 'history') throw refuse(node, `a ${node.type} state is not allowed`);
  if (node.after.length > 0) throw refuse(node, 'an `after` is not allowed: a restored XState timer is lost');
  if (node.invoke.length > 0) throw refuse(node, 'an `invoke` is not allowed: a restored one would run again');
  if ((node.always?.length ?? 0) > 0) throw refuse(node, 'an `always` is not allowed: every move needs its record');
  if (node.entry.length + node.exit.length > 0) throw refuse(node, 'entry and exit actions are not allowed');
}

function checkReachable(leaves: readonly AnyStateNode[], edges: readonly MachineEdge[], initial: string): void {
  const reached = closure([initial], edges, 'from', 'to');
  const lost = leaves.find((leaf) => !reached.has(valueOf(leaf)));
  if (lost !== undefined) throw refuse(lost, `it cannot be reached from ${initial}`);
}

function checkEnds(leaves: readonly AnyStateNode[], edges: readonly MachineEdge[]): void {
  const finals = leaves.filter((leaf) => leaf.type === 'final').map((leaf) => valueOf(leaf));
  const goals = finals.filter((value) => value === 'completed');
  const ending = closure(goals, edges, 'to', 'from');
  const endless = leaves.find((leaf) => !finals.includes(valueOf(leaf)) && !ending.has(valueOf(leaf)));
  if (endless !== undefined) throw refuse(endless, 'completed cannot be reached from it');
}

function checkStays(edges: readonly MachineEdge[]): void {
  const stay = edges.find((edge) => !edge.moves && !notingEvents.has(edge.event));
  if (stay !== undefined) throw invalid(stay.from, `${stay.event} leads nowhere, without a counted bound`);
}

/** What is left without the counted transitions must have no cycle: then every cycle has a counted one. */
function checkCycles(edges: readonly MachineEdge[]): void {
  const uncounted = edges.filter((edge) => edge.moves && edge.bound === null);
  const successors = groupEdges(uncounted, 'from');
  const finished = new Set<string>();
  const open: string[] = [];
  const visit = (state: string): void => {
    if (finished.has(state)) return;
    if (open.includes(state)) {
      const cycle = [...open.slice(open.indexOf(state)), state].join(' → ');
      throw invalid(state, `the cycle ${cycle} has no counted bound`);
    }
    open.push(state);
    for (const edge of successors.get(state) ?? []) visit(edge.to);
    open.pop();
    finished.add(state);
  };
  for (const state of successors.keys()) visit(state);
}

function closure(
  starts: readonly string[],
  edges: readonly MachineEdge[],
  near: 'from' | 'to',
  far: 'from' | 'to',
): Set<string> {
  const neighbors = groupEdges(edges, near);
  const reached = new Set(starts);
  // A set that grows while it is walked is walked to its end: a breadth-first search.
  for (const state of reached) {
    for (const edge of neighbors.get(state) ?? []) reached.add(edge[far]);
  }
  return reached;
}

function groupEdges(edges: readonly MachineEdge[], end: 'from' | 'to'): Map<string, MachineEdge[]> {
  const groups = new Map<string, MachineEdge[]>();
  for (const edge of edges) {
    const group = groups.get(edge[end]);
    if (group === undefined) groups.set(edge[end], [edge]);
    else group.push(edge);
  }
  return groups;
}

function refuse(node: AnyStateNode, problem: string): EngineError {
  return invalid(valueOf(node), problem);
}

function invalid(state: string, problem: string): EngineError {
  const field = state === '' ? 'machine' : `machine.${state}`;
  return new EngineError('PIPELINE_INVALID', `${field}: ${problem}`, { field });
}
