import { maximumBackoffMs } from '../../core/backoff.ts';
import { neverRetriedClasses, type DeadLetterReason, type FailureClass } from '../../core/failures.ts';
import type { TaskEvent } from '../../core/records.ts';
import { attemptsUsed, suspicionOf, type StageControl } from '../../pipeline/control.ts';
import type { StageSpec } from '../../pipeline/definition.ts';
import type { CallEvent, DeadLetterEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { Step, Story } from '../story.ts';

type FailedStep = Step & {
  readonly before: StageControl;
  readonly event: Extract<TaskEvent, { type: 'stage.failed' }>;
};

/** How far apart the clocks of a node and of the store may be when the history does not say. */
const usualTimerEarlyMs = 50;

/** Retries, their timers, the end of patience, and the way back. */
export const retryInvariants: readonly Invariant[] = [
  {
    id: 'I27',
    title: 'a retry does not start before its due time',
    needs: ['journal'],
    *check(story) {
      const earlyMs = story.history.bounds.timerEarlyMs ?? usualTimerEarlyMs;
      for (const { record, before, at, sequence } of story.steps) {
        const { event, task } = record;
        const dueAt = before?.dueAt ?? null;
        if (event.type !== 'retry.due' || dueAt === null || at + earlyMs >= dueAt) continue;
        yield { says: `task ${task}: a retry that is due at ${dueAt} was recorded at ${at}`, sequences: [sequence] };
      }
    },
  },
  {
    id: 'I27',
    title: 'a retry is recorded soon after its due time, or after its shard has an owner again',
    needs: ['journal', 'timerLateMs'],
    check: checkLateness,
  },
  {
    id: 'I28',
    title: "the delay before a retry is in the policy's band, and the due time is that much after the failure",
    needs: ['journal'],
    *check(story) {
      for (const { before, record, sequence, event } of failures(story)) {
        const { decision, failure, stage } = event;
        const spec = story.specOf(record.task, stage);
        if (decision.kind !== 'retry' || spec === undefined) continue;
        const { delayMs, dueAt } = decision;
        const { least, most } = delayBand(spec, attemptsUsed(before), failure.retryAfterMs);
        const name = `${record.task}/${stage}/${event.attempt}`;
        if (delayMs < least || delayMs > most) {
          yield {
            says: `${name} waits ${delayMs} ms, where its policy says ${least} to ${most}`,
            sequences: [sequence],
          };
        } else if (dueAt !== record.at + delayMs) {
          yield { says: `${name} is due at ${dueAt}, not ${delayMs} ms after ${record.at}`, sequences: [sequence] };
        }
      }
    },
  },
  {
    id: 'I29',
    title:
      'a class that the policy does not retry is never retried, and one that it does is not given up before its limit',
    needs: ['journal'],
    *check(story) {
      for (const { before, record, sequence, event } of failures(story)) {
        const spec = story.specOf(record.task, event.stage);
        const problem = spec === undefined ? null : wrongDecision(spec, before, record.at, event);
        if (problem !== null)
          yield { says: `${record.task}/${event.stage}/${event.attempt}: ${problem}`, sequences: [sequence] };
      }
    },
  },
  {
    id: 'I30',
    title:
      'the list of dead letters has one row for each task that is one, with its stage, reason and class, and no other',
    needs: ['journal', 'deadLetters', 'healed'],
    check: checkDeadLetters,
  },
  {
    id: 'I31',
    title: 'a command takes effect once, however often it is repeated',
    needs: ['journal'],
    *check(story) {
      const known = new Map<string, Step>();
      for (const step of story.steps) {
        const { record, sequence } = step;
        const origin = 'origin' in record.event ? record.event.origin : undefined;
        if (origin === undefined) continue;
        const name = `${record.task} ${origin.commandId}`;
        const before = known.get(name);
        known.set(name, step);
        if (before === undefined || record.event.type === 'task.submitted') continue;
        yield {
          says: `command ${origin.commandId} of task ${record.task} took effect twice`,
          sequences: [before.sequence, sequence],
        };
      }
    },
  },
  {
    id: 'I31',
    title: 'a command that was answered as done has its record',
    needs: ['journal', 'calls'],
    *check(story) {
      const recorded = new Set<string>();
      for (const { record } of story.steps) {
        if ('origin' in record.event && record.event.origin !== undefined) {
          recorded.add(`${record.task} ${record.event.origin.commandId}`);
        }
      }
      for (const call of story.eventsOf('call')) {
        const { outcome, commandId, task, kind } = call;
        if (outcome.kind !== 'done' || commandId === undefined || recorded.has(`${task} ${commandId}`)) continue;
        yield { says: `${kind} of task ${task} was answered as done and is not in the journal`, events: [call] };
      }
    },
  },
  {
    id: 'I31',
    title: 'a command that was given for one state of a task takes effect in that state alone',
    needs: ['journal', 'calls'],
    *check(story) {
      const expected = new Map<string, CallEvent>();
      for (const call of story.eventsOf('call')) {
        if (call.commandId !== undefined && call.expectedSeq !== undefined)
          expected.set(`${call.task} ${call.commandId}`, call);
      }
      for (const { record, sequence } of story.steps) {
        const origin = 'origin' in record.event ? record.event.origin : undefined;
        const call = origin === undefined ? undefined : expected.get(`${record.task} ${origin.commandId}`);
        if (call?.expectedSeq === undefined || record.seq === call.expectedSeq + 1) continue;
        yield {
          says: `${call.kind} of task ${record.task} was given for record ${call.expectedSeq}, and took effect after ${record.seq - 1}`,
          sequences: [sequence],
          events: [call],
        };
      }
    },
  },
  {
    id: 'I32',
    title: 'a stage that was running at too many losses of its owner is dead-lettered before it is started again',
    needs: ['journal', 'maxInterruptions'],
    *check(story) {
      const most = story.history.bounds.maxInterruptions ?? Infinity;
      for (const { record, after, sequence } of story.steps) {
        const { event, task } = record;
        if (event.type !== 'owner.changed' || event.decision.kind === 'deadLetter' || after === null) continue;
        if (suspicionOf(after) <= most) continue;
        yield {
          says: `${task}/${event.stage} goes on after ${suspicionOf(after)} losses of its owner, where ${most} are allowed`,
          sequences: [sequence],
        };
      }
    },
  },
];

function* failures({ steps }: Story): Iterable<FailedStep> {
  for (const step of steps) {
    const { before, record, after } = step;
    if (record.event.type === 'stage.failed' && before !== null && after !== null) {
      yield { ...step, before, event: record.event };
    }
  }
}

/** The delays that a policy allows, jitter and what the other side asked for included. Written apart from the engine's own rule. */
function delayBand(
  { retry }: StageSpec,
  used: number,
  retryAfterMs = 0,
): { readonly least: number; readonly most: number } {
  let cap = retry.initialDelayMs;
  for (let attempt = 1; attempt < used && cap < retry.maxDelayMs; attempt += 1) cap *= retry.factor;
  cap = Math.min(cap, retry.maxDelayMs);
  const asked = Math.min(retryAfterMs, maximumBackoffMs);
  return { least: Math.max(Math.floor(cap * (1 - retry.jitter)), asked), most: Math.max(Math.ceil(cap), asked) };
}

function wrongDecision(
  { retry, deadlineMs }: StageSpec,
  before: StageControl,
  at: number,
  { failure, decision }: FailedStep['event'],
): string | null {
  const mayRetry = retry.retryOn.includes(failure.class) && !neverRetriedClasses.includes(failure.class);
  const used = attemptsUsed(before);
  if (decision.kind === 'retry') return mayRetry ? null : `${failure.class} is retried, which its policy does not`;
  switch (decision.reason) {
    case 'notRetryable':
      return mayRetry ? `${failure.class} was given up as not retryable, which its policy retries` : null;
    case 'attemptsExhausted':
      return used < retry.maxAttempts ? `given up after ${used} of ${retry.maxAttempts} attempts` : null;
    case 'deadlineExceeded': {
      if (deadlineMs === null) return 'given up for a deadline, and it has none';
      const asked = Math.min(failure.retryAfterMs ?? 0, maximumBackoffMs);
      const latest = at + Math.max(retry.maxDelayMs, asked);
      return latest <= before.enteredAt + deadlineMs ? 'given up for its deadline, with time for any delay left' : null;
    }
    default:
      return `given up for ${decision.reason}, which is no reason of a failed attempt`;
  }
}

function* checkLateness({ steps, claims, history }: Story): Iterable<Breach> {
  const lateMs = history.bounds.timerLateMs ?? Infinity;
  const opened = new Map(claims.map(({ shard, epoch, at }) => [`${shard}/${epoch}`, at]));
  const resumed = new Map<string, number>();
  for (const { record, before, at, shard, epoch, sequence } of steps) {
    const { event, task } = record;
    if (event.type === 'task.resumed') resumed.set(task, at);
    const dueAt = before?.dueAt ?? null;
    if (event.type !== 'retry.due' || dueAt === null) continue;
    const possibleAt = Math.max(dueAt, opened.get(`${shard}/${epoch}`) ?? 0, resumed.get(task) ?? 0);
    if (at <= possibleAt + lateMs) continue;
    yield {
      says: `task ${task}: a retry that could start at ${possibleAt} was recorded at ${at}`,
      sequences: [sequence],
    };
  }
}

interface DeadLetterFacts {
  readonly stage: string;
  readonly reason: DeadLetterReason;
  readonly class: FailureClass | undefined;
  readonly sequence: number;
}

function* checkDeadLetters(story: Story): Iterable<Breach> {
  const dead = new Map<string, DeadLetterFacts>();
  for (const step of story.steps) {
    const { task, to, event } = step.record;
    if (!to.startsWith('deadLettered.')) dead.delete(task);
    else dead.set(task, { stage: to.slice('deadLettered.'.length), sequence: step.sequence, ...causeOf(event) });
  }
  const listed = new Set<string>();
  for (const row of story.eventsOf('deadLetter')) {
    const facts = dead.get(row.task);
    if (facts === undefined) yield { says: `task ${row.task} is listed as a dead letter and is none`, events: [row] };
    else if (listed.has(row.task)) yield { says: `task ${row.task} is listed twice`, events: [row] };
    else if (!isListedAs(row, facts)) {
      yield {
        says: `task ${row.task} is listed as ${row.stage}, ${row.reason}, ${row.class}; its record says ${facts.stage}, ${facts.reason}, ${facts.class}`,
        sequences: [facts.sequence],
        events: [row],
      };
    }
    listed.add(row.task);
  }
  for (const [task, { sequence }] of dead) {
    if (!listed.has(task) && story.isSound(task))
      yield { says: `task ${task} is a dead letter and is not listed`, sequences: [sequence] };
  }
}

function isListedAs(row: DeadLetterEvent, { stage, reason, class: failureClass }: DeadLetterFacts): boolean {
  return row.stage === stage && (row.reason ?? reason) === reason && (row.class ?? failureClass) === failureClass;
}

function causeOf(event: TaskEvent): { readonly reason: DeadLetterReason; readonly class: FailureClass | undefined } {
  switch (event.type) {
    case 'stage.failed':
      return {
        reason: event.decision.kind === 'deadLetter' ? event.decision.reason : 'operator',
        class: event.failure.class,
      };
    case 'owner.changed':
      return {
        reason: 'interruptedTooOften',
        class: event.decision.kind === 'deadLetter' ? event.decision.failure.class : undefined,
      };
    case 'outcome.resolved':
      return {
        reason: event.by === 'operator' ? 'operator' : 'notRetryable',
        class: event.resolution.kind === 'failed' ? event.resolution.failure.class : undefined,
      };
    case 'task.quarantined':
      return { reason: 'poison', class: event.failure.class };
    default:
      return { reason: 'operator', class: undefined };
  }
}
