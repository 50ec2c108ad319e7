import type { Command } from 'commander';
import { movingShards } from '../cluster/rebalance-report.ts';
import { usageError } from './cli-error.ts';
import { shardTable } from './cluster-text.ts';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { runRead } from './view.ts';

/** `cabinet rebalance`. */
export function addRebalance(parent: Command, context: CliContext): void {
  const command = parent
    .command('rebalance')
    .description('show which shards are about to move, and why; the nodes rebalance by themselves')
    .option('--dry-run', 'required: there is nothing to start by hand')
    .action(async (options: ReadOptions & { readonly dryRun?: boolean }) => {
      if (options.dryRun !== true) {
        throw usageError(
          'rebalance needs --dry-run',
          'the nodes rebalance by themselves; move work away with node drain, a shard with shard move',
        );
      }
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const status = await client.cluster.status({ deadlineMs });
        const shards = movingShards(status);
        const { moves, takeovers, free, isBalanced } = status;
        return {
          document: { shards, moves, takeovers, free, isBalanced },
          items: shards,
          text: (drawing) => shardTable(shards, drawing, 'nothing to move'),
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet rebalance --dry-run');
}
