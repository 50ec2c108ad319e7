import { type Command, Option } from 'commander';
import type { DeadLetterFilter } from '../client.ts';
import { failureClasses, type FailureClass } from '../core/failures.ts';

/** Which dead letters are meant, as options. */
export interface DeadLetterFilterOptions {
  readonly pipeline?: string;
  readonly stage?: string;
  readonly class?: FailureClass;
  readonly code?: string;
  readonly fingerprint?: string;
}

/** Adds the options of a filter. */
export function addDeadLetterFilter(command: Command): Command {
  return command
    .option('--pipeline <name>', 'only of this pipeline')
    .option('--stage <name>', 'only given up at this stage')
    .addOption(new Option('--class <class>', 'only of this class of failure').choices(failureClasses))
    .option('--code <code>', 'only with this failure code, such as HTTP_503')
    .option('--fingerprint <hash>', 'only failures of this kind; see `cabinet dlq groups`');
}

/** The options as a filter. */
export function deadLetterFilterOf(options: DeadLetterFilterOptions): DeadLetterFilter {
  const { pipeline, stage, code, fingerprint } = options;
  return { pipeline, stage, failureClass: options.class, failureCode: code, fingerprint };
}

/** Whether the filter leaves anything out. */
export function isFiltering(filter: DeadLetterFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined);
}
