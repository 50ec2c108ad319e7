import type { Command } from 'commander';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import {
  addAuditOptions,
  addClusterOptions,
  addExamples,
  addOutputOptions,
  shardParser,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';
import { showPin } from './shard-pin-view.ts';

interface ShardUnpinOptions extends ClusterOptions, OutputOptions {
  readonly by?: string;
  readonly reason?: string;
}

/** `cabinet shard unpin`. */
export function addShardUnpin(parent: Command, context: CliContext): void {
  const command = parent
    .command('unpin')
    .description('let a shard that was moved to a node go where placement likes')
    .argument('<shard>', 'the shard', shardParser)
    .action((shard: number, options: ShardUnpinOptions) =>
      withCluster(context, options, async ({ client, audit }) => {
        const { by, reason } = options;
        const action = { action: 'shard.unpin', target: String(shard), by, reason };
        const pinned = await audit.record(action, () => client.cluster.unpinShard(shard));
        showPin(context, options.output, pinned);
      }),
    );
  addOutputOptions(addClusterOptions(addAuditOptions(command)));
  addExamples(command, 'cabinet shard unpin 3');
}
