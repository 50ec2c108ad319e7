import type { StageView, TaskView } from '../../src/core/task-view.ts';
import type { BoardStats } from './board/board-server.ts';
import type { Sample } from './sample-listing.ts';

/** What a demo came to, as one line of JSON. */
export interface DemoSummary {
  readonly tasks: number;
  readonly completed: number;
  readonly deadLettered: number;
  /** Attempts beyond the first, of all stages, interrupted ones included. */
  readonly retries: number;
  /** Cards that the board applied more than once: real harm. */
  readonly duplicateEffects: number;
  readonly durationMs: number;
}

/** Counts what became of the tasks. Pure. */
export function summarizeDemo(
  tasks: readonly TaskView[],
  board: Pick<BoardStats, 'duplicateEffects'>,
  durationMs: number,
): DemoSummary {
  return {
    tasks: tasks.length,
    completed: tasks.filter(({ status }) => status === 'completed').length,
    deadLettered: tasks.filter(({ status }) => status === 'deadLettered').length,
    retries: tasks.reduce((sum, task) => sum + retriesOf(task), 0),
    duplicateEffects: board.duplicateEffects,
    durationMs,
  };
}

/** The table at the end of the demo: card, outcome, each stage's attempts, time. Pure. */
export function formatDemoTable(samples: readonly Sample[], tasks: readonly TaskView[]): string {
  const rows = tasks.map((task, index) => [
    samples[index]?.file ?? task.taskId,
    task.status,
    task.stages.map(stageCell).join(' '),
    String(attemptsOf(task)),
    `${(((task.endedAt ?? task.updatedAt) - task.submittedAt) / 1_000).toFixed(1)} s`,
    task.failure === null ? '' : task.failure.code,
  ]);
  const all = [['card', 'outcome', 'stages', 'attempts', 'time', 'failure'], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const marks: Partial<Record<StageView['status'], string>> = {
  completed: '✓',
  skipped: '–',
  failed: '✗',
  canceled: '✗',
};

function stageCell({ stage, status, attempts }: StageView): string {
  return `${stage}${marks[status] ?? '…'}${attempts > 1 ? attempts : ''}`;
}

function attemptsOf(task: TaskView): number {
  return task.stages.reduce((sum, { attempts }) => sum + attempts, 0);
}

function retriesOf(task: TaskView): number {
  return task.stages.reduce((sum, { attempts }) => sum + Math.max(0, attempts - 1), 0);
}
