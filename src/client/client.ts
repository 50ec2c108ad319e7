import { asError, EngineError, invalidArgument } from '../core/errors.ts';
import { shardOf } from '../core/hash.ts';
import { parseTaskId, type ShardId, type TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { ControlCommand, ListQuery, OperatorResolution, SubmitCommand, TaskCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import type { TaskView } from '../core/task-view.ts';
import type { OutputsOf, SubmittedInputOf } from '../pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { BlobStore } from '../ports/blobs.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Random } from '../ports/random.ts';
import type { Tracing } from '../ports/tracing.ts';
import type { PipelineEvent } from '../projections/cloud-event.ts';
import { parsePosition } from '../projections/position.ts';
import { followTask } from '../projections/task-feed.ts';
import { readTaskHistory, type TaskHistory } from '../projections/task-history.ts';
import type { EngineInfo } from '../transport/engine-info.ts';
import { parseCommand } from '../transport/parse-command.ts';
import { expectReply } from '../transport/reply-reading.ts';
import { startSendingSpan } from '../transport/request-spans.ts';
import { maximumDeadlineMs, type SendOptions, ShardClient, type ShardClientLimits } from '../transport/shard-client.ts';
import { listTasks, type TaskPage } from '../transport/task-list.ts';
import { fetchPayloads, fetchValues } from './blob-values.ts';
import { checkOptions, checkSignal, checkTimeoutMs, readSendOptions } from './call-options.ts';
import { ClusterClient, type ClusterLeases } from './cluster-client.ts';
import { DeadLetterClient } from './dead-letter-client.ts';
import { discoverEngine } from './engine-discovery.ts';
import {
  type CommandNote,
  pipelineName,
  type PreparedSubmit,
  prepareSubmit,
  readSubmitted,
  type SubmitIdentity,
  type SubmitOutcome,
  type Submitted,
} from './submission.ts';
import { TaskFailedError } from './task-failed-error.ts';

/** How long a call may take. */
export interface CallOptions {
  /** Deadline of this call; the client's own when left out. */
  readonly deadlineMs?: number | undefined;
  /** Gives the call up when it aborts; what was sent may still take effect. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Client.submit}. */
export interface SubmitOptions extends CallOptions, CommandNote, SubmitIdentity {
  /** The definition's own version, or the newest registered one for a name, when left out. */
  readonly version?: number | undefined;
}

/** Options of {@link Client.run}. */
export interface RunOptions extends SubmitOptions {
  /** How long to wait for the task's end. */
  readonly timeoutMs?: number | undefined;
}

/** How a task that was waited for has ended. */
type TaskEnd = Extract<Reply, { readonly kind: 'ended' | 'completed' }>;

/** One item of {@link Client.submitMany}. */
export interface SubmitItem<Input> extends SubmitIdentity, CommandNote {
  readonly input: Input;
}

/** Options of a command to a task. */
export interface ControlOptions extends CallOptions, CommandNote {
  /** The caller's name for the command: a repeat with it has no further effect. A new one when left out. */
  readonly commandId?: string | undefined;
  /** The task's `seq` as the caller saw it: refused as `NOT_ALLOWED` when the task has changed since. Any when left out. */
  readonly expectedSeq?: number | undefined;
}

/** The answer to a command. `repeated`: it had taken effect before. */
export interface Controlled {
  readonly taskId: TaskId;
  readonly state: string;
  readonly repeated: boolean;
}

/** What {@link Client.list} asks for; all of it when left out. */
export interface TaskListQuery extends CallOptions {
  readonly pipeline?: string | undefined;
  readonly status?: TaskView['status'] | undefined;
  /** Finished tasks within their retention too. */
  readonly includeFinished?: boolean | undefined;
  /** 1 to 1,000; 100 when left out. */
  readonly limit?: number | undefined;
  /** `next` of the page before. */
  readonly after?: string | undefined;
}

/** What a {@link Client} works with. */
export interface ClientDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly tracing?: Tracing | undefined;
  readonly namespace: string;
  readonly shardCount: number;
  /** Bounds of requests; `maximumRequestBytes` is what the bus takes, less headroom. */
  readonly limits?: Partial<ShardClientLimits> | undefined;
  /** For `watch` and `history`. */
  readonly journal?: Journal | undefined;
  /** Fetches payloads over the inline limit; without it they stay `{ $blob }` references. */
  readonly blobs?: Pick<BlobStore, 'get'> | undefined;
  /** For `cluster`: leases and locks to read, orders to write. */
  readonly leases?: ClusterLeases | undefined;
  /** Deadline of a call that names none; {@link defaultDeadlineMs} when left out. */
  readonly deadlineMs?: number | undefined;
  /** Called by {@link Client.close}, after the client's own work has ended. */
  readonly onClose?: (() => Promise<void>) | undefined;
}

/** Deadline of a call when nothing else is said. */
export const defaultDeadlineMs = 10_000;
/** How long {@link Client.result} waits when nothing else is said. */
export const defaultResultTimeoutMs = 60_000;
/**
 * Single waits at an owner: when it dies, the task is found at its next owner after the one that runs. They double, so that who waits
 * for a short task hears of its end soon after a loss, and a thousand who wait for long ones ask seldom.
 */
const resultPollMs = { first: 1_000, longest: 8_000 } as const;
/** How much later than its wait an answer may come. */
const resultGraceMs = 500;

/**
 * A typed client of one engine. Submits, asks, commands and watches; it decides nothing and keeps nothing.
 *
 * Every call is repeated with the same ids until its deadline, so a crash of an owner is a delay. A call throws
 * `EngineError`: the owner's refusal as it is, `NO_OWNER` or `OVERLOADED` when nothing was done, `DEADLINE_EXCEEDED` when
 * the outcome is unknown, `CANCELED` when its signal aborted.
 */
export class Client {
  /** The tasks that were given up. */
  readonly deadLetters: DeadLetterClient;
  /** The nodes that share the work. */
  readonly cluster: ClusterClient;
  readonly #deps: ClientDeps;
  readonly #shardClient: ShardClient;
  readonly #deadlineMs: number;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
    this.#shardClient = new ShardClient(deps);
    this.#deadlineMs = deps.deadlineMs ?? defaultDeadlineMs;
    this.deadLetters = new DeadLetterClient({ shardClient: this.#shardClient, deadlineMs: this.#deadlineMs });
    const { bus, clock, namespace, shardCount, leases } = deps;
    this.cluster = new ClusterClient({ bus, clock, leases, namespace, shardCount, deadlineMs: this.#deadlineMs });
  }

  /**
   * Creates a task, durably, or finds it when it exists with the same input.
   *
   * @param pipeline - a definition, which gives the input's type and the version, or a name
   * @throws EngineError `INPUT_INVALID`, `TASK_CONFLICT`, `PIPELINE_UNKNOWN`, `PIPELINE_VERSION_UNKNOWN`, `UNSERIALIZABLE`,
   *   `PAYLOAD_TOO_LARGE`, `INVALID_TASK_ID`, `INVALID_ARGUMENT`
   */
  submit<Definition extends PipelineDefinition>(
    pipeline: Definition,
    input: SubmittedInputOf<Definition>,
    options?: SubmitOptions,
  ): Promise<Submitted>;
  submit(pipeline: string, input: unknown, options?: SubmitOptions): Promise<Submitted>;
  async submit(pipeline: PipelineDefinition | string, input: unknown, options: SubmitOptions = {}): Promise<Submitted> {
    const send = this.#sendOptions(options);
    const { command, fresh } = prepareSubmit({ ...options, pipeline, input }, this.#newId);
    return readSubmitted(await this.#sendTraced(command, send), fresh);
  }

  /** Creates many tasks in few requests; each item has its own outcome, in the order of the items. Never rejects for one. */
  submitMany<Definition extends PipelineDefinition>(
    pipeline: Definition,
    items: readonly SubmitItem<SubmittedInputOf<Definition>>[],
    options?: CallOptions & { readonly version?: number | undefined },
  ): Promise<readonly SubmitOutcome[]>;
  submitMany(
    pipeline: string,
    items: readonly SubmitItem<unknown>[],
    options?: CallOptions & { readonly version?: number | undefined },
  ): Promise<readonly SubmitOutcome[]>;
  async submitMany(
    pipeline: PipelineDefinition | string,
    items: readonly SubmitItem<unknown>[],
    options: CallOptions & { readonly version?: number | undefined } = {},
  ): Promise<readonly SubmitOutcome[]> {
    const send = this.#sendOptions(options);
    const { version } = options;
    if (!Array.isArray(items)) {
      throw invalidArgument({ field: 'items', message: 'items must be a list', limit: 'a list', got: items });
    }
    // All are handed over in this turn, so they leave in as few envelopes as the limits allow.
    return await Promise.all(
      (items as readonly SubmitItem<unknown>[]).map(async (item): Promise<SubmitOutcome> => {
        try {
          const prepared: PreparedSubmit = prepareSubmit({ ...item, pipeline, version }, this.#newId);
          return readSubmitted(await this.#sendTraced(prepared.command, send), prepared.fresh);
        } catch (error) {
          return { kind: 'error', error: asEngineError(error) };
        }
      }),
    );
  }

  /** The task as its owner has it now. @throws EngineError `TASK_NOT_FOUND`, `INVALID_TASK_ID` */
  async get(
    taskId: string,
    options: CallOptions & { readonly includePayloads?: boolean | undefined } = {},
  ): Promise<TaskView> {
    const { includePayloads = false } = checkOptions(options);
    const command = parseCommand({ type: 'task.get', taskId, includePayloads }) as TaskCommand;
    const { task } = expectReply(await this.#send(command, options), ['task']);
    return this.#withPayloads(task);
  }

  /**
   * The outputs of the task's stages, by stage, once it has completed.
   *
   * @param options - `timeoutMs`: how long to wait, {@link defaultResultTimeoutMs} when left out
   * @throws TaskFailedError `TASK_FAILED` with the failure, when it was dead-lettered or canceled; EngineError
   *   `DEADLINE_EXCEEDED` when it has not ended in time, `TASK_NOT_FOUND`, `INVALID_ARGUMENT` for another pipeline's task
   */
  result<Definition extends PipelineDefinition>(
    pipeline: Definition,
    taskId: string,
    options?: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<OutputsOf<Definition>>;
  result(
    pipeline: string,
    taskId: string,
    options?: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Readonly<Record<string, JsonValue>>>;
  async result(
    pipeline: PipelineDefinition | string,
    taskId: string,
    options: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<unknown> {
    const { timeoutMs = defaultResultTimeoutMs, signal } = checkOptions(options);
    checkTimeoutMs(timeoutMs, 'timeoutMs');
    const name = pipelineName(pipeline);
    return this.#outputs(await this.#awaitEnd(parseTaskId(taskId), { timeoutMs, signal }), name);
  }

  /**
   * {@link submit}, then {@link result}, at less than the price of both: the wait rides on the submit.
   *
   * @param options - `deadlineMs`: until the task is accepted; `timeoutMs`: until it has ended, {@link defaultResultTimeoutMs} when left out.
   *   With a `taskId` or an `idempotencyKey` a repeated run finds the task of the first
   * @throws what {@link submit} and {@link result} throw; after a `DEADLINE_EXCEEDED` that names the task it goes on
   */
  run<Definition extends PipelineDefinition>(
    pipeline: Definition,
    input: SubmittedInputOf<Definition>,
    options?: RunOptions,
  ): Promise<OutputsOf<Definition>>;
  run(pipeline: string, input: unknown, options?: RunOptions): Promise<Readonly<Record<string, JsonValue>>>;
  async run(pipeline: PipelineDefinition | string, input: unknown, options: RunOptions = {}): Promise<unknown> {
    const send = this.#sendOptions(options);
    const { timeoutMs = defaultResultTimeoutMs } = options;
    checkTimeoutMs(timeoutMs, 'timeoutMs');
    const startedAt = this.#deps.clock.monotonicMs();
    const waitMs = Math.floor(Math.min(resultPollMs.first, timeoutMs, send.deadlineMs / 2));
    const prepared = prepareSubmit({ ...options, pipeline, input, waitMs: Math.max(0, waitMs) }, this.#newId);
    const { taskId, pipeline: name } = prepared.command;
    const wait = { timeoutMs, signal: send.signal, startedAt };
    // A span of a submit ends when the task is accepted, so that who records them asks for that apart.
    if (waitMs >= 1 && this.#deps.tracing?.isOn !== true && this.#shardClient.answersInParts(taskId)) {
      const reply = await this.#shardClient.send(prepared.command, send);
      if (reply.kind === 'completed' || reply.kind === 'ended') return this.#outputs(reply, name);
      if (reply.kind === 'pending') return this.#outputs(await this.#awaitEnd(taskId, wait), name);
      if (!isUnknownField(reply, 'waitMs')) expectReply(reply, ['completed', 'ended', 'pending']);
      // An older owner has taken the shard over, which knows no such submit: it did nothing.
    }
    const { waitMs: _, ...command } = prepared.command;
    readSubmitted(await this.#sendTraced(command, send), prepared.fresh);
    return this.#outputs(await this.#awaitEnd(taskId, wait), name);
  }

  /** Holds the task before its next start. @throws EngineError `NOT_ALLOWED`, `TASK_NOT_FOUND` */
  pause(taskId: string, options: ControlOptions = {}): Promise<Controlled> {
    return this.#control({ type: 'task.pause' }, taskId, options);
  }

  /** Lets a held task go on. @throws EngineError `NOT_ALLOWED`, `TASK_NOT_FOUND` */
  resume(taskId: string, options: ControlOptions = {}): Promise<Controlled> {
    return this.#control({ type: 'task.resume' }, taskId, options);
  }

  /** Ends the task; a running driver is aborted. @throws EngineError `NOT_ALLOWED`, `TASK_NOT_FOUND` */
  cancel(taskId: string, options: ControlOptions = {}): Promise<Controlled> {
    return this.#control({ type: 'task.cancel' }, taskId, options);
  }

  /** Sends a dead letter or an unknown outcome back to work. @throws EngineError `NOT_ALLOWED`, `TASK_NOT_FOUND` */
  redrive(taskId: string, options: ControlOptions = {}): Promise<Controlled> {
    return this.#control({ type: 'task.redrive' }, taskId, options);
  }

  /** Says what became of a stage that is parked in `unknown`. @throws EngineError `NOT_ALLOWED`, `TASK_NOT_FOUND` */
  resolve(taskId: string, resolution: OperatorResolution, options: ControlOptions = {}): Promise<Controlled> {
    return this.#control({ type: 'task.resolve', resolution }, taskId, options);
  }

  /** One page of tasks over all shards, in the order of ids. @throws EngineError `INVALID_ARGUMENT` */
  async list(query: TaskListQuery = {}): Promise<TaskPage> {
    const { pipeline, status, includeFinished, limit = 100, after } = checkOptions(query, 'query');
    const command = parseCommand({ type: 'task.list', pipeline, status, includeFinished, limit, after });
    return listTasks(this.#shardClient, command as ListQuery, this.#sendOptions(query));
  }

  /**
   * The task's events, in order and each once, read off the journal; ends after the event that ends the task, or when the
   * signal aborts or the client closes. Leave the loop to stop.
   *
   * @param options - `after`: the `id` of the last event that was dealt with; `endOnDeadLetter` false: wait on for a redrive
   * @throws EngineError `CONFIG_INVALID` without a journal, `INVALID_ARGUMENT` for a position that is not of this task
   */
  async *watch(
    taskId: string,
    options: {
      readonly after?: string | undefined;
      readonly endOnDeadLetter?: boolean | undefined;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): AsyncGenerator<PipelineEvent, void, undefined> {
    const { journal, namespace } = this.#withJournal();
    const id = parseTaskId(taskId);
    checkSignal(checkOptions(options).signal);
    const after = options.after === undefined ? undefined : parsePosition(options.after);
    const leaving = new AbortController();
    const given = options.signal === undefined ? [] : [options.signal];
    const signal = AbortSignal.any([this.#closing.signal, leaving.signal, ...given]);
    try {
      const { endOnDeadLetter } = options;
      yield* followTask({ journal, namespace, shard: this.#shardOf(id), taskId: id, after, endOnDeadLetter, signal });
    } finally {
      leaving.abort();
    }
  }

  /** What the journal still has of the task. @throws EngineError `CONFIG_INVALID` without a journal, `UNAVAILABLE` */
  async history(taskId: string): Promise<TaskHistory> {
    const { journal } = this.#withJournal();
    const id = parseTaskId(taskId);
    return readTaskHistory({ journal, shard: this.#shardOf(id), taskId: id });
  }

  /** What a node tells of the engine. @throws EngineError `NO_OWNER`, `NATS_UNREACHABLE`, `DEADLINE_EXCEEDED` */
  async info(options: Pick<CallOptions, 'deadlineMs'> = {}): Promise<EngineInfo> {
    return discoverEngine(this.#deps, this.#sendOptions(options).deadlineMs);
  }

  /** Ends every call and watch in hand and closes what the client has opened. A second call waits for the first. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#shardClient.close();
    await this.#deps.onClose?.();
  }

  async #awaitEnd(
    taskId: TaskId,
    wait: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined; readonly startedAt?: number },
  ): Promise<TaskEnd> {
    const { clock } = this.#deps;
    const { timeoutMs, signal } = wait;
    const deadlineAt = (wait.startedAt ?? clock.monotonicMs()) + timeoutMs;
    let state = 'not asked yet';
    let mayBeBrief = true;
    for (let pollMs: number = resultPollMs.first; ; pollMs = Math.min(resultPollMs.longest, pollMs * 2)) {
      const remainingMs = Math.max(0, Math.ceil(deadlineAt - clock.monotonicMs()));
      const waitMs = Math.min(pollMs, remainingMs);
      const isBrief = mayBeBrief && this.#shardClient.answersInParts(taskId);
      const reply = await this.#shardClient.send(
        isBrief ? { type: 'task.result', taskId, waitMs, brief: true } : { type: 'task.result', taskId, waitMs },
        this.#sendOptions({
          deadlineMs: Math.min(maximumDeadlineMs, Math.max(1, remainingMs) + resultGraceMs),
          signal,
        }),
      );
      if (reply.kind === 'ended' || reply.kind === 'completed') return reply;
      if (reply.kind === 'pending') state = reply.state;
      else if (isBrief && isUnknownField(reply, 'brief')) mayBeBrief = false;
      else if (reply.kind !== 'error' || clock.monotonicMs() < deadlineAt) expectReply(reply, ['ended', 'pending']);
      else state = `${state}, last answer ${reply.error.code}`;
      if (clock.monotonicMs() < deadlineAt) continue;
      throw new EngineError('DEADLINE_EXCEEDED', `task ${taskId} has not ended within ${timeoutMs} ms (${state})`, {
        field: 'timeoutMs',
        limit: `${timeoutMs} ms`,
        hint: 'the task goes on; ask again',
      });
    }
  }

  /** @throws TaskFailedError; EngineError `INVALID_ARGUMENT` for another pipeline's task */
  #outputs(end: TaskEnd, pipeline: string): unknown {
    const task = end.kind === 'completed' ? end : end.task;
    if (task.pipeline !== pipeline) {
      throw invalidArgument({
        field: 'pipeline',
        message: `task ${task.taskId} is of pipeline '${task.pipeline}', not of '${pipeline}'`,
        limit: task.pipeline,
        got: pipeline,
      });
    }
    if (end.kind === 'ended' && end.task.status !== 'completed') throw new TaskFailedError(end.task);
    const outputs = task.outputs ?? {};
    return this.#deps.blobs === undefined ? outputs : fetchValues(outputs, this.#deps.blobs);
  }

  async #control(
    command: Partial<ControlCommand> & Pick<ControlCommand, 'type'>,
    taskId: string,
    options: ControlOptions,
  ): Promise<Controlled> {
    const send = this.#sendOptions(options);
    const { by, reason, commandId = this.#deps.random.id(), expectedSeq } = options;
    const parsed = parseCommand({ ...command, taskId, commandId, by, reason, expectedSeq });
    const sent = this.#sendTraced(parsed as ControlCommand, send);
    const reply = expectReply(await sent, ['done']);
    return { taskId: reply.taskId, state: reply.state, repeated: reply.repeated };
  }

  #send(command: TaskCommand, options: CallOptions): ReturnType<ShardClient['send']> {
    return this.#shardClient.send(command, this.#sendOptions(options));
  }

  /** Sends what changes something, in a span of its own when somebody records them. */
  #sendTraced(command: SubmitCommand | ControlCommand, options: SendOptions): Promise<Reply> {
    const { tracing } = this.#deps;
    return tracing?.isOn === true
      ? this.#sendInSpan(tracing, command, options)
      : this.#shardClient.send(command, options);
  }

  async #sendInSpan(tracing: Tracing, command: SubmitCommand | ControlCommand, options: SendOptions): Promise<Reply> {
    const { namespace } = this.#deps;
    const span = startSendingSpan(tracing, { namespace, shard: this.#shardOf(command.taskId), command });
    const reply = await this.#shardClient.send(command, { ...options, traceparent: span.traceparent });
    span.end(reply.kind === 'error' ? { type: reply.error.code, message: reply.error.message } : undefined);
    return reply;
  }

  #sendOptions(options: CallOptions): SendOptions {
    return readSendOptions(options, this.#deadlineMs);
  }

  async #withPayloads(task: TaskView): Promise<TaskView> {
    return this.#deps.blobs === undefined ? task : fetchPayloads(task, this.#deps.blobs);
  }

  #withJournal(): { readonly journal: Journal; readonly namespace: string } {
    const { journal, namespace } = this.#deps;
    if (journal !== undefined) return { journal, namespace };
    throw new EngineError('CONFIG_INVALID', 'this client has no journal to read', {
      field: 'journal',
      hint: 'pass a journal to createClient, or use connectClient',
    });
  }

  readonly #newId = (): string => this.#deps.random.id();

  #shardOf(taskId: TaskId): ShardId {
    return shardOf(taskId, this.#deps.shardCount);
  }
}

/** Whether an owner that does not know a field of the command has refused it; it did nothing. */
function isUnknownField(reply: Reply, field: string): boolean {
  return reply.kind === 'error' && reply.error.code === 'INVALID_ARGUMENT' && reply.error.field === field;
}

function asEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  const error = asError(thrown);
  return new EngineError('INTERNAL', error.message, { cause: error });
}
