import type { Command } from 'commander';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import {
  addClusterOptions,
  addExamples,
  addOutputOptions,
  shardParser,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';
import { showPin } from './shard-pin-view.ts';

/** `cabinet shard unpin`. */
export function addShardUnpin(parent: Command, context: CliContext): void {
  const command = parent
    .command('unpin')
    .description('let a shard that was moved to a node go where placement likes')
    .argument('<shard>', 'the shard', shardParser)
    .action((shard: number, options: ClusterOptions & OutputOptions) =>
      withCluster(context, options, async ({ client }) => {
        showPin(context, options.output, await client.cluster.unpinShard(shard));
      }),
    );
  addOutputOptions(addClusterOptions(command));
  addExamples(command, 'cabinet shard unpin 3');
}
