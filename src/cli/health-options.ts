import type { Command } from 'commander';
import { integerParser } from './options.ts';

/** Adds where a command that runs nodes tells its health. */
export function addHealthOptions(command: Command): Command {
  return command
    .option(
      '--health-port <port>',
      'tell /livez, /readyz and /startupz there; nowhere when left out (env CABINET_HEALTH_PORT)',
      integerParser({ least: 0, most: 65_535 }),
    )
    .option('--health-host <host>', 'address of that port; 127.0.0.1 when left out (env CABINET_HEALTH_HOST)')
    .option('--health-tls-key <file>', 'its key, as PEM (env CABINET_HEALTH_TLS_KEY)')
    .option('--health-tls-cert <file>', 'its certificate, as PEM (env CABINET_HEALTH_TLS_CERT)')
    .option(
      '--metrics-token-file <file>',
      'tell /metrics there too, to whoever has the token in this file (env CABINET_METRICS_TOKEN_FILE)',
    );
}
