import { EngineError } from '../core/errors.ts';
import type { Reply } from '../core/replies.ts';

/**
 * The reply, when it is of one of the kinds that answer the command.
 *
 * @throws EngineError the reply's own error, or `INVALID_MESSAGE` for an answer to another question
 */
export function expectReply<Kind extends Exclude<Reply['kind'], 'error'>>(
  reply: Reply,
  kinds: readonly Kind[],
): Extract<Reply, { readonly kind: Kind }> {
  if (reply.kind === 'error') throw EngineError.fromReport(reply.error);
  if ((kinds as readonly string[]).includes(reply.kind)) return reply as Extract<Reply, { readonly kind: Kind }>;
  throw new EngineError(
    'INVALID_MESSAGE',
    `the engine answered '${reply.kind}' where ${kinds.join(' or ')} was expected`,
  );
}
