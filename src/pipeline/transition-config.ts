import type { StageName } from '../core/ids.ts';
import type { TaskEventType } from '../core/records.ts';
import type { AssignmentName } from './assignments.ts';
import type { ContinuationParams, GuardName } from './guards.ts';

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

/** A transition into a declared next stage. */
export function arriving(
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

/** A transition to the end, past the stages that are skipped. */
export function ending(
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

/** The actions of a transition, by name. */
export function named(...names: readonly AssignmentName[]): { type: AssignmentName }[] {
  return names.map((type) => ({ type }));
}
