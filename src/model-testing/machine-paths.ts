import { nameOfAct, type PathStep } from './path-step.ts';
import type { PathPlanner, Standing } from './path-planner.ts';

/** A way through the machine, from the submit to an end. */
export interface MachinePath {
  /** Such as `photos: retryable, pause`; of one without detours the stages in order. */
  readonly name: string;
  readonly steps: readonly PathStep[];
  /** The steps that make it another path than the ones before: where faults are put. From, up to and including. */
  readonly own: { readonly from: number; readonly to: number };
}

/** Steps after the last detour that belong to it: how the task comes back to its way. */
const comingBackSteps = 2;

/**
 * Every path with at most `detours` detours, all of them within one stage: those with fewer first, then in the order of the stages. In
 * a machine whose stages are all alike more would prove little: a stage sees nothing of the ones before but their outputs.
 */
export function pathsOf(planner: PathPlanner, detours: number): readonly MachinePath[] {
  const found: (readonly PathStep[])[] = [];
  walk(planner, { standing: planner.beginning, steps: [], detoursLeft: detours }, found);
  const byDetours = found.toSorted((left, right) => countDetours(left) - countDetours(right));
  return byDetours.map((steps) => ({ name: nameOf(steps), steps, own: ownSteps(steps) }));
}

interface Walk {
  readonly standing: Standing;
  readonly steps: readonly PathStep[];
  readonly detoursLeft: number;
}

function walk(planner: PathPlanner, { standing, steps, detoursLeft }: Walk, found: (readonly PathStep[])[]): void {
  const main = planner.mainOption(standing);
  if (main === null) {
    found.push(steps);
    return;
  }
  walk(planner, { standing: main.next, steps: [...steps, main.step], detoursLeft }, found);
  const first = steps.find(({ isDetour }) => isDetour);
  // A stage that is not running yet is still what the detour before has led to.
  const { stage, status } = standing.machine.node;
  const isElsewhere = first !== undefined && first.stage !== null && first.stage !== stage && status === 'running';
  if (detoursLeft === 0 || isElsewhere) return;
  for (const { step, next } of planner.detours(standing)) {
    walk(planner, { standing: next, steps: [...steps, step], detoursLeft: detoursLeft - 1 }, found);
  }
}

function countDetours(steps: readonly PathStep[]): number {
  return steps.filter(({ isDetour }) => isDetour).length;
}

function nameOf(steps: readonly PathStep[]): string {
  const detours = steps.filter(({ isDetour }) => isDetour);
  const [first] = detours;
  if (first === undefined) return stagesOf(steps).join(' → ');
  // A detour comes back by the main way, and may leave it again at the same state: how often it was there tells them apart.
  return `${first.stage ?? 'submit'}: ${detours.map((step) => labelOf(step, steps)).join(', ')}`;
}

function labelOf(step: PathStep, steps: readonly PathStep[]): string {
  const name = nameOfAct(step.act);
  const times = steps.slice(0, steps.indexOf(step)).filter(({ from }) => from === step.from).length;
  const state = step.from.split('.').at(-1) ?? step.from;
  const suffix = times === 0 ? '' : ` (time ${times + 1})`;
  return state === 'running' || step.stage === null ? `${name}${suffix}` : `${name} while ${state}${suffix}`;
}

function stagesOf(steps: readonly PathStep[]): readonly string[] {
  return [...new Set(steps.flatMap(({ stage }) => (stage === null ? [] : [stage as string])))];
}

function ownSteps(steps: readonly PathStep[]): MachinePath['own'] {
  const first = steps.findIndex(({ isDetour }) => isDetour);
  if (first === -1) return { from: 0, to: steps.length - 1 };
  const last = steps.findLastIndex(({ isDetour }) => isDetour);
  return { from: first, to: Math.min(last + comingBackSteps, steps.length - 1) };
}
