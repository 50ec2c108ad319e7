import type { Millis, NodeId } from '../core/ids.ts';
import type { LookupStanding, StageWait, TaskOutlook } from '../core/task-outlook.ts';
import type { TaskView } from '../core/task-view.ts';

/** What keeps a task from going on at once. */
export type Hold =
  /**
   * The stage waits for a free slot. `of`: its own concurrency limit or its node's limit is reached; null when its owner does not say
   * which, and then `running` and `limit` are null too.
   */
  | {
      readonly kind: 'limit';
      readonly of: 'stage' | 'node' | null;
      readonly concurrency: number | null;
      readonly running: number | null;
      readonly limit: number | null;
    }
  /** Its start is on its way, or whoever stands before it starts first. */
  | { readonly kind: 'turn' }
  /** It ran when its node was lost, so often that it starts apart from other suspects. */
  | { readonly kind: 'suspect'; readonly losses: number; readonly isAlone: boolean }
  /** The integration of the stage fails, and its node holds attempts back. `probeAt`: one attempt tries it then; null: one does now. */
  | { readonly kind: 'breaker'; readonly port: string; readonly probeAt: Millis | null }
  /** Its shard is handed over to another node. */
  | { readonly kind: 'handover' }
  /** A backoff runs. */
  | { readonly kind: 'timer'; readonly dueAt: Millis }
  /** A driver works on it. */
  | { readonly kind: 'driver'; readonly timeoutMs: number | null }
  /** An operator holds it, or will before its next start. */
  | { readonly kind: 'pause'; readonly isPending: boolean }
  /** Nobody knows whether the interrupted stage took effect. `lookup`: whether its driver is asked; null: its owner does not say. */
  | { readonly kind: 'unknownOutcome'; readonly lookup: LookupStanding | null }
  /** It was given up. */
  | { readonly kind: 'deadLetter'; readonly failureClass: string | null; readonly code: string | null }
  /** Nobody serves its shard at this moment. `expected`: the node that should; with why, where the cluster can be seen. */
  | { readonly kind: 'noOwner'; readonly expected: NodeId | null; readonly why: string | null }
  /** It has ended for good. */
  | { readonly kind: 'ended' };

/** What of a task an explanation is made of: its owner's view, or what is recorded of it while there is no owner. */
export interface ExplainedTask extends Pick<
  TaskView,
  'taskId' | 'shard' | 'state' | 'status' | 'stage' | 'attempt' | 'dueAt' | 'pausing' | 'legalCommands' | 'outlook'
> {
  readonly failure: { readonly class: string; readonly code: string | null } | null;
}

/** What an owner tells of a stage, or its definition does. */
export type ExplainedStage = Pick<NonNullable<TaskOutlook['stage']>, 'concurrency' | 'timeoutMs'> & {
  readonly port: string | null;
};

/**
 * All that holds a task, the nearest first. Pure.
 *
 * @param absence - what is known of its missing owner; null when it has one, or nobody knows
 */
export function holdsOf(
  task: ExplainedTask,
  stage: ExplainedStage | undefined,
  absence: Pick<Extract<Hold, { kind: 'noOwner' }>, 'expected' | 'why'> | null,
): readonly Hold[] {
  if (task.status === 'completed' || task.status === 'canceled') return [{ kind: 'ended' }];
  const holds: Hold[] = absence === null ? [] : [{ kind: 'noOwner', ...absence }];
  switch (task.status) {
    case 'queued':
      holds.push(...queueHolds(task, stage));
      break;
    case 'running':
      holds.push({ kind: 'driver', timeoutMs: stage?.timeoutMs ?? null });
      break;
    case 'backingOff':
      if (task.dueAt !== null) holds.push({ kind: 'timer', dueAt: task.dueAt });
      for (const wait of task.outlook?.waits ?? []) holds.push(holdOfWait(wait, stage));
      break;
    case 'held':
      holds.push({ kind: 'pause', isPending: false });
      break;
    case 'unknown':
      holds.push({ kind: 'unknownOutcome', lookup: task.outlook?.lookup ?? null });
      break;
    case 'deadLettered':
      holds.push({ kind: 'deadLetter', failureClass: task.failure?.class ?? null, code: task.failure?.code ?? null });
      break;
  }
  if (task.pausing) holds.push({ kind: 'pause', isPending: true });
  return holds;
}

function queueHolds({ outlook }: ExplainedTask, stage: ExplainedStage | undefined): readonly Hold[] {
  if (outlook === undefined) {
    return [{ kind: 'limit', of: null, concurrency: stage?.concurrency ?? null, running: null, limit: null }];
  }
  // It has its slot, and its start is not committed yet.
  if (outlook.waits.length === 0) return [{ kind: 'turn' }];
  return outlook.waits.map((wait) => holdOfWait(wait, stage));
}

function holdOfWait(wait: StageWait, stage: ExplainedStage | undefined): Hold {
  if (wait.kind !== 'stageLimit' && wait.kind !== 'nodeLimit') return wait;
  const { running, limit } = wait;
  const of = wait.kind === 'stageLimit' ? 'stage' : 'node';
  return { kind: 'limit', of, concurrency: stage?.concurrency ?? null, running, limit };
}
