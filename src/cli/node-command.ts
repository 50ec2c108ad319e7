import type { NodeOrdered } from '../client.ts';
import { auditNodeOrder } from '../client/audited-commands.ts';
import { withCluster, type ClusterAccess } from './cluster.ts';
import type { CliContext } from './context.ts';
import type { ClusterOptions, OutputOptions } from './options.ts';
import { formatFields } from './table.ts';
import { showView } from './view.ts';

/** Options of an order for a node. */
export interface NodeCommandOptions extends ClusterOptions, OutputOptions {
  readonly by?: string;
  readonly reason?: string;
}

/** Gives an order for a node, and shows what the node says of itself when it has followed. */
export async function orderNode(
  context: CliContext,
  options: NodeCommandOptions,
  asked: { readonly name: 'cordon' | 'uncordon' | 'drain'; readonly nodeId: string },
  give: (access: ClusterAccess) => Promise<NodeOrdered>,
): Promise<void> {
  await withCluster(context, options, async (access) => {
    const { by, reason } = options;
    const ordered = await auditNodeOrder(access.audit, { ...asked, by, reason }, () => give(access));
    const { nodeId, order, status } = ordered;
    const fields = [
      ['node', nodeId],
      ['order', order ?? 'none'],
      ...(status === null
        ? []
        : ([
            ['incarnation', status.incarnation],
            ['draining', status.draining ? 'yes' : 'no'],
            ['cordoned', status.cordoned ? 'yes' : 'no'],
            ['shards', String(status.owned)],
            ['moving', String(status.handingOver)],
          ] as const)),
    ] as const;
    showView(context, options.output, {
      document: ordered,
      items: [ordered],
      text: ({ paint }) => formatFields(fields, paint),
      notes: status === null ? [`node ${nodeId} is not up; the order is kept`] : [],
    });
  });
}
