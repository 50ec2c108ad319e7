import { failureClasses, type Failure } from './failures.ts';
import type {
  BlobReference,
  CommandOrigin,
  Commit,
  Continuation,
  Resolution,
  TaskEvent,
  TaskRecord,
} from './records.ts';
import {
  count,
  flag,
  instant,
  listOf,
  membersOf,
  name,
  nullable,
  optional,
  ordinal,
  something,
  text,
  variantOf,
  wordOf,
  type Shape,
} from './shape.ts';

// What replay and projections rely on in a stored commit. The members are those of the types: a member more is one shape more,
// or this file does not compile. Words that the machine compares (stages, states) are texts here; it refuses wrong ones itself.

/** A shape for each member of a type. */
export type Members<Type> = { readonly [Name in keyof Type]-?: Shape };
type EventOf<Type extends TaskEvent['type']> = Omit<Extract<TaskEvent, { readonly type: Type }>, 'type'>;
type ResolutionOf<Kind extends Resolution['kind']> = Omit<Extract<Resolution, { readonly kind: Kind }>, 'kind'>;

const blob = membersOf({ key: name, sizeBytes: count, sha256: name } satisfies Members<BlobReference>);
const inline = membersOf({ json: something } satisfies Members<{ json: unknown }>);
const outside = membersOf({ blob } satisfies Members<{ blob: BlobReference }>);

/** A payload: one of two kinds that no tag tells apart. */
export const payload: Shape = (value) =>
  typeof value === 'object' && value !== null && 'blob' in value ? outside(value) : inline(value);

const origin = membersOf({
  commandId: name,
  by: optional(text),
  reason: optional(text),
  traceparent: optional(text),
} satisfies Members<CommandOrigin>);

/** A recorded failure. */
export const failure = membersOf({
  class: wordOf(failureClasses),
  code: text,
  name: text,
  message: text,
  retryAfterMs: optional(count),
  causes: optional(listOf(text)),
} satisfies Members<Failure>);

const continuation: Members<Continuation> = {
  next: nullable(name),
  skipped: listOf(membersOf({ stage: name, reason: text } satisfies Members<Continuation['skipped'][number]>)),
  start: flag,
};

/** A variant that its tag says all of. */
const bare = membersOf({});

const attempt = { stage: name, attempt: ordinal };

const retryDecision = variantOf('kind', {
  retry: membersOf({ dueAt: instant, delayMs: count }),
  deadLetter: membersOf({ reason: name }),
});

const handoverDecisions = { rerun: bare, lookup: bare, park: bare };
const handoverDecision = variantOf('kind', handoverDecisions);
const interruptionDecision = variantOf('kind', {
  ...handoverDecisions,
  deadLetter: membersOf({ reason: name, failure }),
});

const resolution = variantOf('kind', {
  completed: membersOf({ output: payload, ...continuation } satisfies Members<ResolutionOf<'completed'>>),
  notDone: bare,
  unknown: bare,
  failed: membersOf({ failure } satisfies Members<ResolutionOf<'failed'>>),
} satisfies Record<Resolution['kind'], Shape>);

const event = variantOf('type', {
  'task.submitted': membersOf({
    pipeline: name,
    version: ordinal,
    input: payload,
    inputHash: name,
    origin,
    ...continuation,
  } satisfies Members<EventOf<'task.submitted'>>),
  'stage.started': membersOf(attempt satisfies Members<EventOf<'stage.started'>>),
  'stage.checkpointed': membersOf({ ...attempt, name, value: payload } satisfies Members<
    EventOf<'stage.checkpointed'>
  >),
  'stage.completed': membersOf({ ...attempt, output: payload, ...continuation } satisfies Members<
    EventOf<'stage.completed'>
  >),
  'stage.failed': membersOf({ ...attempt, failure, decision: retryDecision } satisfies Members<
    EventOf<'stage.failed'>
  >),
  'retry.due': membersOf({ ...attempt, start: flag } satisfies Members<EventOf<'retry.due'>>),
  'task.paused': membersOf({ origin } satisfies Members<EventOf<'task.paused'>>),
  'task.resumed': membersOf({ origin } satisfies Members<EventOf<'task.resumed'>>),
  'task.canceled': membersOf({ origin } satisfies Members<EventOf<'task.canceled'>>),
  'task.redriven': membersOf({ origin } satisfies Members<EventOf<'task.redriven'>>),
  'outcome.resolved': membersOf({
    ...attempt,
    by: wordOf(['lookup', 'operator']),
    resolution,
    origin: optional(origin),
  } satisfies Members<EventOf<'outcome.resolved'>>),
  'stage.released': membersOf({ ...attempt, decision: handoverDecision } satisfies Members<EventOf<'stage.released'>>),
  'stage.cleared': membersOf(attempt satisfies Members<EventOf<'stage.cleared'>>),
  'owner.changed': membersOf({ ...attempt, epoch: ordinal, decision: interruptionDecision } satisfies Members<
    EventOf<'owner.changed'>
  >),
  'task.quarantined': membersOf({ failure } satisfies Members<EventOf<'task.quarantined'>>),
} satisfies Record<TaskEvent['type'], Shape>);

/** The shape of a commit with all its records. */
export const commitShape = membersOf({
  epoch: ordinal,
  batch: ordinal,
  at: instant,
  owner: optional(
    membersOf({ epoch: ordinal, node: name, incarnation: name } satisfies Members<NonNullable<Commit['owner']>>),
  ),
  records: listOf(
    membersOf({
      task: name,
      seq: ordinal,
      at: instant,
      event,
      to: name,
      pipeline: name,
      version: ordinal,
    } satisfies Members<TaskRecord>),
  ),
} satisfies Members<Omit<Commit, 'format'>>);
