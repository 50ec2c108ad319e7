import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { Commit, TaskRecord } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';
import { commitOfEntry, readingEntry } from './entry-commit.ts';
import type { EventData, PipelineEventType, TaskFacts } from './event-types.ts';
import { formatPosition, type Position } from './position.ts';
import { factsOfRecord, timeText } from './record-facts.ts';

interface CloudEvent<Type extends PipelineEventType> {
  readonly specversion: '1.0';
  /** Where the event stands in the feed; the same each time that it is read. */
  readonly id: Position;
  /** `/<namespace>/shards/<n>`. */
  readonly source: string;
  readonly type: Type;
  /** The task's id; an event of a shard has none. */
  readonly subject?: TaskId;
  /** When it was decided, by the owner's clock, as RFC 3339 in UTC. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: EventData<Type>;
}

/**
 * One fact of the journal as a CloudEvent 1.0 in structured JSON. Payloads are in it by size and hash only.
 *
 * @see CloudEvents 1.0.2, https://github.com/cloudevents/spec
 */
export type PipelineEvent = { [Type in PipelineEventType]: CloudEvent<Type> }[PipelineEventType];

/** Where a record stands: all that its events tell beside what is in the record. */
export interface RecordContext {
  readonly namespace: string;
  readonly shard: ShardId;
  readonly sequence: Sequence;
  /** The record's place in its commit, from 0. */
  readonly index: number;
  readonly epoch: Epoch;
}

/** Which events are wanted; what is left out is not built. All when a member is left out. */
export interface EventFilter {
  readonly taskId?: TaskId | undefined;
  readonly types?: ReadonlySet<PipelineEventType> | undefined;
}

/** The events of one record, in a fixed order. Pure. */
export function eventsOfRecord(
  record: TaskRecord,
  context: RecordContext,
  filter: EventFilter = {},
): readonly PipelineEvent[] {
  if (filter.taskId !== undefined && record.task !== filter.taskId) return [];
  const events: PipelineEvent[] = [];
  factsOfRecord(record).forEach((fact, index) => {
    if (filter.types?.has(fact.type) === false) return;
    events.push({
      specversion: '1.0',
      id: formatPosition({ sequence: context.sequence, part: context.index + 1, event: index + 1 }),
      source: sourceOf(context.namespace, context.shard),
      type: fact.type,
      subject: record.task,
      time: timeText(record.at),
      datacontenttype: 'application/json',
      data: { ...factsOfTask(record, context.epoch), ...fact.details() },
    } as PipelineEvent);
  });
  return events;
}

/**
 * The events of one journal entry, in order. Pure.
 *
 * @throws EngineError `RECORD_CORRUPT` that names the entry's sequence
 */
export function eventsOfEntry(
  entry: JournalEntry,
  namespace: string,
  filter: EventFilter = {},
): readonly PipelineEvent[] {
  return eventsOfCommit(entry, commitOfEntry(entry), namespace, filter);
}

/** The events of an entry whose commit is decoded already. @throws as {@link eventsOfEntry} */
export function eventsOfCommit(
  entry: JournalEntry,
  commit: Commit,
  namespace: string,
  filter: EventFilter = {},
): readonly PipelineEvent[] {
  const { shard, sequence } = entry;
  return readingEntry(entry, () => [
    ...ownerEvents(entry, commit, namespace, filter),
    ...commit.records.flatMap((record, index) =>
      eventsOfRecord(record, { namespace, shard, sequence, index, epoch: commit.epoch }, filter),
    ),
  ]);
}

/** The position of an entry's last event, without building it. */
export function endOfCommit(entry: JournalEntry, commit: Commit): Position {
  const last = commit.records.at(-1);
  const event = last === undefined ? Number(commit.owner !== undefined) : factsOfRecord(last).length;
  return formatPosition({ sequence: entry.sequence, part: commit.records.length, event });
}

function ownerEvents(
  entry: JournalEntry,
  commit: Commit,
  namespace: string,
  filter: EventFilter,
): readonly PipelineEvent[] {
  const type = 'io.cabinet.shard.owner-changed';
  if (commit.owner === undefined || filter.taskId !== undefined || filter.types?.has(type) === false) return [];
  const { epoch, node, incarnation } = commit.owner;
  return [
    {
      specversion: '1.0',
      id: formatPosition({ sequence: entry.sequence, part: 0, event: 1 }),
      source: sourceOf(namespace, entry.shard),
      type,
      time: timeText(commit.at),
      datacontenttype: 'application/json',
      data: { epoch, node, incarnation },
    },
  ];
}

function sourceOf(namespace: string, shard: ShardId): string {
  return `/${namespace}/shards/${shard}`;
}

function factsOfTask({ pipeline, version, seq, to }: TaskRecord, epoch: Epoch): TaskFacts {
  return { pipeline, version, seq, state: to, epoch };
}
