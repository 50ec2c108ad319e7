import type { Command } from 'commander';
import type { TaskView } from '../client.ts';
import { maskMessage } from '../projections/failure-fingerprint.ts';
import type { CliContext } from './context.ts';
import {
  addDeadLetterFilter,
  deadLetterFilterOf,
  readDeadLetters,
  type DeadLetterFilterOptions,
} from './dead-letter-options.ts';
import { fingerprintOf } from './dlq-list-command.ts';
import { formatSpan } from './duration.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { formatTable } from './table.ts';
import { runRead } from './view.ts';

/** Most dead letters that are read to be grouped. */
const maximumGrouped = 100_000;

/** Dead letters of one kind. */
export interface FailureGroup {
  /** Null: those without a failure. */
  readonly fingerprint: string | null;
  readonly count: number;
  readonly pipelines: readonly string[];
  readonly stage: string | null;
  readonly class: string | null;
  readonly code: string | null;
  /** What their messages have in common. */
  readonly message: string;
  readonly oldestAt: number;
  readonly newestAt: number;
  /** The one given up last. */
  readonly sampleTaskId: string;
}

/** `cabinet dlq groups`. */
export function addDlqGroups(parent: Command, context: CliContext): void {
  const command = addDeadLetterFilter(parent.command('groups'))
    .description('count the dead letters by kind of failure, the most frequent first')
    .action(async (options: ReadOptions & DeadLetterFilterOptions) => {
      await runRead(context, options, async ({ client, deadlineMs }, signal) => {
        const request = { maximum: maximumGrouped, deadlineMs, signal };
        const { tasks, hasMore } = await readDeadLetters(client, deadLetterFilterOf(options), request);
        const groups = groupFailures(tasks);
        return {
          document: { groups, hasMore },
          items: groups,
          text: ({ paint, width }) => {
            if (groups.length === 0) return paint('good', 'no dead letters');
            const now = context.clock.now();
            return formatTable(
              [
                { title: 'COUNT', value: (group) => String(group.count), align: 'right' },
                { title: 'FINGERPRINT', value: (group) => group.fingerprint ?? '–' },
                { title: 'PIPELINES', value: (group) => group.pipelines.join(' ') },
                { title: 'STAGE', value: (group) => group.stage ?? '–' },
                { title: 'NEWEST', value: (group) => `${formatSpan(now - group.newestAt)} ago`, align: 'right' },
                { title: 'FAILURE', value: (group) => `${group.class ?? ''} ${group.code ?? ''}: ${group.message}` },
              ],
              groups,
              { paint, width },
            );
          },
          notes: hasMore ? [`only the first ${maximumGrouped} dead letters are counted`] : [],
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet dlq groups', 'cabinet dlq groups --pipeline card --json');
}

/** The tasks by kind of failure, the most frequent kind first. Pure. */
export function groupFailures(tasks: readonly TaskView[]): readonly FailureGroup[] {
  const members = new Map<string | null, TaskView[]>();
  for (const task of tasks) {
    const fingerprint = fingerprintOf(task);
    const group = members.get(fingerprint);
    if (group === undefined) members.set(fingerprint, [task]);
    else group.push(task);
  }
  return [...members]
    .flatMap(([fingerprint, group]) => {
      const sample = group.toSorted((one, other) => one.updatedAt - other.updatedAt).at(-1);
      return sample === undefined ? [] : [groupOf(fingerprint, group, sample)];
    })
    .toSorted((one, other) => other.count - one.count || other.newestAt - one.newestAt);
}

function groupOf(fingerprint: string | null, tasks: readonly TaskView[], sample: TaskView): FailureGroup {
  const { failure, stage, taskId, updatedAt } = sample;
  return {
    fingerprint,
    count: tasks.length,
    pipelines: [...new Set(tasks.map((task) => task.pipeline))],
    stage,
    class: failure?.class ?? null,
    code: failure?.code ?? null,
    message: failure === null ? '' : maskMessage(failure.message, taskId),
    oldestAt: tasks.reduce((least, task) => Math.min(least, task.updatedAt), updatedAt),
    newestAt: updatedAt,
    sampleTaskId: taskId,
  };
}
