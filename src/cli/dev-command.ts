import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples } from './options.ts';
import { describePipeline, readyLine, type ReadyLine } from './ready-line.ts';
import { addServeOptions } from './serve-options.ts';
import { serve, type ServeOptions } from './serve.ts';
import type { Settings } from './settings.ts';
import { formatFields } from './table.ts';
import type { Paint } from './terminal.ts';

/** `cabinet dev`. */
export function addDev(parent: Command, context: CliContext): void {
  const command = parent
    .command('dev')
    .description(
      'run a NATS server, a node with the pipelines of the configuration file and the console, with logs for people',
    )
    .action(async (options: ServeOptions) => {
      const { terminal } = context;
      context.exitCode = await serve(context, options, {
        logFormat: 'pretty',
        servesConsole: true,
        announce: (node, settings, consoleUrl) => {
          const line = readyLine(node, settings, process.pid, consoleUrl);
          if (options.output === 'table') terminal.print(devBanner(line, settings, terminal.paint, options.dataDir));
          else terminal.printJson(line);
        },
      });
    });
  addServeOptions(command);
  addExamples(command, 'cabinet dev', 'cabinet dev --config pipelines/cabinet.config.mjs --log-level debug');
}

/** What a person who starts a node needs to know: what runs, where, and how to give it work. Pure. */
export function devBanner(
  line: ReadyLine,
  settings: Pick<Settings, 'file'>,
  paint: Paint,
  dataDirFlag?: string,
): string {
  const pipelines = settings.file?.config.pipelines ?? [];
  const first = pipelines[0]?.name ?? '<pipeline>';
  const where = dataDirFlag === undefined ? '' : ` --data-dir ${dataDirFlag}`;
  const fields = formatFields(
    [
      ['  node', line.nodeId],
      ['  nats', line.natsUrl],
      ...(line.dataDir === null ? [] : [['  data', line.dataDir] as const]),
      ...(line.consoleUrl === null ? [] : [['  console', line.consoleUrl] as const]),
      ['  namespace', line.namespace],
      ['  durability', line.durability],
      ...pipelines.map((pipeline, index) => [index === 0 ? '  pipelines' : '', describePipeline(pipeline)] as const),
    ],
    paint,
  );
  return [
    paint('good', 'cabinet is ready'),
    fields,
    '',
    'In another terminal, in this folder:',
    `  cabinet task submit ${first}${where} --input '{…}' --wait`,
    `  cabinet task list${where} --watch`,
    '',
    paint('dim', 'Ctrl-C drains and stops; a second one stops at once.'),
  ].join('\n');
}
