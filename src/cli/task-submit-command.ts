import type { Command } from 'commander';
import { usageError } from './cli-error.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import { parseJsonText, readJsonFile } from './json-input.ts';
import {
  addClusterOptions,
  addExamples,
  addNoteOptions,
  addOutputOptions,
  type ClusterOptions,
  integerParser,
  type OutputOptions,
} from './options.ts';
import { submitLines } from './submit-lines.ts';
import { waitForResult } from './task-wait-command.ts';
import { showView } from './view.ts';

/** Options of `cabinet task submit`. */
export interface TaskSubmitOptions extends ClusterOptions, OutputOptions {
  readonly input?: string;
  readonly inputFile?: string;
  readonly jsonl?: string;
  readonly envelope?: boolean;
  readonly keyField?: string;
  readonly id?: string;
  readonly idempotencyKey?: string;
  readonly pipelineVersion?: number;
  readonly wait?: boolean;
  readonly by?: string;
  readonly reason?: string;
}

/** `cabinet task submit`. */
export function addTaskSubmit(parent: Command, context: CliContext): void {
  const command = parent
    .command('submit <pipeline>')
    .description('create a task, or many; each is durable when its answer is there')
    .option('--input <json>', 'the input')
    .option('--input-file <file>', 'the input is in this file, or on stdin for -')
    .option('--jsonl <file>', 'one input a line, in this file or on stdin for -')
    .option('--envelope', 'a line is {"input": …, "taskId"?: …, "idempotencyKey"?: …}')
    .option('--key-field <name>', "this field of each line's input is the idempotency key")
    .option('--id <task-id>', 'the id of the task; a new one when left out')
    .option('--idempotency-key <key>', 'every submit with this key is one task')
    .option(
      '--pipeline-version <number>',
      'version of the pipeline; the newest when left out',
      integerParser({ least: 1, most: Number.MAX_SAFE_INTEGER }),
    )
    .option('--wait', 'wait until the task has ended, as `task wait` does; then --timeout bounds the wait')
    .action(async (pipeline: string, options: TaskSubmitOptions) => {
      checkSubmitOptions(options);
      if (options.jsonl === undefined) await submitOne(context, pipeline, options);
      else await submitLines(context, pipeline, { ...options, jsonl: options.jsonl });
    });
  addOutputOptions(addClusterOptions(addNoteOptions(command)));
  addExamples(
    command,
    `cabinet task submit card --input '{"source":"cards/42"}' --wait`,
    'cabinet task submit card --input-file card.json --idempotency-key card-42',
    'cabinet task submit card --jsonl cards.jsonl --key-field source',
  );
}

/** @throws EngineError `INVALID_ARGUMENT` for options that do not go together */
export function checkSubmitOptions(options: TaskSubmitOptions): void {
  const inputs = [options.input, options.inputFile, options.jsonl].filter((value) => value !== undefined);
  if (inputs.length !== 1) {
    throw usageError(
      inputs.length === 0 ? 'there is no input' : 'there is more than one input',
      "give one of --input '<json>', --input-file <file|->, --jsonl <file|->",
      'input',
    );
  }
  if (options.id !== undefined && options.idempotencyKey !== undefined) {
    throw usageError('--id and --idempotency-key exclude each other', 'a key makes the id', 'id');
  }
  if (options.jsonl === undefined) {
    if (options.envelope === true) throw usageError('--envelope is for --jsonl', undefined, 'envelope');
    if (options.keyField !== undefined) throw usageError('--key-field is for --jsonl', undefined, 'keyField');
    return;
  }
  if (options.wait === true) throw usageError('--wait is for one task, not for --jsonl', 'wait by `cabinet task wait`');
  if (options.id !== undefined || options.idempotencyKey !== undefined) {
    throw usageError(
      '--id and --idempotency-key are for one task, not for --jsonl',
      'give each line its own by --envelope, or its key by --key-field',
    );
  }
  if (options.envelope === true && options.keyField !== undefined) {
    throw usageError('--envelope and --key-field exclude each other', 'an envelope has its idempotencyKey');
  }
}

async function submitOne(context: CliContext, pipeline: string, options: TaskSubmitOptions): Promise<void> {
  const { id, idempotencyKey, pipelineVersion, by, reason, wait, timeout } = options;
  const input =
    options.input === undefined
      ? await readJsonFile(context, options.inputFile ?? '-', '--input-file')
      : parseJsonText(options.input, '--input');
  await withCluster(context, options, async ({ client, deadlineMs }) => {
    const submitted = await client.submit(pipeline, input, {
      taskId: id,
      idempotencyKey,
      version: pipelineVersion,
      by,
      reason,
      deadlineMs,
    });
    const { taskId, kind, state } = submitted;
    if (wait !== true) {
      showView(context, options.output, {
        document: submitted,
        items: [submitted],
        text: ({ paint }) => `${taskId} ${paint('good', kind)} ${paint('dim', `(${state})`)}`,
      });
      return;
    }
    // Whoever gives the wait up must know which task it is.
    context.terminal.note(`${taskId} ${kind}`);
    showView(context, options.output, await waitForResult(context, client, { pipeline, taskId, timeoutMs: timeout }));
  });
}
