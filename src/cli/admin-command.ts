import type { Command } from 'commander';
import { addListenOptions } from './admin-options.ts';
import { asError } from '../core/errors.ts';
import { errorLine } from './cli-error.ts';
import { findServers, readSettings } from './cluster.ts';
import { openCommandLog } from './command-log.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { openConsole } from './open-console.ts';
import {
  addExamples,
  addOutputOptions,
  addSettingOptions,
  type OutputOptions,
  type SettingOptions,
} from './options.ts';
import { addLogOptions } from './serve-options.ts';

interface AdminOptions extends SettingOptions, OutputOptions {
  readonly host?: string;
  readonly port?: number;
  readonly allowedHost?: readonly string[];
  readonly tlsKey?: string;
  readonly tlsCert?: string;
}

/** What `cabinet admin` tells, as JSON, once it serves. */
export interface AdminReadyLine {
  readonly ready: true;
  readonly consoleUrl: string;
  readonly pid: number;
}

/** `cabinet admin`. */
export function addAdmin(parent: Command, context: CliContext): void {
  const command = parent
    .command('admin')
    .description('serve the console of an engine that runs elsewhere: page, API, sockets, task index, events, audit')
    .action((options: AdminOptions) => run(context, options));
  addListenOptions(addLogOptions(addOutputOptions(addSettingOptions(command))), '');
  addExamples(
    command,
    'NATS_URL=nats://10.0.0.5:4222 cabinet admin',
    'cabinet admin --host 0.0.0.0 --allowed-host cabinet.example --tls-key key.pem --tls-cert cert.pem',
  );
}

/** Serves until a signal comes: the first one lets it answer what is in hand, a second one ends it at once. */
async function run(context: CliContext, options: AdminOptions): Promise<void> {
  const { host, port, allowedHost, tlsKey, tlsCert } = options;
  const settings = await readSettings(context, {
    ...options,
    adminHost: host,
    adminPort: port,
    adminAllowedHost: allowedHost,
    adminTlsKey: tlsKey,
    adminTlsCert: tlsCert,
  });
  const { PrometheusMetrics } = await import('../platform/prometheus-metrics.ts');
  const logger = await openCommandLog(context, settings);
  const metrics = new PrometheusMetrics({ processMetrics: true });
  let signals = 0;
  const stopping = new AbortController();
  const asked = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  context.events.claim({
    onSignal: (signal) => {
      signals += 1;
      if (signals > 1) context.exitNow(signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.failed);
      stopping.abort();
    },
    onCrash: (thrown) => {
      const error = asError(thrown);
      logger.error({ err: error }, 'an error that nobody caught ends the console');
      context.terminal.note(errorLine({ code: 'INTERNAL', message: `${error.name}: ${error.message}` }));
      context.exitNow(exitCodes.failed);
    },
    // It does not serve whoever reads its announcement.
    onOutputClosed: () => undefined,
  });
  const opened = openConsole(context, settings, {
    servers: await findServers(settings),
    metrics,
    readMetrics: () => metrics.snapshot(),
    logger,
  });
  const first = await Promise.race([opened, asked]);
  if (first === undefined) {
    // Still connecting: nothing is in hand. What the start comes to is of no interest any more.
    opened.then(
      (server) => server.stop(),
      () => undefined,
    );
    return;
  }
  const line: AdminReadyLine = { ready: true, consoleUrl: first.url, pid: process.pid };
  if (options.output === 'table') context.terminal.print(`the console is at ${first.url}`);
  else context.terminal.printJson(line);
  await asked;
  await first.stop();
  logger.info({}, 'the console has stopped');
}
