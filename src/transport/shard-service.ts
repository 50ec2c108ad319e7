import { EngineError } from '../core/errors.ts';
import type { ShardId } from '../core/ids.ts';
import type { ShardCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { shardSubject } from '../core/subjects.ts';
import type { Bus, BusRequest, BusService } from '../ports/bus.ts';
import type { Logger } from '../ports/logger.ts';
import type { Counter } from '../ports/metrics.ts';
import type { Tracing } from '../ports/tracing.ts';
import { startHandlingSpan } from './request-spans.ts';
import { readTraceHeaders } from './trace-headers.ts';
import { AnswersInParts, type RequestAnswers, WholeAnswer } from './request-answers.ts';
import { decodeRequest, encodeRejection } from './request-codec.ts';

/** Takes one command; calls `respond` exactly once. */
export type DeliverCommand = (command: ShardCommand, respond: (reply: Reply) => void) => void;

/** What {@link serveShard} asks of the outside. */
export interface ShardServiceDeps {
  readonly bus: Bus;
  readonly namespace: string;
  readonly logger: Logger;
  /** Counts requests without a reply subject: nobody would hear the answer, so they are never worked on. */
  readonly unanswerable: Counter;
  readonly maximumReplyBytes: number;
  readonly tracing?: Tracing | undefined;
}

/**
 * Serves a shard's subject: bytes become commands here, once, and replies become bytes. Only the shard's owner calls this, so
 * that the bus is the routing table.
 */
export function serveShard(deps: ShardServiceDeps, shard: ShardId, deliver: DeliverCommand): Promise<BusService> {
  return deps.bus.serve(shardSubject(deps.namespace, shard), (request) => handle(deps, shard, request, deliver));
}

function handle(deps: ShardServiceDeps, shard: ShardId, request: BusRequest, deliver: DeliverCommand): void {
  if (!request.canReply) {
    deps.unanswerable.add();
    deps.logger.warn({ subject: request.subject }, 'a request without a reply subject was dropped');
    return;
  }
  const decoded = decodeRequest(request.body);
  if (decoded.kind === 'rejected') return request.reply(encodeRejection(decoded.error));
  const { commands } = decoded;
  const answers = answersTo(request, commands.length, deps.maximumReplyBytes);
  const traceparents = readTraceHeaders(request.headers, commands.length);
  for (const [index, command] of commands.entries()) {
    const settle = (reply: Reply): void => answers.add(index, reply);
    if (command instanceof EngineError) settle({ kind: 'error', error: command.toReport() });
    else deliverTraced(deps, shard, command, traceparents[index], deliver, settle);
  }
}

function answersTo(request: BusRequest, count: number, maximumBytes: number): RequestAnswers {
  return request.takesParts === true
    ? new AnswersInParts(request, count, maximumBytes)
    : new WholeAnswer(request, count, maximumBytes);
}

/** The trace goes along with the command: what a task makes of it later is linked to who asked for it. */
function deliverTraced(
  deps: ShardServiceDeps,
  shard: ShardId,
  command: ShardCommand,
  traceparent: string | undefined,
  deliver: DeliverCommand,
  settle: (reply: Reply) => void,
): void {
  if (traceparent === undefined) return deliver(command, settle);
  const { tracing, namespace } = deps;
  const traced = 'commandId' in command ? { ...command, traceparent } : command;
  if (tracing?.isOn !== true) return deliver(traced, settle);
  const span = startHandlingSpan(tracing, { namespace, shard, command, traceparent });
  deliver(traced, (reply) => {
    span.end(reply.kind === 'error' ? { type: reply.error.code, message: reply.error.message } : undefined);
    settle(reply);
  });
}
