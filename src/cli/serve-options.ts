import { type Command, Option } from 'commander';
import { addAdminOptions } from './admin-options.ts';
import { addOutputOptions, addSettingOptions, durationParser } from './options.ts';

/** Adds the options of the commands that run a node. */
export function addServeOptions(command: Command): Command {
  return addAdminOptions(addLogOptions(addOutputOptions(addSettingOptions(command))))
    .option('--node-id <id>', "name of this node (env CABINET_NODE_ID); the host's name when left out")
    .option(
      '--grace <duration>',
      'time that running drivers have to finish in a stop',
      durationParser({ least: 0, most: 3_600_000 }),
    );
}

/** Adds how a command that runs on writes its log. */
export function addLogOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--log-level <level>', 'least level of a log line (env CABINET_LOG_LEVEL)').choices([
        'debug',
        'info',
        'warn',
        'error',
      ]),
    )
    .addOption(
      new Option('--log-format <format>', 'form of a log line (env CABINET_LOG_FORMAT)').choices([
        'json',
        'pretty',
        'auto',
      ]),
    );
}
