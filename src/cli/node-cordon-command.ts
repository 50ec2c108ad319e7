import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { orderNode, type NodeCommandOptions } from './node-command.ts';
import { addAuditOptions, addClusterOptions, addExamples, addOutputOptions } from './options.ts';

/** `cabinet node cordon`. */
export function addNodeCordon(parent: Command, context: CliContext): void {
  const command = parent
    .command('cordon <node>')
    .description('let a node keep what it has and take nothing new, until it is uncordoned')
    .action((nodeId: string, options: NodeCommandOptions) =>
      orderNode(context, options, { name: 'cordon', nodeId }, ({ client, deadlineMs }) =>
        client.cluster.cordon(nodeId, { deadlineMs }),
      ),
    );
  addOutputOptions(addClusterOptions(addAuditOptions(command)));
  addExamples(command, 'cabinet node cordon n-2 --reason "its disk is slow"');
}
