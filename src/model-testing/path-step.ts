import type { FailureClass } from '../core/failures.ts';
import type { StageName } from '../core/ids.ts';
import type { MachineEvent } from '../pipeline/guards.ts';

/** What makes a step happen: something that the test does, or that a driver does because the test tells it to. */
export type Act =
  | { readonly kind: 'submit'; readonly slot: Slot }
  /** The queued stage gets its slot; it is given back first where the test had taken it. */
  | { readonly kind: 'grant' }
  /** The driver returns. `drains`: while its shard is handed over, so that the next stage starts with the next owner. */
  | { readonly kind: 'complete'; readonly drains: boolean }
  | { readonly kind: 'fail'; readonly failureClass: FailureClass }
  /** The backoff is over. */
  | { readonly kind: 'due'; readonly slot: Slot }
  | { readonly kind: 'command'; readonly name: 'pause' | 'resume' | 'cancel' | 'redrive' }
  | { readonly kind: 'resolve'; readonly resolution: 'completed' | 'notDone' | 'failed' }
  /** The owner dies while the driver runs, after its effect or before. */
  | { readonly kind: 'lose'; readonly effect: 'done' | 'notDone' }
  /** The shard is handed over and the driver is aborted. */
  | { readonly kind: 'release' }
  /** The driver's lookup answers, by what is true. */
  | { readonly kind: 'lookup'; readonly answer: 'done' | 'notDone' };

/** Whether the node's slots are free at that moment, or taken by something else. */
export type Slot = 'free' | 'taken';

/** One step of a path: an event of the machine and what makes it happen. */
export interface PathStep {
  readonly act: Act;
  readonly event: MachineEvent;
  /** The machine's state before, such as `photos.running`. */
  readonly from: string;
  /** And after. */
  readonly to: string;
  /** The stage that the state before belongs to; null before the submit. */
  readonly stage: StageName | null;
  /** Whether it leaves the way that a task takes when nothing happens to it. */
  readonly isDetour: boolean;
}

/** What a step is called in the name of a path. */
export function nameOfAct(act: Act): string {
  switch (act.kind) {
    case 'submit':
      return act.slot === 'free' ? 'submitted' : 'submitted without a free slot';
    case 'complete':
      return act.drains ? 'completed while its shard is handed over' : 'completed';
    case 'fail':
      return act.failureClass;
    case 'due':
      return act.slot === 'free' ? 'due' : 'due without a free slot';
    case 'command':
      return act.name;
    case 'resolve':
      return `resolved ${act.resolution}`;
    case 'lose':
      return act.effect === 'done' ? 'owner lost after the effect' : 'owner lost before the effect';
    case 'release':
      return 'handed over';
    case 'lookup':
      return `lookup ${act.answer}`;
    case 'grant':
      return 'started';
    default: {
      const other: never = act;
      return other;
    }
  }
}
