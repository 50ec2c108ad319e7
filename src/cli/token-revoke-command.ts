import type { Command } from 'commander';
import type { AccessToken } from '../admin/access-tokens.ts';
import { EngineError } from '../core/errors.ts';
import { addApiOptions, openApi, type ApiOptions } from './api-connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, addOutputOptions, parseReason, type OutputOptions } from './options.ts';
import { readTokens, revokedTokenShape } from './token-answers.ts';
import { showView } from './view.ts';

interface TokenRevokeOptions extends ApiOptions, OutputOptions {
  readonly reason?: string;
}

/** `cabinet token revoke`. */
export function addTokenRevoke(parent: Command, context: CliContext): void {
  const command = parent
    .command('revoke')
    .description('end a token at once, and every session and socket that was begun with it')
    .argument('<token>', 'its id or its name, as `cabinet token list` has them')
    .option('--reason <text>', 'why; kept in the audit log', parseReason)
    .action(async (named: string, options: TokenRevokeOptions) => {
      const { reason } = options;
      const api = await openApi(context, options);
      const token = pickToken(await readTokens(api), named);
      await api.ask({
        method: 'DELETE',
        path: `/api/tokens/${token.id}`,
        body: reason === undefined ? {} : { reason },
        shape: revokedTokenShape,
      });
      const document = { ...token, revoked: true };
      showView(context, options.output, {
        document,
        items: [document],
        text: () => `token of ${token.name} (${token.role}, ${token.id}) is revoked`,
      });
    });
  addOutputOptions(addApiOptions(command));
  addExamples(command, 'cabinet token revoke anna --reason "has left"');
}

/** The token that an operator means. An id goes before a name that looks like one. @throws EngineError `NOT_FOUND` */
export function pickToken(tokens: readonly AccessToken[], named: string): AccessToken {
  const found = tokens.find(({ id }) => id === named) ?? tokens.findLast(({ name }) => name === named);
  if (found !== undefined) return found;
  throw new EngineError('NOT_FOUND', 'there is no such token', {
    field: 'token',
    got: named,
    hint: 'see `cabinet token list`',
  });
}
