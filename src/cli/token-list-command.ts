import type { Command } from 'commander';
import type { AccessToken } from '../admin/access-tokens.ts';
import { addApiOptions, openApi, type ApiOptions } from './api-connection.ts';
import type { CliContext } from './context.ts';
import { formatInstant } from './duration.ts';
import { addExamples, addOutputOptions, type OutputOptions } from './options.ts';
import { formatTable } from './table.ts';
import { readTokens } from './token-answers.ts';
import { showView, type Drawing } from './view.ts';

/** `cabinet token list`. */
export function addTokenList(parent: Command, context: CliContext): void {
  const command = parent
    .command('list')
    .description('list the tokens of the console and its API; their secrets are kept nowhere')
    .action(async (options: ApiOptions & OutputOptions) => {
      const tokens = await readTokens(await openApi(context, options));
      showView(context, options.output, {
        document: { tokens },
        items: tokens,
        text: (drawing) => tokenTable(tokens, context.clock.now(), drawing),
      });
    });
  addOutputOptions(addApiOptions(command));
  addExamples(command, 'cabinet token list', 'cabinet token list --json | jq -r ".tokens[].name"');
}

/** Tokens as a table. Pure. */
export function tokenTable(tokens: readonly AccessToken[], now: number, { paint, width }: Drawing): string {
  const isOver = ({ expiresAt }: AccessToken): boolean => expiresAt !== null && expiresAt <= now;
  return formatTable(
    [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'ROLE', value: ({ role }) => role },
      { title: 'ID', value: ({ id }) => id },
      { title: 'MADE', value: ({ createdAt }) => formatInstant(createdAt) },
      {
        title: 'EXPIRES',
        value: (token) =>
          token.expiresAt === null ? 'never' : `${formatInstant(token.expiresAt)}${isOver(token) ? ' (over)' : ''}`,
        tone: (token) => (isOver(token) ? 'warn' : undefined),
      },
    ],
    tokens,
    { paint, width },
  );
}
