import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples } from './options.ts';
import { readyLine } from './ready-line.ts';
import { addServeOptions } from './serve-options.ts';
import { serve, type ServeOptions } from './serve.ts';

/** `cabinet start`. */
export function addStart(parent: Command, context: CliContext): void {
  const command = parent
    .command('start')
    .description('run a node: on the NATS server that is named, else on one of its own')
    .action(async (options: ServeOptions) => {
      context.exitCode = await serve(context, options, {
        logFormat: 'auto',
        announce: (node, settings) => {
          if (options.output !== 'table') context.terminal.printJson(readyLine(node, settings, process.pid));
        },
      });
    });
  addServeOptions(command);
  addExamples(
    command,
    'NATS_URL=nats://10.0.0.5:4222 cabinet start --node-id node-1 --grace 30s',
    'cabinet start --data-dir /var/lib/cabinet --log-format json',
  );
}
