import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { orderNode, type NodeCommandOptions } from './node-command.ts';
import { addAuditOptions, addClusterOptions, addExamples, addOutputOptions } from './options.ts';

/** `cabinet node drain`. */
export function addNodeDrain(parent: Command, context: CliContext): void {
  const command = parent
    .command('drain <node>')
    .description('let a node hand over all its shards to the others and stay, until it is uncordoned')
    .action((nodeId: string, options: NodeCommandOptions) =>
      orderNode(context, options, { name: 'drain', nodeId }, ({ client, deadlineMs }) =>
        client.cluster.drain(nodeId, { deadlineMs }),
      ),
    );
  addOutputOptions(addClusterOptions(addAuditOptions(command)));
  addExamples(command, 'cabinet node drain n-2 --reason "kernel upgrade"');
}
