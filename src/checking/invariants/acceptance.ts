import { positionOf, type TaskState } from '../../actors/task-state.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { CallEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { Story } from '../story.ts';

/** Errors after which the caller cannot know whether it took effect; every other one says that it did not. */
const openErrors: ReadonlySet<ErrorCode> = new Set([
  'DEADLINE_EXCEEDED',
  'CANCELED',
  'STORAGE_FULL',
  'UNAVAILABLE',
  'OWNERSHIP_LOST',
  'PROCESS_CORRUPTED',
  'INVALID_MESSAGE',
  'INTERNAL',
]);

/** What a client was promised, against what the journal has. */
export const acceptanceInvariants: readonly Invariant[] = [
  {
    id: 'I1',
    title: 'a submit that was answered as accepted or existing has its record: nothing accepted is lost',
    needs: ['journal', 'calls'],
    *check(story) {
      const submitted = submitsOf(story);
      for (const call of story.eventsOf('call')) {
        if (!isTaken(call) || submitted.has(call.task)) continue;
        yield { says: `task ${call.task} was ${call.outcome.kind} and is not in the journal`, events: [call] };
      }
    },
  },
  {
    id: 'I1',
    title: 'a state that a client was told of is one that the journal has',
    needs: ['journal', 'calls'],
    *check(story) {
      const reached = new Set(story.steps.map(({ record }) => `${record.task} ${record.to}`));
      for (const call of story.eventsOf('call')) {
        const { outcome, task } = call;
        if (outcome.kind !== 'answer' || outcome.state === undefined || reached.has(`${task} ${outcome.state}`))
          continue;
        yield {
          says: `a client was told that task ${task} is ${outcome.state}; the journal never says so`,
          events: [call],
        };
      }
    },
  },
  {
    id: 'I1',
    title: 'what leaves an owner as an answer has its record, whether or not anybody heard it',
    needs: ['journal', 'replies'],
    check: checkReplies,
  },
  {
    id: 'I2',
    title: 'every record that a command makes has a call that asked for it',
    needs: ['journal', 'calls'],
    *check(story) {
      const asked = new Set<string>();
      for (const { task, kind, commandId } of story.eventsOf('call')) {
        asked.add(`${task} ${kind}`);
        if (commandId !== undefined) asked.add(`${task} ${kind} ${commandId}`);
      }
      const withIds = story.eventsOf('call').some(({ commandId }) => commandId !== undefined);
      for (const { record, sequence } of story.steps) {
        const command = commandOf(record.event);
        // A submit's identity is its task id; the id of its command is the client's own affair.
        if (command === null) continue;
        const { kind, commandId } = command;
        const isAsked = asked.has(`${record.task} ${kind}`);
        const isNamed = kind === 'submit' || !withIds || asked.has(`${record.task} ${kind} ${commandId}`);
        if (isAsked && isNamed) continue;
        yield { says: `nobody asked for ${record.event.type} of task ${record.task}`, sequences: [sequence] };
      }
    },
  },
  {
    id: 'I3',
    title: 'a submit that was refused for certain, and by every try, has no record',
    needs: ['journal', 'calls'],
    check: checkRefusals,
  },
  {
    id: 'I4',
    title: 'a task is submitted once',
    needs: ['journal'],
    *check({ faults }) {
      for (const { fault, record, sequence } of faults) {
        if (fault.kind === 'submittedAgain')
          yield { says: `task ${record.task} ${fault.detail}`, sequences: [sequence] };
      }
    },
  },
  {
    id: 'I4',
    title:
      'the same task id with the same input is the same task, with another input a conflict, and the first input stays',
    needs: ['journal', 'calls'],
    check: checkHashes,
  },
  {
    id: 'I5',
    title: 'when all is healed, every task has ended, is parked for an operator, or waits for a due time that is ahead',
    needs: ['journal', 'healed'],
    *check(story) {
      const { endedAt } = story.history;
      for (const state of story.tasks.values()) {
        if (!story.isSound(state.taskId) || isAtRest(state, endedAt)) continue;
        yield { says: `task ${state.taskId} is ${state.machine.value} when all is over` };
      }
    },
  },
  {
    id: 'I6',
    title: 'nothing follows the end of a task, but a redrive follows a dead letter',
    needs: ['journal'],
    *check({ faults }) {
      for (const { fault, record, sequence } of faults) {
        if (fault.kind === 'afterEnd') yield { says: `task ${record.task} ${fault.detail}`, sequences: [sequence] };
      }
    },
  },
];

function submitsOf({ steps }: Story): ReadonlyMap<string, (typeof steps)[number]> {
  const found = new Map<string, (typeof steps)[number]>();
  for (const step of steps) {
    if (step.record.event.type === 'task.submitted' && !found.has(step.record.task)) found.set(step.record.task, step);
  }
  return found;
}

function* checkReplies(story: Story): Iterable<Breach> {
  const reached = new Set<string>();
  const commanded = new Set<string>();
  for (const { record } of story.steps) {
    reached.add(`${record.task} ${record.to}`);
    const commandId = commandOf(record.event)?.commandId;
    if (commandId !== undefined) commanded.add(`${record.task} ${commandId}`);
  }
  for (const reply of story.eventsOf('reply')) {
    const { task, says, state, commandId, node } = reply;
    const isRecorded = reached.has(`${task} ${state}`);
    const isCommanded = says !== 'done' || commandId === undefined || commanded.has(`${task} ${commandId}`);
    if (isRecorded && isCommanded) continue;
    const what = isRecorded ? `that ${commandId} is done` : `${says}, ${state}`;
    yield { says: `${node} answered ${what} of task ${task}; the journal never says so`, events: [reply] };
  }
}

function isTaken({ kind, outcome }: CallEvent): boolean {
  return kind === 'submit' && (outcome.kind === 'accepted' || outcome.kind === 'existing');
}

function* checkRefusals(story: Story): Iterable<Breach> {
  const open = new Set<string>();
  const refused = new Map<string, CallEvent>();
  for (const call of story.eventsOf('call')) {
    if (call.kind !== 'submit') continue;
    const { outcome, task } = call;
    // A conflict says that the task is there, by somebody else's submit.
    const isRefusal = outcome.kind === 'error' && !openErrors.has(outcome.code) && outcome.code !== 'TASK_CONFLICT';
    if (isRefusal) refused.set(task, call);
    else if (outcome.kind !== 'error' || outcome.code !== 'TASK_CONFLICT') open.add(task);
  }
  const submitted = submitsOf(story);
  for (const [task, call] of refused) {
    const step = submitted.get(task);
    if (step === undefined || open.has(task)) continue;
    yield { says: `task ${task} was refused, and is in the journal`, sequences: [step.sequence], events: [call] };
  }
}

function* checkHashes(story: Story): Iterable<Breach> {
  const submitted = submitsOf(story);
  for (const call of story.eventsOf('call')) {
    const { kind, task, argumentsHash, outcome, pipeline } = call;
    const step = submitted.get(task);
    if (kind !== 'submit' || argumentsHash === undefined || step?.record.event.type !== 'task.submitted') continue;
    const { inputHash, pipeline: recorded } = step.record.event;
    const isSame = argumentsHash === inputHash && (pipeline === undefined || pipeline === recorded);
    const isConflict = outcome.kind === 'error' && outcome.code === 'TASK_CONFLICT';
    if (isTaken(call) && !isSame) {
      yield {
        says: `task ${task} was ${outcome.kind} with another input than it has`,
        sequences: [step.sequence],
        events: [call],
      };
    }
    if (isConflict && isSame) {
      yield {
        says: `task ${task} has this very input, and was a conflict`,
        sequences: [step.sequence],
        events: [call],
      };
    }
  }
}

/** The call that a record comes from; null when the engine decided it by itself. */
function commandOf(event: Story['steps'][number]['record']['event']): {
  readonly kind: CallEvent['kind'];
  readonly commandId: string;
} | null {
  switch (event.type) {
    case 'task.submitted':
      return { kind: 'submit', commandId: event.origin.commandId };
    case 'task.paused':
      return { kind: 'pause', commandId: event.origin.commandId };
    case 'task.resumed':
      return { kind: 'resume', commandId: event.origin.commandId };
    case 'task.canceled':
      return { kind: 'cancel', commandId: event.origin.commandId };
    case 'task.redriven':
      return { kind: 'redrive', commandId: event.origin.commandId };
    case 'outcome.resolved':
      return event.origin === undefined ? null : { kind: 'resolve', commandId: event.origin.commandId };
    default:
      return null;
  }
}

function isAtRest({ machine }: TaskState, endedAt: number): boolean {
  const { status } = positionOf(machine.value);
  switch (status) {
    case 'completed':
    case 'canceled':
    case 'deadLettered':
    case 'held':
    case 'unknown':
      return true;
    case 'backingOff':
      return (machine.control.dueAt ?? 0) > endedAt;
    default:
      return false;
  }
}
