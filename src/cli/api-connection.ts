import { join } from 'node:path';
import type { Command } from 'commander';
import { isLoopback } from '../admin/listen-address.ts';
import { isCertificate } from '../core/certificate.ts';
import { EngineError } from '../core/errors.ts';
import { findConsole } from '../platform/console-place.ts';
import { AdminApi, type AdminApiRequest } from './admin-api.ts';
import { defaultTimeoutMs, readSettingFile, readSettings, withDeadline } from './cluster.ts';
import type { CliContext } from './context.ts';
import { durationFormat } from './duration.ts';
import { durationParser, maximumTimeoutMs, type ClusterOptions } from './options.ts';
import type { Settings } from './settings.ts';

/** Options of every command that asks the admin API. */
export interface ApiOptions extends ClusterOptions {
  readonly adminUrl?: string | undefined;
  readonly adminTokenFile?: string | undefined;
  readonly adminCa?: string | undefined;
}

/** What a command is given to ask the admin API with. */
export interface ApiAccess {
  /**
   * One request, within the command's `--timeout`.
   *
   * @throws EngineError as `AdminApi.ask`; `ADMIN_UNREACHABLE` when nothing says where it is, `DEADLINE_EXCEEDED`
   */
  ask<Answer>(request: Omit<AdminApiRequest, 'signal'>): Promise<Answer>;
}

/** What may stand in a header, and no more than the API reads. */
const tokenPattern = /^[!-~]{1,256}$/;
const urlLimit = 'https://host[:port], or http:// on loopback';

/** Adds the options by which a command finds the admin API. */
export function addApiOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file; cabinet.config.{js,mjs,ts,json} in this folder when left out')
    .option('--no-config', 'read no configuration file')
    .option(
      '--admin-url <url>',
      'the console that is asked; that on the data folder when left out (env CABINET_ADMIN_URL)',
    )
    .option(
      '--admin-token-file <file>',
      'file with a token of it (env CABINET_ADMIN_TOKEN_FILE, or the token itself in CABINET_ADMIN_TOKEN)',
    )
    .option('--admin-ca <file>', 'authority that its certificate is from, as PEM (env CABINET_ADMIN_CA)')
    .option('--data-dir <folder>', 'folder of the engine whose console is asked (env CABINET_DATA_DIR)')
    .option('--no-color', 'no color (env NO_COLOR)')
    .option(
      '--timeout <duration>',
      `how long it may take: ${durationFormat}`,
      durationParser({ least: 1, most: maximumTimeoutMs }),
    );
}

/**
 * The admin API as the settings have it. Nothing is asked yet.
 *
 * @throws EngineError `CONFIG_INVALID`; `UNAUTHENTICATED` when there is no token
 */
export async function openApi(context: CliContext, options: ApiOptions): Promise<ApiAccess> {
  const settings = await readSettings(context, options);
  const named = settings.admin.url === undefined ? null : parseApiUrl(settings.admin.url);
  const token = await readToken(settings);
  const { caFile } = settings.admin;
  const ca = caFile === undefined ? undefined : await readAuthority(caFile);
  const timeoutMs = options.timeout ?? defaultTimeoutMs;
  return {
    ask: async (request) => {
      // Looked for each time: a console that was started again may have another port.
      const url = named ?? parseApiUrl(await locate(settings));
      const api = new AdminApi({ url, token, ca });
      return withDeadline(context, timeoutMs, 'the answer of the admin API', (signal) =>
        api.ask({ ...request, signal }),
      );
    },
  };
}

async function locate({ dataDir }: Settings): Promise<string> {
  const url = await findConsole(join(dataDir, 'admin'));
  if (url === undefined) {
    throw new EngineError('ADMIN_UNREACHABLE', `no console serves ${dataDir}, and no address of one is named`, {
      field: 'admin.url',
      hint: 'start one with `cabinet dev` or `cabinet admin`, or name it with --admin-url or CABINET_ADMIN_URL',
    });
  }
  return url;
}

/** @throws EngineError `CONFIG_INVALID`, without an echo: it may hold a password */
function parseApiUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const problem =
    url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')
      ? 'is no address of the web'
      : url.username !== '' || url.password !== ''
        ? 'holds a user or a password, which it does not take'
        : url.search !== '' || url.hash !== ''
          ? 'holds more than an address'
          : url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'))
            ? 'would send the token in the clear over a network'
            : null;
  if (url !== undefined && problem === null) return url;
  throw new EngineError('CONFIG_INVALID', `the address of the admin API ${problem ?? ''}`, {
    field: 'admin.url',
    limit: urlLimit,
    hint: `give ${urlLimit}, by --admin-url or CABINET_ADMIN_URL`,
  });
}

/** Node itself takes what is no certificate without a word, and trusts nobody then. */
async function readAuthority(file: string): Promise<string> {
  const text = await readSettingFile('admin.caFile', file);
  if (isCertificate(text)) return text;
  throw new EngineError('CONFIG_INVALID', 'the file of admin.caFile holds no certificate', {
    field: 'caFile',
    got: file,
    limit: 'a certificate as PEM',
  });
}

async function readToken({ admin }: Settings): Promise<string> {
  const { token, tokenFile } = admin;
  if (token === undefined && tokenFile === undefined) {
    throw new EngineError('UNAUTHENTICATED', 'no token of the admin API is given', {
      field: 'admin.token',
      hint: 'set CABINET_ADMIN_TOKEN, or name a file with --admin-token-file; a console shows a first one at its first start',
    });
  }
  const text = token ?? (await readSettingFile('admin.tokenFile', tokenFile ?? '')).trim();
  if (tokenPattern.test(text)) return text;
  // Not echoed: it is a secret, or was meant to be one.
  throw new EngineError(
    'CONFIG_INVALID',
    `${token === undefined ? 'the file of admin.tokenFile' : 'CABINET_ADMIN_TOKEN'} holds no token`,
    {
      field: token === undefined ? 'admin.tokenFile' : 'admin.token',
      limit: 'one line of 1 to 256 visible characters',
      hint: 'it is what `cabinet token create` printed, and begins with cbt_',
    },
  );
}
