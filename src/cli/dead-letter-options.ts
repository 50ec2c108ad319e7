import { type Command, Option } from 'commander';
import type { Client, DeadLetterFilter, TaskView } from '../client.ts';
import type { FailureClass } from '../core/failures.ts';

const failureClasses = [
  'retryable',
  'rateLimited',
  'timeout',
  'heartbeatTimeout',
  'unexpected',
  'fatal',
  'contract',
  'interrupted',
  'poison',
] as const satisfies readonly FailureClass[];

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

const pageSize = 1_000;

/** Every dead letter that matches, in the order of ids, at most so many. */
export async function readDeadLetters(
  client: Client,
  filter: DeadLetterFilter,
  options: { readonly maximum: number; readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<{ readonly tasks: readonly TaskView[]; readonly hasMore: boolean }> {
  const { maximum, ...call } = options;
  const tasks: TaskView[] = [];
  let after: string | undefined;
  do {
    const page = await client.deadLetters.list({ ...filter, ...call, limit: pageSize, after });
    tasks.push(...page.tasks);
    after = page.next ?? undefined;
  } while (after !== undefined && tasks.length <= maximum);
  return { tasks: tasks.slice(0, maximum), hasMore: tasks.length > maximum };
}
