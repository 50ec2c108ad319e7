import { positionOf } from '../actors/task-state.ts';
import { decodeCommit } from '../core/commit-codec.ts';
import { shardOfJournalSubject } from '../core/subjects.ts';
import type { ShardId } from '../core/ids.ts';
import type { TaskEvent } from '../core/records.ts';
import type { TaskStatus } from '../core/task-view.ts';
import type { JetStreamStream } from './jetstream-stream.ts';

/** Where a task stands, as the journal says. */
export interface TrackedTask {
  readonly taskId: string;
  readonly pipeline: string;
  readonly shard: ShardId;
  readonly epoch: number;
  readonly stage: string | null;
  readonly status: TaskStatus;
  /** Its records so far. */
  readonly seq: number;
}

/** The statuses in which a task may stay for ever: ended, or waiting for an operator. */
const resting: ReadonlySet<TaskStatus> = new Set(['completed', 'canceled', 'deadLettered', 'held', 'unknown']);

/** Reads the journal as it grows: where each task stands, and how often each kind of record came. */
export class TaskTracker {
  readonly tasks = new Map<string, TrackedTask>();
  /** Records by what they say: `stage.started`, `owner.changed lookup`. */
  readonly counts = new Map<string, number>();
  readonly #journal: JetStreamStream;
  #read = 0;

  constructor(journal: JetStreamStream) {
    this.#journal = journal;
  }

  /** Reads what is new. */
  update(): void {
    for (; this.#read < this.#journal.archive.length; this.#read += 1) {
      const message = this.#journal.archive[this.#read];
      if (message === undefined) return;
      const { epoch, records } = decodeCommit(message.body);
      const shard = shardOfJournalSubject(message.subject);
      for (const { task, pipeline, event, to, seq } of records) {
        this.tasks.set(task, { taskId: task, pipeline, shard, epoch, seq, ...positionOf(to) });
        const name = nameOf(event);
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      }
    }
  }

  /** Whether every task rests. */
  get isAtRest(): boolean {
    this.update();
    for (const { status } of this.tasks.values()) if (!resting.has(status)) return false;
    return true;
  }

  /** The tasks in one of these statuses. */
  inStatus(...statuses: readonly TaskStatus[]): readonly TrackedTask[] {
    this.update();
    return [...this.tasks.values()].filter(({ status }) => statuses.includes(status));
  }
}

function nameOf(event: TaskEvent): string {
  if (event.type === 'outcome.resolved') return `${event.type} ${event.by} ${event.resolution.kind}`;
  if ('decision' in event) return `${event.type} ${event.decision.kind}`;
  return event.type;
}
