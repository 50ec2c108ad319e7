import type { Command } from 'commander';
import { withCluster } from './cluster.ts';
import { shardTable } from './cluster-text.ts';
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
import { showView } from './view.ts';

interface ShardMoveOptions extends ClusterOptions, OutputOptions {
  readonly by?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
  /** False for `--no-wait`. */
  readonly wait: boolean;
}

/** `cabinet shard move`. */
export function addShardMove(parent: Command, context: CliContext): void {
  const command = parent
    .command('move')
    .description('pin a shard to a node, which gets it in good order and keeps it until it is unpinned')
    .argument('<shard>', 'the shard', shardParser)
    .argument('<node>', 'the node')
    .option('--dry-run', 'only show what would move')
    .option('--no-wait', 'do not wait until the node has it')
    .action((shard: number, nodeId: string, options: ShardMoveOptions) =>
      withCluster(context, options, async ({ client, deadlineMs, audit }) => {
        if (options.dryRun === true) {
          const shards = await client.cluster.planMove(shard, nodeId, { deadlineMs });
          showView(context, options.output, {
            document: { shards },
            items: shards,
            text: (drawing) => shardTable(shards, drawing, 'nothing to move'),
          });
          return;
        }
        const { by, reason } = options;
        const action = { action: 'shard.move', target: String(shard), by, reason, parameters: { nodeId } };
        const pinned = await audit.record(action, () =>
          client.cluster.moveShard(shard, nodeId, { deadlineMs, wait: options.wait }),
        );
        showPin(context, options.output, pinned);
      }),
    );
  addOutputOptions(addClusterOptions(addAuditOptions(command)));
  addExamples(
    command,
    'cabinet shard move 3 n-2 --dry-run',
    'cabinet shard move 3 n-2 --timeout 1m --reason "n-1 is hot"',
  );
}
