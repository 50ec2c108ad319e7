import type { Command } from 'commander';
import { nodeTable, waitingOrderNotes } from './cluster-text.ts';
import type { CliContext } from './context.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { runRead } from './view.ts';

/** `cabinet node list`. */
export function addNodeList(parent: Command, context: CliContext): void {
  const command = parent
    .command('list')
    .description('list the nodes that have a lease, with what they have and should have')
    .action(async (options: ReadOptions) => {
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const { nodes, waitingOrders } = await client.cluster.status({ deadlineMs });
        return {
          document: { nodes, waitingOrders },
          items: nodes,
          text: (drawing) => nodeTable(nodes, drawing),
          notes: waitingOrderNotes(waitingOrders),
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet node list', 'cabinet node list -o jsonl | jq .nodeId');
}
