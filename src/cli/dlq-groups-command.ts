import type { Command } from 'commander';
import { readDeadLetters } from '../client/read-dead-letters.ts';
import { groupFailures } from '../projections/failure-groups.ts';
import type { CliContext } from './context.ts';
import { addDeadLetterFilter, deadLetterFilterOf, type DeadLetterFilterOptions } from './dead-letter-options.ts';
import { formatSpan } from './duration.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { formatTable } from './table.ts';
import { runRead } from './view.ts';

/** Most dead letters that are read to be grouped. */
const maximumGrouped = 100_000;

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
