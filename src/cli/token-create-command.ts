import { open, rm, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AccessToken } from '../admin/access-tokens.ts';
import { roles, type Role } from '../admin/principal.ts';
import { asError, EngineError } from '../core/errors.ts';
import { addApiOptions, openApi, type ApiAccess, type ApiOptions } from './api-connection.ts';
import { usageError } from './cli-error.ts';
import type { CliContext } from './context.ts';
import { durationFormat, formatInstant } from './duration.ts';
import { addExamples, addOutputOptions, durationParser, parseReason, type OutputOptions } from './options.ts';
import { madeTokenShape } from './token-answers.ts';
import { showView } from './view.ts';

interface TokenCreateOptions extends ApiOptions, OutputOptions {
  readonly role: Role;
  /** Milliseconds. */
  readonly expires: number | 'never';
  readonly out?: string;
  readonly reason?: string;
}

type MadeToken = AccessToken & { readonly token: string };

const dayMs = 86_400_000;
const defaultLifeMs = 30 * dayMs;
const lifeParser = durationParser({ least: 60_000, most: 3_660 * dayMs });

/** `cabinet token create`. */
export function addTokenCreate(parent: Command, context: CliContext): void {
  const command = parent
    .command('create')
    .description('make a token of the console and its API; it is shown this once, on stdout alone')
    .argument('<name>', 'who uses it, such as anna or ci-deploy')
    .addOption(new Option('--role <role>', 'what it may do').choices(roles).makeOptionMandatory())
    .addOption(
      new Option('--expires <duration>', `how long it is good: ${durationFormat}; or never`)
        .argParser((text) => (text === 'never' ? text : parseLife(text)))
        .default(defaultLifeMs, '30d'),
    )
    .option('--out <file>', 'write it into this new file, for its owner alone, and not to stdout')
    .option('--reason <text>', 'why; kept in the audit log', parseReason)
    .action((name: string, options: TokenCreateOptions) => create(context, name, options));
  addOutputOptions(addApiOptions(command));
  addExamples(
    command,
    'cabinet token create anna --role operator --expires 90d',
    'cabinet token create ci --role viewer --out ci.token --reason "dashboards"',
  );
}

function parseLife(text: string): number {
  try {
    return lifeParser(text);
  } catch {
    throw new InvalidArgumentError(`It must be ${durationFormat}; from 60 s to 3660 days; or never.`);
  }
}

async function create(context: CliContext, name: string, options: TokenCreateOptions): Promise<void> {
  const { role, expires, reason } = options;
  const api = await openApi(context, options);
  // First: a token that has been made and cannot be written could never be shown again.
  const file = options.out === undefined ? null : await openNew(resolve(context.workingFolder, options.out));
  const made = await askFor(api, { name, role, expires, reason }, context.clock.now()).catch(async (error: unknown) => {
    if (file !== null) await discard(file);
    throw error;
  });
  if (file !== null) await keep(file, made);
  show(context, options, made);
}

function askFor(
  api: ApiAccess,
  {
    name,
    role,
    expires,
    reason,
  }: Pick<TokenCreateOptions, 'role' | 'expires'> & { readonly name: string; readonly reason: string | undefined },
  now: number,
): Promise<MadeToken> {
  return api.ask<MadeToken>({
    method: 'POST',
    path: '/api/tokens',
    body: {
      name,
      role,
      ...(expires === 'never' ? {} : { expiresAt: now + expires }),
      ...(reason === undefined ? {} : { reason }),
    },
    shape: madeTokenShape,
  });
}

function show(context: CliContext, { output, out }: TokenCreateOptions, made: MadeToken): void {
  const { token, ...rest } = made;
  const shown = out === undefined ? made : { ...rest, file: out };
  const until = made.expiresAt === null ? 'without an end' : `until ${formatInstant(made.expiresAt)}`;
  const where = out === undefined ? 'it is shown this once' : `it is in ${out}`;
  showView(context, output, {
    document: shown,
    items: [shown],
    // Alone on stdout, so that it can be piped to where it is kept.
    text: () => (out === undefined ? token : ''),
    notes: [`token of ${made.name}, ${made.role}, ${until}, id ${made.id}; ${where}, and only its hash is kept`],
  });
}

/** @throws EngineError `UNAVAILABLE`: the token is good all the same, and nobody has it */
async function keep({ path, handle }: NewFile, { token, id }: MadeToken): Promise<void> {
  try {
    await handle.writeFile(`${token}\n`);
    await handle.sync();
    await handle.close();
  } catch (error) {
    throw new EngineError(
      'UNAVAILABLE',
      `the token is made, but ${path} could not be written: ${asError(error).message}`,
      {
        field: 'out',
        hint: `end it with \`cabinet token revoke ${id}\`, and make another one`,
      },
    );
  }
}

interface NewFile {
  readonly path: string;
  readonly handle: FileHandle;
}

async function openNew(path: string): Promise<NewFile> {
  try {
    return { path, handle: await open(path, 'wx', 0o600) };
  } catch (error) {
    throw usageError(`--out cannot be written: ${asError(error).message}`, 'name a file that is not there yet', 'out');
  }
}

async function discard({ path, handle }: NewFile): Promise<void> {
  await handle.close().catch(() => undefined);
  await rm(path, { force: true });
}
