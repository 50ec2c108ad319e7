import type { TaskView } from '../core/task-view.ts';
import { formatInstant, formatSpan } from './duration.ts';
import { formatFields, formatTable, type Column } from './table.ts';
import type { Tone } from './terminal.ts';
import type { Drawing } from './view.ts';

const tones: Partial<Record<string, Tone>> = {
  running: 'strong',
  completed: 'good',
  backingOff: 'warn',
  held: 'warn',
  unknown: 'bad',
  deadLettered: 'bad',
  failed: 'bad',
  canceled: 'dim',
  skipped: 'dim',
  waiting: 'dim',
};

/** The color of a status of a task or of a stage. */
export function toneOf(status: string): Tone | undefined {
  return tones[status];
}

/** Class, code and message of a task's failure; empty when it has none. */
export function describeFailure(task: Pick<TaskView, 'failure'>): string {
  const { failure } = task;
  return failure === null ? '' : `${failure.class} ${failure.code}: ${failure.message}`;
}

/** Tasks as a table. @param now - by the wall clock, for their age */
export function taskTable(tasks: readonly TaskView[], now: number, { paint, width }: Drawing): string {
  if (tasks.length === 0) return paint('dim', 'no tasks');
  const columns: readonly Column<TaskView>[] = [
    { title: 'TASK', value: (task) => task.taskId },
    { title: 'PIPELINE', value: (task) => `${task.pipeline}@${task.version}` },
    { title: 'STATE', value: (task) => task.state, tone: (task) => toneOf(task.status) },
    { title: 'ATTEMPT', value: (task) => String(task.attempt), align: 'right' },
    { title: 'CHANGED', value: (task) => `${formatSpan(now - task.updatedAt)} ago`, align: 'right' },
    { title: 'FAILURE', value: describeFailure },
  ];
  return formatTable(columns, tasks, { paint, width });
}

/** One task with its stages. */
export function taskDetail(task: TaskView, now: number, { paint, width }: Drawing): string {
  const head = formatFields(
    [
      ['task', task.taskId],
      ['pipeline', `${task.pipeline}@${task.version}`],
      ['state', `${task.state}${task.pausing ? ' (will be held before its next start)' : ''}`],
      ['attempt', String(task.attempt)],
      ['records', String(task.seq)],
      ...optional('failure', describeFailure(task)),
      ...optional(
        'due',
        task.dueAt === null ? null : `${formatInstant(task.dueAt)} (in ${formatSpan(task.dueAt - now)})`,
      ),
      ['submitted', formatInstant(task.submittedAt)],
      ['changed', `${formatInstant(task.updatedAt)} (${formatSpan(now - task.updatedAt)} ago)`],
      ...optional('ended', task.endedAt === null ? null : formatInstant(task.endedAt)),
      [
        'shard',
        `${task.shard}${task.owner === null ? '' : `, owned by ${task.owner.node} in epoch ${task.owner.epoch}`}`,
      ],
      ['accepts', task.legalCommands.length === 0 ? 'no commands' : task.legalCommands.join(', ')],
      ...optional('input', task.input === undefined ? null : JSON.stringify(task.input)),
    ],
    paint,
  );
  const columns: readonly Column<TaskView['stages'][number]>[] = [
    { title: 'STAGE', value: (stage) => stage.stage },
    { title: 'STATUS', value: (stage) => stage.status, tone: (stage) => toneOf(stage.status) },
    { title: 'ATTEMPTS', value: (stage) => String(stage.attempts), align: 'right' },
    { title: 'INTERRUPTED', value: (stage) => String(stage.interruptions), align: 'right' },
    {
      title: 'TOOK',
      value: (stage) =>
        stage.startedAt === null ? '–' : formatSpan((stage.endedAt ?? task.endedAt ?? now) - stage.startedAt),
      align: 'right',
    },
    { title: 'CHECKPOINTS', value: (stage) => stage.checkpoints.join(' ') },
  ];
  const outputs = Object.entries(task.outputs ?? {}).map(([stage, value]) => [stage, JSON.stringify(value)] as const);
  return [
    head,
    formatTable(columns, task.stages, { paint, width }),
    ...(outputs.length === 0 ? [] : [`${paint('strong', 'OUTPUTS')}\n${formatFields(outputs, paint)}`]),
  ].join('\n\n');
}

function optional(name: string, value: string | null): (readonly [string, string])[] {
  return value === null || value === '' ? [] : [[name, value]];
}
