import { readEnvironment } from '../platform/environment.ts';
import type { PinoLogger } from '../platform/pino-logger.ts';
import type { CliContext } from './context.ts';
import type { Settings } from './settings.ts';

/**
 * The log of a command that runs on: to stderr, for stdout is for data. Its first lines warn of variables that mean nothing here:
 * misspelled, or a container platform's own.
 */
export async function openCommandLog(
  context: CliContext,
  { logLevel: level, logFormat: format }: Pick<Settings, 'logLevel' | 'logFormat'>,
): Promise<PinoLogger> {
  // Imported when a command runs, so that help is quick.
  const { PinoLogger: CommandLog } = await import('../platform/pino-logger.ts');
  const color = context.terminal.hasColorOnStderr;
  const logger = new CommandLog({ destination: 'stderr', color, level, format });
  for (const variable of readEnvironment(context.environment).unknownVariables) {
    logger.warn({ variable }, 'a CABINET_ variable has no meaning here');
  }
  return logger;
}
