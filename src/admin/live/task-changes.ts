import { asError, EngineError } from '../../core/errors.ts';
import type { Sequence, TaskId } from '../../core/ids.ts';
import type { Clock, TimerHandle } from '../../ports/clock.ts';
import type { IndexedTask, TaskFilter, TaskIndex } from '../../ports/task-index.ts';
import { parsePosition, partsOfPosition } from '../../projections/position.ts';
import type { EventHub } from './event-hub.ts';
import type { TapeItem } from './event-tape.ts';
import { sharedDelta, type FeedSink } from './feed.ts';

/** Time between two tellings of what has changed. */
export const taskChangesEveryMs = 250;
/** Tasks that are told of at once; when more have changed it is said, and a list is better loaded anew. */
export const maximumTaskChanges = 500;
/** Tasks of a snapshot. */
const snapshotSize = 200;
/** Changed tasks that wait for the index; it is behind for longer than it should be. */
const maximumWaiting = 5_000;

/** The data of a delta of the topic `tasks`. */
export interface TaskChanges {
  /** Tasks that match the filter, as they are now. */
  readonly changed: readonly IndexedTask[];
  /** Tasks that have changed and do not match, whether they did before or not. */
  readonly left: readonly TaskId[];
  /** Whether more has changed than is told here. */
  readonly isPartial: boolean;
}

/** The changes of the task index that match one filter, a few times a second and each task once, for all who look with that filter. */
export class TaskChangeFeed {
  readonly #index: TaskIndex;
  readonly #clock: Clock;
  readonly #filter: TaskFilter;
  readonly #onEmpty: () => void;
  readonly #members = new Set<FeedSink>();
  readonly #newcomers = new Set<FeedSink>();
  /** Changed tasks, each with the entry that the index must have read to know. */
  readonly #changed = new Map<TaskId, Sequence>();
  readonly #release: () => void;
  readonly #unlisten: () => void;
  #isPartial = false;
  #timer: TimerHandle | null = null;
  #isTelling = false;
  #isOver = false;

  constructor(deps: {
    readonly index: TaskIndex;
    readonly hub: EventHub;
    readonly clock: Clock;
    readonly filter: TaskFilter;
    readonly onEmpty: () => void;
  }) {
    this.#index = deps.index;
    this.#clock = deps.clock;
    this.#filter = deps.filter;
    this.#onEmpty = deps.onEmpty;
    this.#release = deps.hub.use();
    this.#unlisten = deps.hub.listen((item) => this.#note(item));
  }

  join(sink: FeedSink): () => void {
    this.#newcomers.add(sink);
    if (this.#timer === null && !this.#isTelling) void this.#tell();
    return () => {
      this.#members.delete(sink);
      this.#newcomers.delete(sink);
      this.#endIfEmpty();
    };
  }

  #note(item: TapeItem): void {
    if (item.kind === 'gap') {
      this.#isPartial = true;
      return;
    }
    for (const { taskId } of item.events) {
      if (taskId === null) continue;
      if (this.#changed.size >= maximumWaiting && !this.#changed.has(taskId)) this.#isPartial = true;
      else this.#changed.set(taskId, item.sequence);
    }
  }

  async #tell(): Promise<void> {
    this.#isTelling = true;
    this.#timer = null;
    try {
      const taskIds = this.#takeKnown();
      const position = this.#index.position;
      if (taskIds.length > 0 || this.#isPartial) {
        const isPartial = this.#isPartial;
        this.#isPartial = false;
        const changes = await this.#changesOf(taskIds, isPartial);
        const delta = sharedDelta(position, JSON.stringify(changes));
        for (const member of this.#members) member.delta(delta);
      }
      await this.#welcome();
    } catch (thrown) {
      this.#letGo(thrown);
    }
    this.#isTelling = false;
    if (this.#members.size + this.#newcomers.size === 0) this.#endIfEmpty();
    else this.#timer = this.#clock.setTimer(taskChangesEveryMs, () => void this.#tell());
  }

  /** Those of the changed tasks whose change the index holds by now. */
  #takeKnown(): readonly TaskId[] {
    const { position } = this.#index;
    const read = position === null ? 0 : partsOfPosition(parsePosition(position, 'position')).sequence;
    const known: TaskId[] = [];
    for (const [taskId, sequence] of this.#changed) {
      if (known.length === maximumTaskChanges) {
        this.#isPartial = true;
        break;
      }
      if (sequence <= read) known.push(taskId);
    }
    for (const taskId of known) this.#changed.delete(taskId);
    return known;
  }

  async #changesOf(taskIds: readonly TaskId[], isPartial: boolean): Promise<TaskChanges> {
    const { taskIds: wanted } = this.#filter;
    const asked = wanted === undefined ? taskIds : taskIds.filter((taskId) => wanted.includes(taskId));
    const filter: TaskFilter = { ...this.#filter, taskIds: asked };
    const query = { filter, sortBy: 'updatedAt', descending: true, limit: maximumTaskChanges } as const;
    const changed = asked.length === 0 ? [] : (await this.#index.list(query)).tasks;
    const matching = new Set(changed.map(({ taskId }) => taskId));
    return { changed, left: asked.filter((taskId) => !matching.has(taskId)), isPartial };
  }

  async #welcome(): Promise<void> {
    if (this.#newcomers.size === 0) return;
    const newcomers = [...this.#newcomers];
    const { position } = this.#index;
    const query = { filter: this.#filter, sortBy: 'updatedAt', descending: true, limit: snapshotSize } as const;
    const { tasks, next } = await this.#index.list(query);
    const text = JSON.stringify({ tasks, hasMore: next !== null });
    for (const sink of newcomers) {
      if (!this.#newcomers.delete(sink)) continue;
      this.#members.add(sink);
      sink.snapshot(position, text);
    }
  }

  #letGo(thrown: unknown): void {
    const cause = asError(thrown);
    const error = cause instanceof EngineError ? cause : new EngineError('INTERNAL', cause.message, { cause });
    const all = [...this.#members, ...this.#newcomers];
    this.#members.clear();
    this.#newcomers.clear();
    for (const sink of all) sink.failed(error);
  }

  #endIfEmpty(): void {
    if (this.#isOver || this.#isTelling || this.#members.size + this.#newcomers.size > 0) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#unlisten();
    this.#release();
    this.#onEmpty();
  }
}
