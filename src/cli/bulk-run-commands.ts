import { type Command, InvalidArgumentError } from 'commander';
import { addApiOptions, openApi, type ApiOptions } from './api-connection.ts';
import { orderBulkRun, readBulkRun, readBulkRuns, type BulkView } from './bulk-answers.ts';
import { bulkTable, bulkText } from './bulk-text.ts';
import { exitCodeOfRun, waitForBulk } from './bulk-wait.ts';
import type { CliContext } from './context.ts';
import { addExamples, addOutputOptions, addWatchOption, parseReason, type OutputOptions } from './options.ts';
import { repeatLook, showView, type View } from './view.ts';

interface WatchedOptions extends ApiOptions, OutputOptions {
  readonly watch?: number;
}

interface OrderOptions extends ApiOptions, OutputOptions {
  readonly reason?: string;
}

const orders = {
  pause: 'send nothing more, until it is resumed',
  resume: 'let a paused bulk action go on',
  abort: 'end a bulk action; what it has sent stays as it is',
} as const;

/** `cabinet bulk list`, `show`, `wait`, `pause`, `resume` and `abort`. */
export function addBulkRuns(parent: Command, context: CliContext): void {
  const list = parent
    .command('list')
    .description('list the bulk actions, the newest first; the last hundred that have ended are kept')
    .action(async (options: WatchedOptions) => {
      const api = await openApi(context, options);
      await repeatLook(context, options, async () => {
        const runs = await readBulkRuns(api);
        return { document: { runs }, items: runs, text: (drawing) => bulkTable(runs, context.clock.now(), drawing) };
      });
    });
  addWatchOption(addOutputOptions(addApiOptions(list)));
  addExamples(list, 'cabinet bulk list');

  const show = parent
    .command('show')
    .description('show how far a bulk action is, and what failed')
    .argument('<bulk-id>', 'as `cabinet bulk start` and `list` tell it', parseBulkId)
    .action(async (bulkId: string, options: WatchedOptions) => {
      const api = await openApi(context, options);
      await repeatLook(context, options, async () => viewOf(await readBulkRun(api, bulkId)));
    });
  addWatchOption(addOutputOptions(addApiOptions(show)));
  addExamples(show, 'cabinet bulk show shop-is-back --watch');

  const wait = parent
    .command('wait')
    .description(
      'wait until a bulk action has ended; exit 0 when all of it was done, 1 when some failed, 5 when --timeout is over',
    )
    .argument('<bulk-id>', 'as `cabinet bulk start` and `list` tell it', parseBulkId)
    .action(async (bulkId: string, options: ApiOptions & OutputOptions) => {
      // The time of the command is that of the wait, not of one look.
      const api = await openApi(context, { ...options, timeout: undefined });
      const run = await waitForBulk(context, api, {
        bulkId,
        timeoutMs: options.timeout,
        tells: options.output === 'table',
      });
      showView(context, options.output, viewOf(run));
      context.exitCode = exitCodeOfRun(run);
    });
  addOutputOptions(addApiOptions(wait));
  addExamples(wait, 'cabinet bulk wait shop-is-back --timeout 10m');

  for (const name of Object.keys(orders) as readonly (keyof typeof orders)[]) {
    const command = parent
      .command(name)
      .description(orders[name])
      .argument('<bulk-id>', 'as `cabinet bulk start` and `list` tell it', parseBulkId)
      .option('--reason <text>', 'why; kept in the audit log', parseReason)
      .action(async (bulkId: string, options: OrderOptions) => {
        const api = await openApi(context, options);
        showView(context, options.output, viewOf(await orderBulkRun(api, bulkId, name, options.reason)));
      });
    addOutputOptions(addApiOptions(command));
    addExamples(command, `cabinet bulk ${name} shop-is-back --reason "the shop is down again"`);
  }
}

/** A parser of the name of a bulk action. */
export function parseBulkId(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'It must be 1 to 128 of letters, digits, _ and -, and begin with a letter or a digit.',
  );
}

/** A bulk action in the forms of an output. */
export function viewOf(run: BulkView): View {
  return { document: run, items: [run], text: (drawing) => bulkText(run, drawing) };
}
