import type { NodeStatus } from '../client.ts';
import { withCluster, type ClusterAccess } from './cluster.ts';
import type { CliContext } from './context.ts';
import type { ClusterOptions, OutputOptions } from './options.ts';
import { formatFields } from './table.ts';
import { showView } from './view.ts';

/** Options of a command to a node. */
export interface NodeCommandOptions extends ClusterOptions, OutputOptions {}

/** Sends a command to a node and shows what the node says of itself then. */
export async function commandNode(
  context: CliContext,
  options: NodeCommandOptions,
  send: (access: ClusterAccess) => Promise<NodeStatus>,
): Promise<void> {
  await withCluster(context, options, async (access) => {
    const status = await send(access);
    const { nodeId, incarnation, draining, cordoned, owned, handingOver } = status;
    const fields = [
      ['node', nodeId],
      ['incarnation', incarnation],
      ['draining', draining ? 'yes' : 'no'],
      ['cordoned', cordoned ? 'yes' : 'no'],
      ['shards', String(owned)],
      ['moving', String(handingOver)],
    ] as const;
    showView(context, options.output, {
      document: status,
      items: [status],
      text: ({ paint }) => formatFields(fields, paint),
    });
  });
}
