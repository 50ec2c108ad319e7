import type { EngineError } from '../core/errors.ts';
import { parsePipelineName, type PipelineName, type TaskId } from '../core/ids.ts';
import type { SubmitCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { chooseTaskId } from '../core/task-id.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { parseCommand } from '../transport/parse-command.ts';
import { expectReply } from '../transport/reply-reading.ts';

/** Which task a submit goes to. At most one of the two; a new task when neither is given. */
export interface SubmitIdentity {
  readonly taskId?: string | undefined;
  /** The caller's name for the intention: every submit with it, in this pipeline, is one task. 1 to 1,024 characters. */
  readonly idempotencyKey?: string | undefined;
}

/** Who asks, and why; kept in the journal. */
export interface CommandNote {
  readonly by?: string | undefined;
  readonly reason?: string | undefined;
}

/** The answer to a submit. `existing`: the task was there before, with the same input. */
export interface Submitted {
  readonly kind: 'accepted' | 'existing';
  readonly taskId: TaskId;
  /** The machine's state, such as `parse.queued`. */
  readonly state: string;
}

/** What became of one item of many; a refused one leaves the others alone. */
export type SubmitOutcome = Submitted | { readonly kind: 'error'; readonly error: EngineError };

/** A submit that is ready to go. */
export interface PreparedSubmit {
  readonly command: SubmitCommand;
  readonly fresh: boolean;
}

/** @throws EngineError `INVALID_TASK_ID`, `INVALID_ARGUMENT`, `UNSERIALIZABLE` */
export function prepareSubmit(
  request: SubmitIdentity &
    CommandNote & {
      readonly pipeline: PipelineDefinition | string;
      readonly input: unknown;
      readonly version?: number | undefined;
      /** See {@link SubmitCommand}. */
      readonly waitMs?: number | undefined;
    },
  newId: () => string,
): PreparedSubmit {
  const { pipeline, input, taskId: givenId, idempotencyKey, by, reason, waitMs } = request;
  const name = pipelineName(pipeline);
  const version = request.version ?? (typeof pipeline === 'string' ? undefined : pipeline.version);
  const { taskId, fresh } = chooseTaskId(name, { taskId: givenId, idempotencyKey }, newId);
  // A submit's identity is its task id, so that is its command id too: a repeat by another process has the same.
  const fields: Record<string, unknown> = { type: 'task.submit', taskId, commandId: taskId, pipeline: name, input };
  // What is undefined would be looked at again by the check and by the encoder, only to be left out.
  if (version !== undefined) fields['version'] = version;
  if (by !== undefined) fields['by'] = by;
  if (reason !== undefined) fields['reason'] = reason;
  if (waitMs !== undefined) fields['waitMs'] = waitMs;
  return { command: parseCommand(fields) as SubmitCommand, fresh };
}

/** The name of a pipeline that is given by its definition or by its name. @throws EngineError `INVALID_ARGUMENT` for what is neither */
export function pipelineName(pipeline: PipelineDefinition | string): PipelineName {
  const given: unknown = pipeline;
  return parsePipelineName(typeof given === 'object' && given !== null && 'name' in given ? given.name : given);
}

/** @throws EngineError the owner's refusal */
export function readSubmitted(reply: Reply, fresh: boolean): Submitted {
  const { kind, taskId, state } = expectReply(reply, ['accepted', 'existing']);
  // An id made for this submit alone that is found already was stored by an earlier try, whose answer was lost.
  return { kind: fresh ? 'accepted' : kind, taskId, state };
}
