import type { StageName } from '../core/ids.ts';

/** Where a recorded state value stands: the stage it is about, if any, and the word for what the stage does there. */
export interface MachinePlace {
  readonly stage: StageName | null;
  /** `queued`, `running`, `backingOff`, `held`, `unknown`, `deadLettered`, `completed` or `canceled`. */
  readonly status: string;
}

/** A recorded state value such as `photos.running` or `deadLettered.photos`, taken apart. */
export function placeOf(state: string): MachinePlace {
  const dot = state.indexOf('.');
  if (dot === -1) return { stage: null, status: state };
  const head = state.slice(0, dot);
  const tail = state.slice(dot + 1);
  return head === 'deadLettered'
    ? { stage: tail as StageName, status: head }
    : { stage: head as StageName, status: tail };
}
