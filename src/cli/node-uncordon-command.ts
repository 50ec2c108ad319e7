import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { orderNode, type NodeCommandOptions } from './node-command.ts';
import { addAuditOptions, addClusterOptions, addExamples, addOutputOptions } from './options.ts';

/** `cabinet node uncordon`. */
export function addNodeUncordon(parent: Command, context: CliContext): void {
  const command = parent
    .command('uncordon <node>')
    .description('take a cordon or a drain of a node back')
    .action((nodeId: string, options: NodeCommandOptions) =>
      orderNode(context, options, { name: 'uncordon', nodeId }, ({ client, deadlineMs }) =>
        client.cluster.uncordon(nodeId, { deadlineMs }),
      ),
    );
  addOutputOptions(addClusterOptions(addAuditOptions(command)));
  addExamples(command, 'cabinet node uncordon n-2 --reason "the disk is new"');
}
