import { invalidArgument } from '../core/errors.ts';
import { parseCommandId, type CommandId } from '../core/ids.ts';

/**
 * The command id of a request: of its body or of its header `Idempotency-Key`, or a new one.
 *
 * @throws EngineError `INVALID_ARGUMENT` when the two differ, or the header is no command id
 */
export function commandIdOf(
  request: {
    readonly body: { readonly commandId?: CommandId | undefined } | null;
    readonly idempotencyKey: string | undefined;
  },
  newId: () => string,
): CommandId {
  const inBody = request.body?.commandId;
  const { idempotencyKey } = request;
  if (idempotencyKey === undefined) return inBody ?? parseCommandId(newId());
  const inHeader = parseCommandId(idempotencyKey);
  if (inBody === undefined || inBody === inHeader) return inHeader;
  throw invalidArgument({
    field: 'commandId',
    message: 'commandId and Idempotency-Key differ',
    limit: 'one of them, or the same in both',
    got: inHeader,
  });
}
