import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { formatFields } from './table.ts';
import { runRead } from './view.ts';

/** `cabinet status`. */
export function addStatus(parent: Command, context: CliContext): void {
  const command = parent
    .command('status')
    .description('show the engine that answers: its node, version, NATS server and pipelines')
    .action(async (options: ReadOptions) => {
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const info = await client.info({ deadlineMs });
        const pipelines = info.pipelines.map(({ name, version }) => `${name}@${version}`);
        const fields = [
          ['namespace', info.namespace],
          ['node', info.node],
          ['version', info.version],
          ['shards', String(info.shardCount)],
          ['nats', info.server?.version ?? 'unknown'],
          ['durability', info.server?.durability ?? 'unknown'],
          ['pipelines', pipelines.join(', ')],
        ] as const;
        return { document: info, items: [info], text: ({ paint }) => formatFields(fields, paint) };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet status', 'cabinet status --json');
}
