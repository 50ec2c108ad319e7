import type { Command } from 'commander';
import { EngineError } from '../core/errors.ts';
import type { CliContext } from './context.ts';
import { historyTable } from './history-text.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { runRead } from './view.ts';

/** `cabinet task history`. */
export function addTaskHistory(parent: Command, context: CliContext): void {
  const command = parent
    .command('history <task-id>')
    .description('show what the journal has of one task')
    .action(async (taskId: string, options: ReadOptions) => {
      await runRead(context, options, async ({ client, deadlineMs }, signal) => {
        const history = await client.history(taskId);
        if (history.records.length === 0) {
          // Throws TASK_NOT_FOUND unless only its records are gone.
          await client.get(taskId, { deadlineMs, signal });
          throw new EngineError('TASK_NOT_FOUND', `the journal has no records of task ${taskId} any more`, {
            field: 'taskId',
            got: taskId,
            hint: 'records are kept for auditWindowMs; `cabinet task get` shows the task itself',
          });
        }
        const { missingCount } = history;
        return {
          document: history,
          items: history.records,
          text: (drawing) => historyTable(history, drawing),
          notes: missingCount === 0 ? [] : [`${missingCount} older records are trimmed away`],
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet task history card-42', 'cabinet task history card-42 -o jsonl');
}
