import type { SequentialModel } from './linearizability.ts';

/** Of a value that nobody has set. */
const unset = '';

/** A submit of a task id with an input, named by its hash. */
export interface SubmitInput {
  readonly taskId: string;
  readonly inputHash: string;
}

/** What a submit was told. */
export type SubmitAnswer = 'accepted' | 'existing' | 'conflict';

/**
 * A task id: created by one submit; every other finds it, with the same input or another one. A client repeats a submit whose
 * answer was lost, and the repeat is told `existing`: so that answer may be of the one that created it.
 */
export const taskIdModel: SequentialModel<string, SubmitInput, SubmitAnswer> = {
  initial: unset,
  step: (state, { inputHash }, answer) => {
    switch (answer) {
      case null:
        return state === unset ? inputHash : state;
      case 'accepted':
        return state === unset ? inputHash : null;
      case 'existing':
        return state === unset || state === inputHash ? inputHash : null;
      case 'conflict':
        return state !== unset && state !== inputHash ? state : null;
      default:
        return answer satisfies never;
    }
  },
  keyOf: (state) => state,
};

/** A read or a compare-and-set of one shard's lock. */
export type LockInput =
  | { readonly kind: 'read'; readonly shard: number }
  | { readonly kind: 'write'; readonly shard: number; readonly value: string; readonly expectedRevision: number };

/** What the store answered. */
export type LockAnswer =
  | { readonly kind: 'read'; readonly value: string; readonly revision: number }
  | { readonly kind: 'held'; readonly revision: number }
  | { readonly kind: 'lost' };

/** A lock as the store has it. `revision` null: written by an operation whose answer was lost, so nobody knows the number yet. */
export interface LockState {
  readonly value: string;
  readonly revision: number | null;
  /** Every later revision is above it. */
  readonly above: number;
}

/** What a lock holds before anybody has written it. */
export const freeLock = 'free';

/**
 * The lock of a shard: a register with compare-and-set by revision. Revisions rise, by steps that the model does not know, for all
 * keys of a bucket share one count.
 */
export const lockModel: SequentialModel<LockState, LockInput, LockAnswer> = {
  initial: { value: freeLock, revision: 0, above: 0 },
  step: (state, input, answer) => {
    if (input.kind === 'read') return answer === null ? state : readLock(state, answer);
    const isExpected = state.revision === input.expectedRevision;
    const mayBeExpected = state.revision === null && input.expectedRevision > state.above;
    if (answer === null) {
      return isExpected || mayBeExpected
        ? { value: input.value, revision: null, above: Math.max(state.above, input.expectedRevision) }
        : state;
    }
    const isThere = state.revision !== 0 && state.value === input.value;
    if (answer.kind === 'lost') return isExpected || isThere ? null : state;
    if (answer.kind !== 'held') return null;
    // What was wanted is there already, from a try whose answer was lost.
    if (isThere) {
      const isSame = state.revision === answer.revision || (state.revision === null && answer.revision > state.above);
      if (isSame) return { ...state, revision: answer.revision, above: answer.revision };
    }
    if (!isExpected && !mayBeExpected) return null;
    if (answer.revision <= Math.max(state.above, input.expectedRevision)) return null;
    return { value: input.value, revision: answer.revision, above: answer.revision };
  },
  keyOf: ({ value, revision, above }) => `${value}/${revision}/${above}`,
};

function readLock(state: LockState, answer: LockAnswer): LockState | null {
  if (answer.kind !== 'read' || answer.value !== state.value) return null;
  if (state.revision === answer.revision) return state;
  if (state.revision !== null || answer.revision <= state.above) return null;
  return { ...state, revision: answer.revision, above: answer.revision };
}

/** One commit of a stage's result by an owner, or a look at it. */
export type StageInput =
  | { readonly kind: 'commit'; readonly stage: string; readonly commitId: string }
  | { readonly kind: 'look'; readonly stage: string };

/** What became of the commit, or whether the stage was done. */
export type StageAnswer = 'committed' | 'refused' | 'done' | 'notDone';

/** The result of one stage of one task: set once, by one commit, however often its append is repeated. */
export const stageModel: SequentialModel<string, StageInput, StageAnswer> = {
  initial: unset,
  step: (state, input, answer) => {
    if (input.kind === 'look') return answer === null || (state === unset) === (answer === 'notDone') ? state : null;
    switch (answer) {
      case null:
        return state === unset ? input.commitId : state;
      case 'committed':
        return state === unset || state === input.commitId ? input.commitId : null;
      case 'refused':
        // Not stored now: that says nothing of this stage.
        return state;
      default:
        return null;
    }
  },
  keyOf: (state) => state,
};
