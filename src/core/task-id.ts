import { createHash } from 'node:crypto';
import { invalidArgument } from './errors.ts';
import type { PipelineName, TaskId } from './ids.ts';

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
