import type { Command } from 'commander';
import type { OperatorResolution } from '../core/messages.ts';
import { usageError } from './cli-error.ts';
import type { CliContext } from './context.ts';
import { parseJsonText } from './json-input.ts';
import { addExamples } from './options.ts';
import {
  addControlOptions,
  controlTasks,
  expectedSeqOption,
  type ControlCommandOptions,
} from './task-control-commands.ts';

interface TaskResolveOptions extends ControlCommandOptions {
  readonly completed?: string;
  readonly notDone?: boolean;
  readonly failed?: string;
}

/** `cabinet task resolve`. */
export function addTaskResolve(parent: Command, context: CliContext): void {
  const command = parent
    .command('resolve <task-id>')
    .description('say what became of a stage whose outcome is unknown')
    .option('--completed <json>', "it took effect, and this is the stage's result")
    .option('--not-done', 'it did not take effect: run it again')
    .option('--failed <message>', 'give it up as a dead letter')
    .option('--command-id <id>', 'name of this command: a repeat with it has no further effect')
    .addOption(expectedSeqOption())
    .action(async (taskId: string, options: TaskResolveOptions) => {
      const resolution = readResolution(options);
      await controlTasks(context, options, { name: 'resolve', taskIds: [taskId] }, (client, id, control) =>
        client.resolve(id, resolution, control),
      );
    });
  addControlOptions(command);
  addExamples(
    command,
    `cabinet task resolve card-42 --completed '{"url":"https://example.org/42"}'`,
    'cabinet task resolve card-42 --not-done --reason "the shop has no such card"',
  );
}

/** What the options say became of the stage. @throws EngineError `INVALID_ARGUMENT` unless exactly one says it */
export function readResolution(
  options: Pick<TaskResolveOptions, 'completed' | 'notDone' | 'failed'>,
): OperatorResolution {
  const { completed, notDone, failed } = options;
  const given = [completed, notDone, failed].filter((value) => value !== undefined && value !== false);
  if (given.length !== 1) {
    throw usageError(
      `${given.length === 0 ? 'nothing says' : 'more than one option says'} what became of the stage`,
      "give one of --completed '<json>', --not-done, --failed '<message>'",
    );
  }
  if (completed !== undefined) return { kind: 'completed', output: parseJsonText(completed, '--completed') };
  return failed === undefined ? { kind: 'notDone' } : { kind: 'failed', message: failed };
}
