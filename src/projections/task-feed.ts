import { invalidArgument } from '../core/errors.ts';
import type { ShardId, TaskId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import { eventsOfCommit, eventsOfRecord, type PipelineEvent } from './cloud-event.ts';
import { followEntries, positionBefore } from './entry-feed.ts';
import { endingEventTypes, type PipelineEventType } from './event-types.ts';
import { comparePositions, parsePosition, partsOfPosition, startPosition, type Position } from './position.ts';
import { readTaskHistory } from './task-history.ts';

/** Which task to follow, and until when. */
export interface TaskFeedRequest {
  readonly journal: Journal;
  readonly namespace: string;
  readonly shard: ShardId;
  readonly taskId: TaskId;
  /** Go on after this event of this task; left out: all that the journal has of it. */
  readonly after?: Position | undefined;
  /** Whether a dead letter ends the feed; else it goes on, for a redrive may follow. Default true. */
  readonly endOnDeadLetter?: boolean | undefined;
  /** Ends the feed early. */
  readonly signal: AbortSignal;
}

/**
 * The events of one task, in order and each one once. Ends by itself after the event that ends the task; a feed that is
 * resumed after that event ends at once. For a task that was never submitted it waits until the signal aborts.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a position that is not of this task, trimmed or in the future;
 *   `RECORD_CORRUPT` that names the sequence; `UNAVAILABLE`
 */
export async function* followTask(request: TaskFeedRequest): AsyncGenerator<PipelineEvent, void, undefined> {
  const { journal, namespace, shard, taskId, signal } = request;
  const after = request.after === undefined ? startPosition : parsePosition(request.after);
  if (after !== startPosition) {
    await checkShardReaches(journal, shard, after, taskId);
    yield* followOn(request, { from: after, readThrough: after, isResumed: true });
    return;
  }
  const history = await readTaskHistory({ journal, shard, taskId });
  let readThrough = startPosition;
  for (const { sequence, index, epoch, record } of history.records) {
    for (const event of eventsOfRecord(record, { namespace, shard, sequence, index, epoch })) {
      if (signal.aborted) return;
      yield event;
      if (isLast(event.type, request)) return;
      readThrough = event.id;
    }
  }
  // On from where the history ends, not from the task's last event: what lies between may be trimmed by now.
  yield* followOn(request, { from: positionBefore(history.through), readThrough, isResumed: false });
}

async function* followOn(
  request: TaskFeedRequest,
  start: { readonly from: Position; readonly readThrough: Position; readonly isResumed: boolean },
): AsyncGenerator<PipelineEvent, void, undefined> {
  const { journal, namespace, shard, taskId, signal } = request;
  let isUnchecked = start.isResumed;
  for await (const { entry, commit } of followEntries({ journal, after: start.from, shard, signal })) {
    if (isUnchecked) checkIsOfTask(entry, commit, start.from, taskId);
    isUnchecked = false;
    // Of the events that were read before, the newest one says whether the task had ended.
    let hadEnded = false;
    for (const event of eventsOfCommit(entry, commit, namespace, { taskId })) {
      if (comparePositions(event.id, start.readThrough) <= 0) {
        hadEnded = isLast(event.type, request);
        continue;
      }
      if (hadEnded) return;
      yield event;
      if (isLast(event.type, request)) return;
    }
    if (hadEnded) return;
  }
}

function isLast(type: PipelineEventType, request: TaskFeedRequest): boolean {
  if (type === 'io.cabinet.task.dead-lettered') return request.endOnDeadLetter ?? true;
  return endingEventTypes.includes(type);
}

/** A position beyond the shard's last entry is another shard's: following on it would wait for an entry that never comes. */
async function checkShardReaches(journal: Journal, shard: ShardId, after: Position, taskId: TaskId): Promise<void> {
  const last = await journal.readLast(shard);
  if ((last?.sequence ?? 0) < partsOfPosition(after).sequence) throw notOfTask(after, taskId);
}

function checkIsOfTask(entry: JournalEntry, commit: Commit, after: Position, taskId: TaskId): void {
  const { sequence, part } = partsOfPosition(after);
  const isOfTask = entry.sequence === sequence && commit.records[part - 1]?.task === taskId;
  if (!isOfTask) throw notOfTask(after, taskId);
}

function notOfTask(after: Position, taskId: TaskId): Error {
  return invalidArgument({
    field: 'after',
    message: `position ${after} is not of an event of task ${taskId}`,
    limit: "the id of an event of this task's feed",
    got: after,
  });
}
