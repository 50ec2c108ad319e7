import { rename } from 'node:fs/promises';
import { assert, EngineError } from '../core/errors.ts';
import type { Millis, TaskId } from '../core/ids.ts';
import type { Logger } from '../ports/logger.ts';
import type {
  IndexedTask,
  TaskFilter,
  TaskGroup,
  TaskGroupField,
  TaskIndexChange,
  TaskIndexStore,
  TaskListQuery,
  TaskPage,
  TaskRow,
} from '../ports/task-index.ts';
import type { TaskIndexCallName, TaskIndexCalls } from './task-index-protocol.ts';
import { TaskIndexThread } from './task-index-thread.ts';

/** Where an index lies. */
export interface SqliteTaskIndexOptions {
  /** Its file, in a folder that exists; in memory when left out. */
  readonly file?: string | undefined;
  readonly logger: Logger;
  /** Arguments of the thread's own Node, where TypeScript is run without being built. */
  readonly execArgv?: readonly string[] | undefined;
}

const inMemory = ':memory:';

/**
 * The task index in a SQLite file, worked by a thread of its own: a page of a million tasks or a batch of the projector takes tens
 * of milliseconds, in which no event loop may stand still.
 *
 * The file is a cache of the journal. One of another schema version, or a broken one, is dropped, loudly; its projector then
 * begins at the journal's first entry.
 */
export class SqliteTaskIndex implements TaskIndexStore {
  readonly #options: SqliteTaskIndexOptions;
  readonly #path: string;
  #thread: Promise<TaskIndexThread>;
  /** The one that answered last. */
  #known: TaskIndexThread;
  readonly #calls = new Set<Promise<unknown>>();
  #isClosed = false;

  private constructor(options: SqliteTaskIndexOptions, path: string, thread: TaskIndexThread) {
    this.#options = options;
    this.#path = path;
    this.#known = thread;
    this.#thread = Promise.resolve(thread);
  }

  /** @throws EngineError `UNAVAILABLE` when another process has the file, or it cannot be written */
  static open(options: SqliteTaskIndexOptions): Promise<SqliteTaskIndex> {
    return SqliteTaskIndex.#open(options, options.file ?? inMemory, false);
  }

  static async #open(options: SqliteTaskIndexOptions, path: string, isAnew: boolean): Promise<SqliteTaskIndex> {
    return new SqliteTaskIndex(options, path, await openThread(options, path, isAnew));
  }

  get position(): string | null {
    return this.#known.standing.position;
  }

  get rowCount(): number {
    return this.#known.standing.rowCount;
  }

  get(taskId: TaskId): Promise<IndexedTask | null> {
    return this.#call('get', taskId);
  }

  list(query: TaskListQuery): Promise<TaskPage> {
    return this.#call('list', query);
  }

  count(filter: TaskFilter): Promise<number> {
    return this.#call('count', filter);
  }

  countBy(field: TaskGroupField, filter: TaskFilter, limit: number): Promise<readonly TaskGroup[]> {
    return this.#call('countBy', { field, filter, limit });
  }

  async rowsOf(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, TaskRow>> {
    if (taskIds.length === 0 && !this.#isClosed) return new Map();
    return new Map((await this.#call('rowsOf', taskIds)).map((row) => [row.task.taskId, row]));
  }

  scan(after: TaskId | null, limit: number): Promise<readonly TaskRow[]> {
    return this.#call('scan', { after, limit });
  }

  async apply(change: TaskIndexChange): Promise<void> {
    await this.#call('apply', change);
  }

  expire(endedBefore: Millis, limit: number): Promise<number> {
    return this.#call('expire', { endedBefore, limit });
  }

  async beside(): Promise<SqliteTaskIndex> {
    this.#demandOpen();
    return SqliteTaskIndex.#open(this.#options, this.#path === inMemory ? inMemory : `${this.#path}.next`, true);
  }

  async adopt(other: TaskIndexStore): Promise<void> {
    this.#demandOpen();
    assert(other instanceof SqliteTaskIndex, () => 'an index adopts only what it made beside itself');
    // Calls that come meanwhile wait for the new thread; those that came before are answered by the old one.
    const replaced = this.#replace(this.#thread, other);
    // If it fails, the own file is still what it was.
    this.#thread = replaced.catch(() => openThread(this.#options, this.#path, false));
    other.#isClosed = true;
    this.#known = await this.#thread;
    await replaced;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#calls);
    await (await this.#thread).close();
  }

  async #replace(thread: Promise<TaskIndexThread>, other: SqliteTaskIndex): Promise<TaskIndexThread> {
    // Only those: calls of now wait for what this gives.
    await Promise.allSettled([...this.#calls, ...other.#calls]);
    const next = await other.#thread;
    await (await thread).close();
    if (this.#path === inMemory) return next;
    // Closed files have no log beside them, so that one name is all there is to change.
    await next.close();
    await rename(other.#path, this.#path);
    return openThread(this.#options, this.#path, false);
  }

  async #call<Name extends TaskIndexCallName>(
    name: Name,
    request: TaskIndexCalls[Name]['request'],
  ): Promise<TaskIndexCalls[Name]['answer']> {
    this.#demandOpen();
    const answer = this.#runningThread().then((thread) => thread.call(name, request));
    this.#calls.add(answer);
    try {
      return await answer;
    } finally {
      this.#calls.delete(answer);
    }
  }

  /** A thread that died is replaced; what it had committed is in its file. */
  async #runningThread(): Promise<TaskIndexThread> {
    const current = this.#thread;
    const thread = await current;
    if (!thread.hasEnded) return thread;
    if (this.#thread === current) {
      this.#options.logger.error({ file: this.#path }, "the task index's thread died and is started again");
      this.#thread = openThread(this.#options, this.#path, false);
      // A start that fails is tried again by the next call.
      this.#thread.catch(() => (this.#thread = current));
    }
    this.#known = await this.#thread;
    return this.#known;
  }

  #demandOpen(): void {
    if (this.#isClosed) throw new EngineError('UNAVAILABLE', 'the task index is closed');
  }
}

async function openThread(options: SqliteTaskIndexOptions, path: string, isAnew: boolean): Promise<TaskIndexThread> {
  const thread = await TaskIndexThread.open({ path, isAnew }, options.execArgv);
  if (thread.dropped !== null) {
    options.logger.error(
      { file: path, reason: thread.dropped },
      'the file of the task index cannot be used; it was dropped and is built anew from the journal',
    );
  }
  return thread;
}
