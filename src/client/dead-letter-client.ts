import { asError, EngineError, invalidArgument } from '../core/errors.ts';
import type { FailureClass } from '../core/failures.ts';
import { parseCommandId, type TaskId } from '../core/ids.ts';
import type { TaskView } from '../core/task-view.ts';
import { fingerprintFailure } from '../projections/failure-fingerprint.ts';
import { maximumPageSize, parseFields, parseWholeNumber, refuseUnknownFields } from '../transport/parse-command.ts';
import { expectReply } from '../transport/reply-reading.ts';
import type { SendOptions, ShardClient } from '../transport/shard-client.ts';
import { listTasks, type TaskPage } from '../transport/task-list.ts';
import { checkOptions, readSendOptions } from './call-options.ts';
import type { CommandNote } from './submission.ts';

/** Which dead letters are meant: all that match every field given, literally. */
export interface DeadLetterFilter {
  readonly pipeline?: string | undefined;
  readonly stage?: string | undefined;
  readonly failureClass?: FailureClass | undefined;
  readonly failureCode?: string | undefined;
  /** Of `fingerprintFailure`: equal for failures of one kind. */
  readonly fingerprint?: string | undefined;
}

/** What became of one redrive. */
export type RedriveOutcome =
  | { readonly kind: 'done'; readonly taskId: TaskId; readonly state: string }
  | { readonly kind: 'error'; readonly taskId: TaskId; readonly error: EngineError };

const filterFields: ReadonlySet<string> = new Set<keyof DeadLetterFilter>([
  'pipeline',
  'stage',
  'failureClass',
  'failureCode',
  'fingerprint',
]);

/** Most dead letters that one call redrives when it does not say. */
const defaultRedriveMaximum = 1_000;

/** The tasks that were given up, as their owners have them now: a list that cannot lag behind a redrive. */
export class DeadLetterClient {
  readonly #shardClient: ShardClient;
  readonly #deadlineMs: number;

  constructor(deps: { readonly shardClient: ShardClient; readonly deadlineMs: number }) {
    this.#shardClient = deps.shardClient;
    this.#deadlineMs = deps.deadlineMs;
  }

  /**
   * One page in the order of ids. With other filters than `pipeline` a page may hold fewer tasks than `limit`, even none,
   * while `next` still leads on.
   *
   * @throws EngineError `INVALID_ARGUMENT`, `NO_OWNER`, `DEADLINE_EXCEEDED`
   */
  async list(
    query: DeadLetterFilter & {
      readonly limit?: number | undefined;
      readonly after?: string | undefined;
      readonly deadlineMs?: number | undefined;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): Promise<TaskPage> {
    const { pipeline, limit = 100, after } = checkOptions(query, 'query');
    const page = await listTasks(
      this.#shardClient,
      {
        status: 'deadLettered',
        limit,
        ...(pipeline === undefined ? {} : { pipeline }),
        ...(after === undefined ? {} : { after }),
      },
      readSendOptions(query, this.#deadlineMs),
    );
    return { tasks: page.tasks.filter((task) => matches(task, query)), next: page.next };
  }

  /**
   * Sends the matching dead letters back to work, at most `maximum` (1,000 when left out), in the order of ids. A repeat
   * redrives none twice, and none that has failed anew meanwhile: each command is named after the record that gave the task up, and
   * is taken for that one alone.
   *
   * @param filter - `{ all: true }` for every dead letter: an empty filter is refused, as it is more often a mistake
   * @throws EngineError `INVALID_ARGUMENT`; what a single task answers is a value in the list
   */
  async redrive(
    filter: DeadLetterFilter | { readonly all: true },
    options: CommandNote & {
      readonly maximum?: number | undefined;
      readonly deadlineMs?: number | undefined;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): Promise<readonly RedriveOutcome[]> {
    const isAll = checkFilter(filter);
    const send = readSendOptions(options, this.#deadlineMs);
    const maximum = parseWholeNumber(options.maximum ?? defaultRedriveMaximum, 'maximum', 1, Number.MAX_SAFE_INTEGER);
    const outcomes: RedriveOutcome[] = [];
    let after: string | undefined;
    do {
      const page = await this.list({ ...(isAll ? {} : filter), ...send, limit: maximumPageSize, after });
      const wanted = page.tasks.slice(0, maximum - outcomes.length);
      outcomes.push(...(await Promise.all(wanted.map((task) => this.#redriveOne(task, options, send)))));
      after = page.next ?? undefined;
    } while (after !== undefined && outcomes.length < maximum);
    return outcomes;
  }

  async #redriveOne(task: TaskView, note: CommandNote, send: SendOptions): Promise<RedriveOutcome> {
    const { taskId } = task;
    const { by, reason } = note;
    try {
      const reply = await this.#shardClient.send(
        {
          type: 'task.redrive',
          taskId,
          commandId: parseCommandId(`redrive-${task.seq}`),
          expectedSeq: task.seq,
          ...(by === undefined ? {} : { by }),
          ...(reason === undefined ? {} : { reason }),
        },
        send,
      );
      return { kind: 'done', taskId, state: expectReply(reply, ['done']).state };
    } catch (error) {
      const known = error instanceof EngineError ? error : new EngineError('INTERNAL', asError(error).message);
      return { kind: 'error', taskId, error: known };
    }
  }
}

/** Whether every dead letter is meant. A misspelled field would mean them all, too. @throws EngineError `INVALID_ARGUMENT` */
function checkFilter(filter: DeadLetterFilter | { readonly all: true }): boolean {
  const fields = parseFields(filter, 'filter');
  if (
    fields['all'] === true &&
    Object.entries(fields).every(([name, value]) => name === 'all' || value === undefined)
  ) {
    return true;
  }
  refuseUnknownFields(fields, filterFields, 'filter');
  if (Object.values(fields).some((value) => value !== undefined)) return false;
  throw invalidArgument({
    field: 'filter',
    message: 'a redrive of every dead letter must be asked for by { all: true }',
    limit: 'a filter, or { all: true }',
  });
}

function matches(task: TaskView, filter: DeadLetterFilter): boolean {
  const { stage, failureClass, failureCode, fingerprint } = filter;
  if (stage !== undefined && task.stage !== stage) return false;
  const { failure } = task;
  if (failureClass !== undefined && failure?.class !== failureClass) return false;
  if (failureCode !== undefined && failure?.code !== failureCode) return false;
  if (fingerprint === undefined) return true;
  return failure !== null && fingerprintFailure(task.stage, failure, task.taskId) === fingerprint;
}
