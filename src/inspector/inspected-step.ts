import type { Epoch, Millis, Sequence } from '../core/ids.ts';
import type { OwnerChange, TaskRecord } from '../core/records.ts';

/** One thing of the journal that concerns a task: a record of its own, or a new owner of its shard. */
export type InspectedStep =
  | {
      readonly kind: 'record';
      readonly sequence: Sequence;
      /** Its place in the commit, from 0. */
      readonly index: number;
      readonly epoch: Epoch;
      readonly record: TaskRecord;
    }
  | { readonly kind: 'owner'; readonly sequence: Sequence; readonly at: Millis; readonly owner: OwnerChange };
