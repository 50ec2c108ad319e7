import { WebSocket } from 'ws';
import { shardOf } from '../../src/core/hash.ts';
import type { TaskId } from '../../src/core/ids.ts';
import type { TaskRecord } from '../../src/core/records.ts';
import type { InspectionFrame } from '../../src/inspector/inspection-frame.ts';
import { ArrayJournal } from './array-journal.ts';

/** The task of the kit `a-task.ts`. */
export const inspectedTask = 't-1' as TaskId;
/** Shards of a journal in these tests. */
export const inspectedShards = 4;
const shard = shardOf(inspectedTask, inspectedShards);

/** A journal with a task in it, each record a commit of its own after the claim of the shard's first owner. */
export function aJournalOf(records: readonly TaskRecord[]): ArrayJournal {
  const journal = new ArrayJournal();
  claimShard(journal, 1);
  for (const record of records) appendRecord(journal, record);
  return journal;
}

/** The next record of the task. */
export function appendRecord(journal: ArrayJournal, record: TaskRecord, epoch = 1): void {
  journal.commit(shard, [record], { epoch });
}

/** The task's shard gets an owner. */
export function claimShard(journal: ArrayJournal, epoch: number): void {
  journal.commit(shard, [], {
    epoch,
    owner: { epoch: epoch as never, node: `n-${epoch}` as never, incarnation: `i-${epoch}` },
  });
}

/** What became of a socket that was refused before it opened. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly field: string | undefined;
}

/** A viewer's end of a socket. */
export class TestViewer {
  readonly frames: InspectionFrame[] = [];
  readonly #socket: WebSocket;
  readonly #wakers = new Set<() => void>();
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #opened: Promise<Refusal | null>;

  constructor(url: string, options: { readonly headers?: Record<string, string>; readonly protocols?: string[] } = {}) {
    this.#socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {} });
    this.#socket.on('message', (data) => {
      this.frames.push(JSON.parse((data as Buffer).toString('utf8')) as InspectionFrame);
      for (const wake of this.#wakers) wake();
    });
    this.closed = new Promise((resolve) =>
      this.#socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString('utf8') });
        for (const wake of this.#wakers) wake();
      }),
    );
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.on('open', () => resolve(null));
      this.#socket.on('unexpected-response', (_request, answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        answer.on('end', () => {
          const { error } = JSON.parse(text) as { readonly error: { readonly code: string; readonly field?: string } };
          resolve({ status: answer.statusCode ?? 0, code: error.code, field: error.field });
          this.#socket.terminate();
        });
      });
      this.#socket.on('error', reject);
    });
  }

  /** Null once it is open; how it was refused else. */
  get opened(): Promise<Refusal | null> {
    return this.#opened;
  }

  get socket(): WebSocket {
    return this.#socket;
  }

  /** Stops to read: what comes is left to lie in the system's buffers. */
  stall(): void {
    this.#socket.pause();
  }

  /** Reads on. */
  goOn(): void {
    this.#socket.resume();
  }

  /** The frames, once they satisfy; or an error after the deadline. */
  async until(
    isEnough: (frames: readonly InspectionFrame[]) => boolean,
    timeoutMs = 15_000,
  ): Promise<InspectionFrame[]> {
    const late = AbortSignal.timeout(timeoutMs);
    while (!isEnough(this.frames)) {
      if (late.aborted)
        throw new Error(`only ${this.frames.length} frames came: ${JSON.stringify(this.frames.at(-1))}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#wakers.delete(wake);
          late.removeEventListener('abort', wake);
          resolve();
        };
        this.#wakers.add(wake);
        late.addEventListener('abort', wake);
      });
    }
    return this.frames;
  }

  leave(): void {
    this.#socket.terminate();
  }
}

/** The types of the task's events in frames, in order, also of owners and gaps; what an attempt tells of itself is left out. */
export function eventTypesIn(frames: readonly InspectionFrame[]): string[] {
  return frames.flatMap(({ type, event, sessionId, rootId }) => {
    if (sessionId !== rootId) return [];
    if (type === '@xstate.event' || type === '@xstate.transition') return [(event as { readonly type: string }).type];
    return type.startsWith('engine.') ? [type] : [];
  });
}
