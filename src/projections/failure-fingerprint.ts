import type { Failure } from '../core/failures.ts';
import { contentHash } from '../core/hash.ts';
import type { StageName, TaskId } from '../core/ids.ts';

/** Characters of a fingerprint: 64 bits, ample for telling the kinds of failure of one system apart. */
const fingerprintLength = 16;

/**
 * A short hash that failures of one kind share: the stage, the failure's class and code, and its message without what varies
 * from one occurrence to the next. Stable: a change here regroups every stored dead letter.
 */
export function fingerprintFailure(stage: StageName | null, failure: Failure, taskId: TaskId): string {
  const { class: failureClass, code, message } = failure;
  return contentHash([stage, failureClass, code, maskMessage(message, taskId)]).slice(0, fingerprintLength);
}

// An apostrophe within a word opens no quotation.
const quotations = /"[^"\n]*"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)/g;
const words = /[A-Za-z0-9_-]+/g;
/** Hexadecimal digits that are likelier a hash or an address than a word: `deadbeef`, not `decade`. */
const hexWord = /^(?:0[xX])?[0-9a-fA-F]{8,}$/;
const digit = /[0-9]/;

/**
 * A failure message with quotations, numbers, ids (the task's own, and every word with a digit in it) and hexadecimal words
 * put out of sight, such as `card <id> of <text>: HTTP <id>`.
 */
export function maskMessage(message: string, taskId: TaskId): string {
  return message
    .replace(quotations, '<text>')
    .replace(words, (word) => (word === taskId || digit.test(word) || hexWord.test(word) ? '<id>' : word))
    .replace(/<id>(?:[.,:]<id>)+/g, '<id>')
    .replace(/\s+/g, ' ')
    .trim();
}
