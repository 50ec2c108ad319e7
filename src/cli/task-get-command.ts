import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { taskDetail } from './task-text.ts';
import { runRead } from './view.ts';

/** `cabinet task get`. */
export function addTaskGet(parent: Command, context: CliContext): void {
  const command = parent
    .command('get <task-id>')
    .description('show one task as its owner has it now')
    .option('--payloads', 'with its input and the results of its stages')
    .action(async (taskId: string, options: ReadOptions & { readonly payloads?: boolean }) => {
      const includePayloads = options.payloads ?? false;
      await runRead(context, options, async ({ client, deadlineMs }, signal) => {
        const task = await client.get(taskId, { includePayloads, deadlineMs, signal });
        const text = (drawing: Parameters<typeof taskDetail>[2]): string =>
          taskDetail(task, context.clock.now(), drawing);
        return { document: task, items: [task], text };
      });
    });
  addReadOptions(command);
  addExamples(
    command,
    'cabinet task get card-42',
    'cabinet task get card-42 --payloads -o json',
    'cabinet task get card-42 --watch',
  );
}
