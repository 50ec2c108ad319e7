import { positionOf, type TaskState } from '../actors/task-state.ts';
import type { TaskRecord } from '../core/records.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Counts what a committed record tells: every retry, interruption and end of a task is a number somebody can watch. */
export function countRecord(metrics: ShardMetrics, record: TaskRecord, state: TaskState): void {
  const { event } = record;
  const { pipeline } = state;
  switch (event.type) {
    case 'task.submitted':
      metrics.tasksAccepted.add(1, { pipeline });
      break;
    case 'stage.failed':
      if (event.decision.kind === 'retry') {
        metrics.retries.add(1, { pipeline, stage: event.stage, class: event.failure.class });
      }
      break;
    case 'stage.released':
      metrics.handovers.add(1, { pipeline, stage: event.stage, decision: event.decision.kind });
      break;
    case 'stage.cleared':
      metrics.suspectsCleared.add(1, { pipeline, stage: event.stage });
      break;
    case 'owner.changed':
      metrics.interruptions.add(1, {
        pipeline,
        stage: state.stages.at(-1)?.stage ?? 'none',
        decision: event.decision.kind,
      });
      break;
    case 'task.redriven':
      metrics.tasksRedriven.add(1, { pipeline });
      break;
    case 'task.quarantined':
      metrics.quarantines.add();
      break;
    default:
      break;
  }
  const { status, stage } = positionOf(record.to);
  const hasEnded = status === 'completed' || status === 'canceled' || status === 'deadLettered';
  if (!hasEnded) return;
  metrics.tasks.add(1, { pipeline, outcome: status });
  if (status !== 'deadLettered') return;
  metrics.deadLetters.add(1, { pipeline, stage: stage ?? 'none', class: state.failure?.class ?? 'none' });
}
