import { createHash } from 'node:crypto';
import { invalidArgument } from './errors.ts';
import { parseTaskId, type PipelineName, type TaskId } from './ids.ts';

/** Longest idempotency key in characters. */
export const maximumIdempotencyKeyLength = 1_024;
/** Hexadecimal digits of the hash in a derived id: 160 bits, so that two keys never meet by chance. */
const digits = 40;

/**
 * The task id of an idempotency key: `key-` and the first 40 hexadecimal digits of SHA-256 over `<pipeline>\n<key>` in UTF-8.
 *
 * Every client derives the same id, so that each repeat of a submit reaches the same task; the same key in another pipeline
 * is another task. May never change: a repeat across an upgrade must find its task.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a key that is empty, too long or not well-formed text
 */
export function deriveTaskId(pipeline: PipelineName, idempotencyKey: string): TaskId {
  const key: unknown = idempotencyKey;
  if (typeof key !== 'string' || key === '' || key.length > maximumIdempotencyKeyLength || !key.isWellFormed()) {
    const limit = `well-formed text of 1 to ${maximumIdempotencyKeyLength} characters`;
    throw invalidArgument({
      field: 'idempotencyKey',
      message: `idempotencyKey must be ${limit}`,
      limit,
      got: key,
    });
  }
  // A pipeline's name holds no line break, so no two pairs have the same text.
  const hash = createHash('sha256').update(`${pipeline}\n${key}`).digest('hex');
  return `key-${hash.slice(0, digits)}` as TaskId;
}

/** The identity of a submit. `fresh`: the id was made for it, so whatever is found under it came from this very submit. */
export interface TaskIdentity {
  readonly taskId: TaskId;
  readonly fresh: boolean;
}

/**
 * The task id that a submit goes to: the one given, the one of the idempotency key, or a new one.
 *
 * @throws EngineError `INVALID_TASK_ID`, `INVALID_ARGUMENT`; also when both an id and a key are given
 */
export function chooseTaskId(
  pipeline: PipelineName,
  given: { readonly taskId?: unknown; readonly idempotencyKey?: unknown },
  newId: () => string,
): TaskIdentity {
  const { taskId, idempotencyKey } = given;
  if (taskId !== undefined && idempotencyKey !== undefined) {
    throw invalidArgument({
      field: 'idempotencyKey',
      message: 'a submit has a taskId or an idempotencyKey, not both',
      limit: 'one of taskId, idempotencyKey',
    });
  }
  if (taskId !== undefined) return { taskId: parseTaskId(taskId), fresh: false };
  if (idempotencyKey !== undefined) {
    return { taskId: deriveTaskId(pipeline, idempotencyKey as string), fresh: false };
  }
  return { taskId: parseTaskId(newId()), fresh: true };
}
