import { type Command, Option } from 'commander';
import { taskStatuses } from '../admin/schemas/tasks.ts';
import { finishedStatuses, type TaskStatus } from '../core/task-view.ts';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, integerParser, type ReadOptions } from './options.ts';
import { taskTable } from './task-text.ts';
import { runRead } from './view.ts';

interface TaskListOptions extends ReadOptions {
  readonly pipeline?: string;
  readonly status?: TaskStatus;
  readonly finished?: boolean;
  readonly limit: number;
  readonly after?: string;
}

/** `cabinet task list`. */
export function addTaskList(parent: Command, context: CliContext): void {
  const command = parent
    .command('list')
    .description('list tasks in the order of their ids')
    .option('--pipeline <name>', 'only of this pipeline')
    .addOption(new Option('--status <status>', 'only of this status').choices(taskStatuses))
    .option('--finished', 'with completed and canceled tasks within their retention')
    .option('--limit <count>', 'most tasks, 1 to 1000', integerParser({ least: 1, most: 1_000 }), 100)
    .option('--after <task-id>', 'go on after this one')
    .action(async (options: TaskListOptions) => {
      const { pipeline, status, limit, after } = options;
      // Who asks for a finished status means finished tasks.
      const includeFinished = options.finished === true || (status !== undefined && finishedStatuses.includes(status));
      await runRead(context, options, async ({ client, deadlineMs }, signal) => {
        const page = await client.list({ pipeline, status, limit, after, includeFinished, deadlineMs, signal });
        return {
          document: page,
          items: page.tasks,
          text: (drawing) => taskTable(page.tasks, context.clock.now(), drawing),
          notes: page.next === null ? [] : [`there are more: --after ${page.next}`],
        };
      });
    });
  addReadOptions(command);
  addExamples(
    command,
    'cabinet task list --status deadLettered',
    'cabinet task list --pipeline card --finished -o jsonl | jq .taskId',
    'cabinet task list --watch=1',
  );
}
