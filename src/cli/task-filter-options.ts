import { type Command, InvalidArgumentError, Option } from 'commander';
import { taskStatuses } from '../admin/schemas/tasks.ts';
import { failureClasses } from '../core/failures.ts';
import { parsePipelineName, parseStageName, parseTaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import { durationFormat, parseDurationMs, parseInstant } from './duration.ts';
import { integerParser, shardParser } from './options.ts';

/** An instant of an option: so long ago, or itself. */
type When = { readonly kind: 'ago'; readonly ms: number } | { readonly kind: 'at'; readonly at: number };

/** Which tasks are meant, as options. A list is given by repeating its option. */
export interface TaskFilterOptions {
  readonly status?: readonly string[];
  readonly pipeline?: readonly string[];
  readonly pipelineVersion?: readonly number[];
  readonly stage?: readonly string[];
  readonly shard?: readonly number[];
  readonly class?: readonly string[];
  readonly fingerprint?: readonly string[];
  readonly id?: readonly string[];
  readonly idPrefix?: string;
  readonly submittedSince?: When;
  readonly submittedBefore?: When;
  readonly updatedSince?: When;
  readonly updatedBefore?: When;
}

const instantFormat = 'an instant such as 2026-11-24T08:00:00Z, or how long ago';
/** Adds the options of a filter over tasks: words of one option are joined by *or*, options by *and*. */
export function addTaskFilter(command: Command): Command {
  return command
    .addOption(repeatable('--status <status>', 'only of this status', many(wordOf(taskStatuses))))
    .addOption(
      repeatable(
        '--pipeline <name>',
        'only of this pipeline',
        many((text) => parsePipelineName(text, 'pipeline')),
      ),
    )
    .addOption(repeatable('--pipeline-version <number>', 'only of this version of it', many(versionParser)))
    .addOption(
      repeatable(
        '--stage <name>',
        'only at this stage',
        many((text) => parseStageName(text, 'stage')),
      ),
    )
    .addOption(repeatable('--shard <number>', 'only of this shard', many(shardParser)))
    .addOption(repeatable('--class <class>', 'only with this class of failure', many(wordOf(failureClasses))))
    .addOption(
      repeatable('--fingerprint <hash>', 'only failures of this kind; see `cabinet dlq groups`', many(readFingerprint)),
    )
    .addOption(
      repeatable(
        '--id <task-id>',
        'only this task',
        many((text) => parseTaskId(text, 'id')),
      ),
    )
    .option('--id-prefix <text>', 'only ids that begin with it', readIdPrefix)
    .option('--submitted-since <when>', `only submitted then or later: ${instantFormat}`, readWhen)
    .option('--submitted-before <when>', 'only submitted before', readWhen)
    .option('--updated-since <when>', 'only changed then or later', readWhen)
    .option('--updated-before <when>', 'only not changed since', readWhen);
}

/** A parser of one word more for a list. */
function many<Value>(read: (text: string) => Value): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => [...before, read(text)];
}

/** The options as the filter of the admin API: those parts alone that are given. Pure. */
export function taskFilterOf(options: TaskFilterOptions, now: number): Readonly<Record<string, JsonValue>> {
  const parts: readonly (readonly [string, JsonValue | undefined])[] = [
    ['statuses', options.status],
    ['pipelines', options.pipeline],
    ['versions', options.pipelineVersion],
    ['stages', options.stage],
    ['shards', options.shard],
    ['failureClasses', options.class],
    ['failureFingerprints', options.fingerprint],
    ['taskIds', options.id],
    ['taskIdPrefix', options.idPrefix],
    ['submittedFrom', instantOf(options.submittedSince, now)],
    ['submittedBefore', instantOf(options.submittedBefore, now)],
    ['updatedFrom', instantOf(options.updatedSince, now)],
    ['updatedBefore', instantOf(options.updatedBefore, now)],
  ];
  return Object.fromEntries(parts.filter((part): part is readonly [string, JsonValue] => part[1] !== undefined));
}

function instantOf(when: When | undefined, now: number): number | undefined {
  if (when === undefined) return undefined;
  return when.kind === 'at' ? when.at : Math.max(0, now - when.ms);
}

function repeatable<Value>(
  flags: string,
  description: string,
  read: (text: string, before: readonly Value[] | undefined) => readonly Value[],
): Option {
  return new Option(flags, `${description}; may be repeated`).argParser(read);
}

const versionParser = integerParser({ least: 1, most: 999_999_999_999_999 });

function wordOf(words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed choices are ${words.join(', ')}.`);
  };
}

function readFingerprint(text: string): string {
  if (/^[0-9a-f]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 64 of 0–9 and a–f.');
}

function readIdPrefix(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the beginning of a task id, literally: no wildcards.');
}

function readWhen(text: string): When {
  const ms = parseDurationMs(text);
  if (ms !== undefined) return { kind: 'ago', ms };
  const at = parseInstant(text);
  if (at !== undefined) return { kind: 'at', at };
  throw new InvalidArgumentError(`It must be ${instantFormat}, as ${durationFormat}.`);
}
