import type { Command } from 'commander';
import { readSettings } from './cluster.ts';
import type { CliContext } from './context.ts';
import { addHealthOptions } from './health-options.ts';
import { addExamples, durationParser, integerParser } from './options.ts';
import { readyLine } from './ready-line.ts';
import { addServeOptions } from './serve-options.ts';
import { serve, type ServeOptions } from './serve.ts';

/** `cabinet start`. */
export function addStart(parent: Command, context: CliContext): void {
  const command = parent
    .command('start')
    .description('run a node, or several as processes: on the NATS server that is named, else on one of its own')
    .action(async (options: ServeOptions) => {
      const settings = await readSettings(context, options);
      if (settings.supervisor.processes !== undefined) {
        const { supervise } = await import('./supervise.ts');
        context.exitCode = await supervise(context, options, settings, (line) => {
          if (options.output !== 'table') context.terminal.printJson(line);
        });
        return;
      }
      context.exitCode = await serve(context, options, {
        logFormat: 'auto',
        servesConsole: false,
        announce: (node, _settings, consoleUrl) => {
          if (options.output !== 'table')
            context.terminal.printJson(readyLine(node, settings, process.pid, consoleUrl));
        },
      });
    });
  addHealthOptions(addServeOptions(command))
    .option(
      '--nodes <count>',
      'run so many nodes, each a process, under a supervisor (env CABINET_PROCESSES)',
      integerParser({ least: 1, most: 1_024 }),
    )
    .option(
      '--hung-after <duration>',
      'with --nodes: a node process without a sign of life for so long is started again',
      durationParser({ least: 3_000, most: 3_600_000 }),
    );
  addExamples(
    command,
    'NATS_URL=nats://10.0.0.5:4222 cabinet start --node-id node-1 --grace 30s',
    'cabinet start --data-dir /var/lib/cabinet --log-format json',
    'cabinet start --nodes 4',
    'cabinet start --health-host 0.0.0.0 --health-port 4281',
  );
}
