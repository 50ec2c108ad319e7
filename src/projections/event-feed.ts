import { invalidArgument } from '../core/errors.ts';
import type { ShardId, TaskId } from '../core/ids.ts';
import type { Journal } from '../ports/journal.ts';
import { eventsOfCommit, type PipelineEvent } from './cloud-event.ts';
import { followEntries } from './entry-feed.ts';
import { pipelineEventTypes, type PipelineEventType } from './event-types.ts';
import { comparePositions, parsePosition, partsOfPosition, type Position } from './position.ts';

/** What to read of the event feed. */
export interface EventFeedRequest {
  readonly journal: Journal;
  readonly namespace: string;
  /** Go on after this event; left out: from the oldest entry that is left. May lie within a commit. */
  readonly after?: Position | undefined;
  readonly shard?: ShardId | undefined;
  /** Only these types; all when left out. */
  readonly types?: readonly PipelineEventType[] | undefined;
  /** Only this task's events. Give its shard too, so that no other shard is read. */
  readonly taskId?: TaskId | undefined;
  /** Ends the feed. */
  readonly signal: AbortSignal;
}

/**
 * The journal as events: ordered, without gaps, each one once, for ever; at the end it waits for more. Whoever keeps the
 * `id` of the last event it has dealt with goes on exactly after it. Reading changes nothing and slows no task (R-EVT-2).
 *
 * @throws EngineError `INVALID_ARGUMENT` for a bad type, or a position that is no position, trimmed or in the future;
 *   `RECORD_CORRUPT` that names the sequence; `UNAVAILABLE`
 */
export async function* followEvents(request: EventFeedRequest): AsyncGenerator<PipelineEvent, void, undefined> {
  const { journal, namespace, shard, taskId, signal } = request;
  const after = request.after === undefined ? undefined : parsePosition(request.after);
  const filter = { taskId, types: request.types === undefined ? undefined : parseEventTypes(request.types) };
  const resumedWithin = after === undefined ? 0 : partsOfPosition(after).sequence;
  for await (const { entry, commit } of followEntries({ journal, after, shard, signal })) {
    for (const event of eventsOfCommit(entry, commit, namespace, filter)) {
      if (after !== undefined && entry.sequence === resumedWithin && comparePositions(event.id, after) <= 0) continue;
      yield event;
    }
  }
}

/** `types` as known event types. @throws EngineError `INVALID_ARGUMENT` that names the unknown one */
export function parseEventTypes(types: readonly string[]): ReadonlySet<PipelineEventType> {
  const known: readonly string[] = pipelineEventTypes;
  const stranger = types.find((type) => !known.includes(type));
  if (stranger === undefined) return new Set(types as readonly PipelineEventType[]);
  throw invalidArgument({
    field: 'types',
    message: `${stranger} is not an event type`,
    limit: `of ${pipelineEventTypes.join(', ')}`,
    got: stranger,
  });
}
