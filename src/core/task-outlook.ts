import type { Millis, PortName } from './ids.ts';
import type { TaskEventType } from './records.ts';

/** What a stage that could start waits for. */
export type StageWait =
  /** It ran at that many losses of its node, and starts when no other suspect is in probation; `isAlone`: when no other runs. */
  | { readonly kind: 'suspect'; readonly losses: number; readonly isAlone: boolean }
  /** The port fails. `probeAt`: when one attempt may try it; null while one does, whose end decides. */
  | { readonly kind: 'breaker'; readonly port: PortName; readonly probeAt: Millis | null }
  /** As many of the stage run on the node as its definition allows. */
  | { readonly kind: 'stageLimit'; readonly running: number; readonly limit: number }
  /** As many stages run on the node as it allows. */
  | { readonly kind: 'nodeLimit'; readonly running: number; readonly limit: number }
  /** Nothing is in its way but whoever stands before it. */
  | { readonly kind: 'turn' }
  /** Its shard is handed over: the next owner starts it. */
  | { readonly kind: 'handover' };

/** Whether the driver is asked what became of an interrupted attempt; `inLine`: a suspect lookup that waits for its turn. */
export type LookupStanding = 'none' | 'asking' | 'inLine';

/**
 * What a task's owner knows of it beside its committed facts: what the definition says of its stage, and what the owner's own
 * machinery makes it wait for at this moment. Nothing of it is stored.
 */
export interface TaskOutlook {
  /** Null once the task has ended. */
  readonly stage: {
    /** Null: only the node's limit. */
    readonly concurrency: number | null;
    readonly port: PortName | null;
    readonly timeoutMs: number;
  } | null;
  /** The events that the machine accepts now, in the order of a task's life. */
  readonly legalEvents: readonly TaskEventType[];
  /** All that it waits for, none of which another one makes shorter; empty when it does not wait for a start. */
  readonly waits: readonly StageWait[];
  readonly lookup: LookupStanding;
}
