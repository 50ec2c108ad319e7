import type { Command } from 'commander';
import { shardTable } from './cluster-text.ts';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { runRead } from './view.ts';

/** `cabinet shard list`. */
export function addShardList(parent: Command, context: CliContext): void {
  const command = parent
    .command('list')
    .description('list the shards with their owners, and with who should own them')
    .option('--node <node>', 'only those that this node owns')
    .action(async (options: ReadOptions & { readonly node?: string }) => {
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const status = await client.cluster.status({ deadlineMs });
        const shards = status.shards.filter(({ from }) => options.node === undefined || from === options.node);
        return { document: { shards }, items: shards, text: (drawing) => shardTable(shards, drawing) };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet shard list', 'cabinet shard list --node n-2');
}
