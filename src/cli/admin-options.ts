import type { Command } from 'commander';
import { integerParser } from './options.ts';

/** Any port, and 0 for any free one. */
const portParser = integerParser({ least: 0, most: 65_535 });

/**
 * Adds where the admin server listens.
 *
 * @param prefix - before each flag, for a command that has other business too
 */
export function addListenOptions(command: Command, prefix: '' | 'admin-'): Command {
  return command
    .option(
      `--${prefix}host <host>`,
      'where the console listens: loopback, or any address with TLS (env CABINET_ADMIN_HOST)',
    )
    .option(
      `--${prefix}port <port>`,
      'its port; 4280, or any free one, when left out (env CABINET_ADMIN_PORT)',
      portParser,
    )
    .option(
      `--${prefix}allowed-host <name>`,
      'a further name that it answers for; may be repeated (env CABINET_ADMIN_ALLOWED_HOSTS)',
      (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
    )
    .option(`--${prefix}tls-key <file>`, 'its key, as PEM (env CABINET_ADMIN_TLS_KEY)')
    .option(`--${prefix}tls-cert <file>`, 'its certificate, as PEM (env CABINET_ADMIN_TLS_CERT)')
    .option('--hosted-viewer <url>', 'turns the bridge to a viewer of inspections on another server on');
}

/** Adds whether a command that runs nodes serves the console too, and where. */
export function addAdminOptions(command: Command): Command {
  const switched = command
    .option('--admin', 'serve the console from this process (env CABINET_ADMIN=on)')
    .option('--no-admin', 'serve no console (env CABINET_ADMIN=off)');
  return addListenOptions(switched, 'admin-');
}
