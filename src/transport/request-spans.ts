import { shardSubject } from '../core/subjects.ts';
import type { ShardId } from '../core/ids.ts';
import type { ShardCommand, TaskCommand } from '../core/messages.ts';
import type { SpanAttributes, TraceSpan, Tracing } from '../ports/tracing.ts';

/** A command on its way, as its spans show it. */
interface TracedCommand {
  readonly namespace: string;
  readonly shard: ShardId;
  readonly command: ShardCommand;
}

/** The client's span of a command, from its call to its answer. A submit is a message for later; anything else is a call. */
export function startSendingSpan(tracing: Tracing, sent: TracedCommand & { readonly command: TaskCommand }): TraceSpan {
  const operation = sent.command.type.slice('task.'.length);
  return tracing.start({
    name: `${operation} ${destinationOf(sent.namespace)}`,
    kind: sent.command.type === 'task.submit' ? 'producer' : 'client',
    attributes: attributesOf(sent, operation, 'send'),
    parent: 'current',
  });
}

/** The owner's span of a command, from its arrival to its answer: the client waits, so it is a child of the client's. */
export function startHandlingSpan(
  tracing: Tracing,
  handled: TracedCommand & { readonly traceparent: string },
): TraceSpan {
  return tracing.start({
    name: `process ${destinationOf(handled.namespace)}`,
    kind: 'consumer',
    attributes: attributesOf(handled, 'process', 'process'),
    parent: { traceparent: handled.traceparent },
  });
}

/** The subjects of all shards in one name. */
function destinationOf(namespace: string): string {
  return `${namespace}.shard.{shard}`;
}

/** @see OpenTelemetry semantic conventions for messaging spans */
function attributesOf({ namespace, shard, command }: TracedCommand, name: string, type: string): SpanAttributes {
  const attributes: Record<string, string> = {
    'messaging.system': 'nats',
    'messaging.operation.name': name,
    'messaging.operation.type': type,
    'messaging.destination.name': shardSubject(namespace, shard),
    'messaging.destination.template': destinationOf(namespace),
    'messaging.destination.partition.id': String(shard),
    'cabinet.command': command.type,
  };
  if ('taskId' in command) attributes['messaging.message.conversation_id'] = command.taskId;
  if ('commandId' in command) attributes['messaging.message.id'] = command.commandId;
  if (command.type === 'task.submit') attributes['cabinet.pipeline'] = command.pipeline;
  return attributes;
}
