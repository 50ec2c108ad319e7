import type { Command } from 'commander';
import { clusterSummary, waitingOrderNotes } from './cluster-text.ts';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { runRead } from './view.ts';

/** `cabinet cluster status`. */
export function addClusterStatus(parent: Command, context: CliContext): void {
  const command = parent
    .command('status')
    .description('show the nodes, how many shards each has and should have, and whether anything is to move')
    .action(async (options: ReadOptions) => {
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const status = await client.cluster.status({ deadlineMs });
        return {
          document: status,
          items: [status],
          text: (drawing) => clusterSummary(status, drawing),
          notes: waitingOrderNotes(status.waitingOrders),
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet cluster status', 'cabinet cluster status --watch');
}
