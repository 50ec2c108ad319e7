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
      withCluster(context, options, async ({ client, audit }) => {
        const action = { action: 'shard.unpin', target: String(shard) };
        const pinned = await audit.record(action, () => client.cluster.unpinShard(shard));
        showPin(context, options.output, pinned);
      }),
    );
  addOutputOptions(addClusterOptions(command));
  addExamples(command, 'cabinet shard unpin 3');
}
