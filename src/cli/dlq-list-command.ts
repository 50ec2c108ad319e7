import type { Command } from 'commander';
import { readDeadLetters } from '../client/read-dead-letters.ts';
import { fingerprintOf } from '../projections/failure-groups.ts';
import type { CliContext } from './context.ts';
import { addDeadLetterFilter, deadLetterFilterOf, type DeadLetterFilterOptions } from './dead-letter-options.ts';
import { formatSpan } from './duration.ts';
import { addExamples, addReadOptions, integerParser, type ReadOptions } from './options.ts';
import { formatTable } from './table.ts';
import { describeFailure } from './task-text.ts';
import { runRead } from './view.ts';

/** `cabinet dlq list`. */
export function addDlqList(parent: Command, context: CliContext): void {
  const command = addDeadLetterFilter(parent.command('list'))
    .description('list the tasks that were given up, in the order of their ids')
    .option('--limit <count>', 'most tasks', integerParser({ least: 1, most: 100_000 }), 100)
    .action(async (options: ReadOptions & DeadLetterFilterOptions & { readonly limit: number }) => {
      await runRead(context, options, async ({ client, deadlineMs }, signal) => {
        const request = { maximum: options.limit, deadlineMs, signal };
        const { tasks, hasMore } = await readDeadLetters(client, deadLetterFilterOf(options), request);
        const letters = tasks.map((task) => ({ ...task, fingerprint: fingerprintOf(task) }));
        return {
          document: { tasks: letters, hasMore },
          items: letters,
          text: ({ paint, width }) => {
            if (letters.length === 0) return paint('good', 'no dead letters');
            const now = context.clock.now();
            return formatTable(
              [
                { title: 'TASK', value: (task) => task.taskId },
                { title: 'PIPELINE', value: (task) => `${task.pipeline}@${task.version}` },
                { title: 'STAGE', value: (task) => task.stage ?? '–' },
                { title: 'GIVEN UP', value: (task) => `${formatSpan(now - task.updatedAt)} ago`, align: 'right' },
                { title: 'FINGERPRINT', value: (task) => task.fingerprint ?? '–' },
                { title: 'FAILURE', value: describeFailure, tone: () => 'bad' },
              ],
              letters,
              { paint, width },
            );
          },
          notes: hasMore ? [`there are more than ${options.limit}: raise --limit, or see \`cabinet dlq groups\``] : [],
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet dlq list', 'cabinet dlq list --pipeline card --stage publish --code HTTP_503 --json');
}
