import { Worker } from 'node:worker_threads';
import { asError, EngineError, unreachable } from '../core/errors.ts';
import type {
  TaskIndexCallName,
  TaskIndexCalls,
  TaskIndexRequest,
  TaskIndexResponse,
  TaskIndexStanding,
  TaskIndexThreadData,
} from './task-index-protocol.ts';

interface WaitingCall {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The thread that has an index's database, seen from the main thread: its calls are answered in order. */
export class TaskIndexThread {
  readonly #worker: Worker;
  readonly #calls = new Map<number, WaitingCall>();
  /** Null once it is open, or has failed to open. */
  #opening: WaitingCall | null;
  #standing: TaskIndexStanding = { position: null, rowCount: 0 };
  #dropped: string | null = null;
  #lastId = 0;
  #isClosing = false;
  #end: Error | null = null;

  private constructor(data: TaskIndexThreadData, execArgv: readonly string[] | undefined, opening: WaitingCall) {
    this.#opening = opening;
    this.#worker = new Worker(hostUrl(), {
      workerData: data,
      ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
    });
    this.#worker.on('message', (response: TaskIndexResponse) => this.#receive(response));
    this.#worker.on('error', (thrown: unknown) => this.#onEnd(asError(thrown)));
    this.#worker.on('exit', (exitCode) => this.#onEnd(new Error(`its thread ended with ${exitCode}`)));
  }

  /** @throws EngineError `UNAVAILABLE` when the file is in use or the thread cannot run */
  static async open(data: TaskIndexThreadData, execArgv: readonly string[] | undefined): Promise<TaskIndexThread> {
    const { promise, resolve, reject } = promiseParts();
    const thread = new TaskIndexThread(data, execArgv, { resolve, reject });
    await promise;
    return thread;
  }

  /** Why an earlier file was not used and is gone; null when there was none to drop. */
  get dropped(): string | null {
    return this.#dropped;
  }

  get standing(): TaskIndexStanding {
    return this.#standing;
  }

  /** Whether it takes no calls any more. */
  get hasEnded(): boolean {
    return this.#end !== null;
  }

  /** @throws EngineError what the database says; `UNAVAILABLE` when the thread has ended */
  call<Name extends TaskIndexCallName>(
    name: Name,
    request: TaskIndexCalls[Name]['request'],
  ): Promise<TaskIndexCalls[Name]['answer']> {
    const end = this.#end;
    if (end !== null) return Promise.reject(ended(end));
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#worker.ref();
      this.#worker.postMessage({ id, name, request } satisfies TaskIndexRequest, []);
    });
  }

  /** Closes the database; resolves when the thread is gone, and with it every lock on the file. */
  async close(): Promise<void> {
    if (this.#end !== null) return;
    this.#isClosing = true;
    const exited = new Promise<void>((resolve) => void this.#worker.once('exit', () => resolve()));
    await this.call('close', null);
    await exited;
  }

  #receive(response: TaskIndexResponse): void {
    switch (response.kind) {
      case 'open':
        this.#standing = response;
        this.#dropped = response.dropped;
        this.#opening?.resolve(null);
        this.#opening = null;
        break;
      case 'failedToOpen':
        this.#opening?.reject(EngineError.fromReport(response.error));
        this.#opening = null;
        return;
      case 'answer':
        this.#standing = response;
        this.#take(response.id)?.resolve(response.answer);
        break;
      case 'error':
        this.#take(response.id)?.reject(EngineError.fromReport(response.error));
        break;
      default:
        unreachable(response);
    }
    // An index must not keep a process alive that waits for no answer of it.
    if (this.#calls.size === 0 && !this.#isClosing) this.#worker.unref();
  }

  #take(id: number): WaitingCall | undefined {
    const waiting = this.#calls.get(id);
    this.#calls.delete(id);
    return waiting;
  }

  #onEnd(cause: Error): void {
    this.#end ??= cause;
    this.#opening?.reject(ended(cause));
    this.#opening = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(ended(cause));
  }
}

function promiseParts(): WaitingCall & { readonly promise: Promise<unknown> } {
  let parts: WaitingCall | undefined;
  const promise = new Promise<unknown>((resolve, reject) => (parts = { resolve, reject }));
  return { promise, ...(parts as unknown as WaitingCall) };
}

function ended(cause: Error): EngineError {
  return new EngineError('UNAVAILABLE', `the task index does not answer: ${cause.message}`, { cause });
}

function hostUrl(): URL {
  const source = new URL('./task-index-host.ts', import.meta.url);
  return import.meta.url.endsWith('.ts') ? source : new URL(source.href.replace(/\.ts$/, '.js'));
}
