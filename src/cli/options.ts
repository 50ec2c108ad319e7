import { type Command, InvalidArgumentError, Option } from 'commander';
import { configRanges } from '../core/config.ts';
import { durationFormat, parseDurationMs } from './duration.ts';
import type { SettingFlags } from './settings.ts';

/** Forms in which a command gives its data. */
export const outputFormats = ['table', 'json', 'jsonl'] as const;

/** `table` for people, `json` one document, `jsonl` one document a line. */
export type OutputFormat = (typeof outputFormats)[number];

/** Options of every command that reads settings. */
export interface SettingOptions extends SettingFlags {
  /** A path, or false for `--no-config`. */
  readonly config?: string | boolean | undefined;
  /** False for `--no-color`. */
  readonly color: boolean;
}

/** Options of every command that talks to an engine. */
export interface ClusterOptions extends SettingOptions {
  /** Milliseconds. */
  readonly timeout?: number | undefined;
}

/** Options of every command that gives data. */
export interface OutputOptions {
  readonly output: OutputFormat;
  readonly json?: boolean | undefined;
}

/** Options of every command that shows what is. */
export interface ReadOptions extends ClusterOptions, OutputOptions {
  /** Milliseconds between two looks. */
  readonly watch?: number | undefined;
}

/** Least and most of what an option takes. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** Longest `--timeout`: that of one call of the client. */
export const maximumTimeoutMs = 3_600_000;
/** Time between two looks of a `--watch` that names none. */
export const defaultWatchMs = 2_000;
const watchRange: Range = { least: 100, most: 3_600_000 };

/** A parser of durations for an option. */
export function durationParser({ least, most }: Range): (text: string) => number {
  return (text) => {
    const ms = parseDurationMs(text);
    if (ms !== undefined && ms >= least && ms <= most) return ms;
    throw new InvalidArgumentError(`It must be ${durationFormat}; from ${least} ms to ${most / 1_000} s.`);
  };
}

/** A parser of whole numbers for an option. */
export function integerParser({ least, most }: Range): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

/** A parser of a share of a hundred. */
export function percentParser(text: string): number {
  const value = /^\d{1,3}(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (value <= 100) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 100.');
}

/** A parser of a shard's number for an argument. Whether the cluster has that shard is the client's to say. */
export const shardParser = integerParser({ least: 0, most: configRanges.shardCount.most - 1 });

/** Longest reason that the audit log takes; the engine takes no longer one either. */
const maximumReasonLength = 2_000;

/** A parser of why something is asked. */
export function parseReason(text: string): string {
  const trimmed = text.trim();
  if (trimmed !== '' && trimmed.length <= maximumReasonLength && trimmed.isWellFormed()) return trimmed;
  throw new InvalidArgumentError(`It must be well-formed text of 1 to ${maximumReasonLength} characters.`);
}

/** Adds the options by which a command finds its settings. */
export function addSettingOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file; cabinet.config.{js,mjs,ts,json} in this folder when left out')
    .option('--no-config', 'read no configuration file')
    .option('--nats <url>', 'NATS server, or several with commas between (env NATS_URL)')
    .option('--creds <file>', 'NATS credentials file (env NATS_CREDS)')
    .option('--nkey <file>', 'file with an NKey seed (env NATS_NKEY)')
    .option('--inbox-prefix <subject>', 'where replies may arrive (env NATS_INBOX_PREFIX)')
    .option('--namespace <name>', 'namespace of the engine (env CABINET_NAMESPACE)')
    .option('--data-dir <folder>', "folder of the engine's own NATS server (env CABINET_DATA_DIR)")
    .option('--no-color', 'no color (env NO_COLOR)');
}

/** Adds the options by which a command finds its engine. */
export function addClusterOptions(command: Command): Command {
  return addSettingOptions(command).option(
    '--timeout <duration>',
    `how long it may take: ${durationFormat}`,
    durationParser({ least: 1, most: maximumTimeoutMs }),
  );
}

/** Adds `-o` and `--json`. */
export function addOutputOptions(command: Command): Command {
  return command
    .addOption(new Option('-o, --output <format>', 'form of the output').choices(outputFormats).default('table'))
    .addOption(new Option('--json', 'the same as -o json').implies({ output: 'json' }));
}

/** Adds what every command has that shows something of a running engine. */
export function addReadOptions(command: Command): Command {
  return addWatchOption(addOutputOptions(addClusterOptions(command)));
}

/** Adds `--watch`. */
export function addWatchOption(command: Command): Command {
  return command.option(
    '--watch [=interval]',
    `look again every 2s, or --watch=<interval>; where no person looks, each change as a line of JSON`,
    durationParser(watchRange),
  );
}

/** Adds who asks and why, for the journal. */
export function addNoteOptions(command: Command): Command {
  return command
    .option('--by <name>', 'who asks; kept in the journal')
    .option('--reason <text>', 'why; kept in the journal');
}

/** Adds who asks and why, for the audit log. */
export function addAuditOptions(command: Command): Command {
  return command
    .option('--by <name>', "who asks, for the audit log; this machine's user when left out")
    .option('--reason <text>', 'why; kept in the audit log', parseReason);
}

/** Adds examples under a command's help. */
export function addExamples(command: Command, ...examples: readonly string[]): Command {
  const title = examples.length === 1 ? 'Example:' : 'Examples:';
  return command.addHelpText('after', `\n${title}\n${examples.map((example) => `  ${example}`).join('\n')}`);
}

/**
 * Arguments in which a `--watch` without `=` has its default: it takes none of the words behind it, so that
 * `task get --watch t-42` means what it says.
 */
export function settleWatch(args: readonly string[]): readonly string[] {
  const end = args.indexOf('--');
  return args.map((arg, index) =>
    arg === '--watch' && (end === -1 || index < end) ? `--watch=${defaultWatchMs}ms` : arg,
  );
}

/** The output format that the arguments ask for, also where they are otherwise wrong. */
export function formatOf(args: readonly string[]): OutputFormat {
  const end = args.indexOf('--');
  const own = end === -1 ? args : args.slice(0, end);
  if (own.includes('--json')) return 'json';
  const found = own.flatMap((arg, index) => {
    if (arg === '-o' || arg === '--output') return [own[index + 1]];
    const joined = /^(?:--output=|-o=?)(.+)$/.exec(arg)?.[1];
    return joined === undefined ? [] : [joined];
  });
  return outputFormats.find((format) => format === found.at(-1)) ?? 'table';
}
