import { showValue, unreachable } from '../core/errors.ts';
import type { StageName } from '../core/ids.ts';
import type { Continuation, TaskEvent } from '../core/records.ts';
import { declaredContinuations } from './continuation.ts';
import { attemptsUsed, suspicionOf, type StageControl } from './control.ts';
import type { StageSpec } from './definition.ts';
import { maximumHandovers, maximumInterruptions, namesSkipped, type AttemptEvent, type TaskEventOf } from './guards.ts';
import type { StageStateName } from './stage-config.ts';
import type { PlanNode } from './transition-plan.ts';

/**
 * Why a state refuses an event, for a person to read; null when it accepts it.
 *
 * Written beside the machine, not from it: for every state and event exactly one of the two answers, and a test asks both.
 */
export function explainRefusal(
  node: PlanNode,
  control: StageControl,
  event: TaskEvent,
  stages: readonly StageSpec[],
): string | null {
  switch (node.status) {
    case 'new':
      return event.type === 'task.submitted'
        ? explainContinuation(stages, null, event)
        : 'the task was not submitted yet';
    case 'completed':
      return 'the task has completed';
    case 'canceled':
      return 'the task was canceled';
    case 'deadLettered':
      if (event.type === 'task.redriven') return null;
      return `the task is dead-lettered in ${node.stage}; only a redrive sends it back to work`;
    default: {
      const stage = stages.find(({ name }) => name === node.stage);
      if (stage === undefined) return `the pipeline has no stage ${node.stage}`;
      return explainInStage({ stage, stages, state: node.status as StageStateName, control }, event);
    }
  }
}

interface Place {
  readonly stage: StageSpec;
  readonly stages: readonly StageSpec[];
  readonly state: StageStateName;
  readonly control: StageControl;
}

function explainInStage(place: Place, event: TaskEvent): string | null {
  const { stage, stages, state, control } = place;
  switch (event.type) {
    case 'task.submitted':
      return 'the task was submitted already';
    case 'task.canceled':
    case 'task.quarantined':
      return null;
    case 'task.paused':
      return explainPause(place);
    case 'task.resumed':
      return state === 'held' || (state === 'running' && control.pausing) ? null : 'the task is not paused';
    case 'task.redriven':
      return state === 'unknown' ? null : 'only a dead letter or an unknown outcome can be redriven';
    case 'stage.started':
      return explainStart(place, event);
    case 'stage.checkpointed':
      return explainRunning(place, event);
    case 'stage.completed':
      return explainRunning(place, event) ?? explainContinuation(stages, stage.name, event);
    case 'stage.failed':
      return explainRunning(place, event) ?? explainDecision(place, event);
    case 'retry.due':
      return state === 'backingOff' ? explainNext(place, event) : 'no retry is waiting';
    case 'outcome.resolved':
      if (state !== 'unknown') return 'no outcome is unknown';
      return explainCurrent(place, event) ?? explainResolution(place, event);
    case 'stage.released':
      return explainRunning(place, event) ?? explainRelease(place, event);
    case 'stage.cleared':
      return explainRunning(place, event) ?? (suspicionOf(control) > 0 ? null : 'nothing is held against the stage');
    case 'owner.changed':
      return explainOwnerChange(place, event);
    default:
      return `there is no event ${showValue((event as { type: unknown }).type)}`;
  }
}

function explainPause({ stage, state, control }: Place): string | null {
  switch (state) {
    case 'queued':
    case 'backingOff':
      return null;
    case 'running':
      return control.pausing ? 'a pause was asked already' : null;
    case 'held':
      return 'the task is paused already';
    case 'unknown':
      return `the outcome of ${stage.name} is unknown; resolve it first`;
    default:
      return unreachable(state);
  }
}

function explainStart(place: Place, event: TaskEventOf<'stage.started'>): string | null {
  const { stage, state, control } = place;
  if (state === 'running') return `${stage.name} runs already, attempt ${control.attempt}`;
  if (state !== 'queued') return `${stage.name} is not queued`;
  return explainNext(place, event);
}

function explainNext({ stage, control }: Place, event: AttemptEvent): string | null {
  if (event.stage !== stage.name) return `stage ${showValue(event.stage)} is not the current one (${stage.name})`;
  if (event.attempt === control.attempt + 1) return null;
  return `attempt ${showValue(event.attempt)} is not the next one (${control.attempt + 1})`;
}

function explainRunning(place: Place, event: AttemptEvent): string | null {
  return place.state === 'running' ? explainCurrent(place, event) : 'no stage is running';
}

function explainCurrent({ stage, control }: Place, event: AttemptEvent): string | null {
  if (event.stage !== stage.name) return `stage ${showValue(event.stage)} is not the current one (${stage.name})`;
  if (event.attempt === control.attempt) return null;
  return `attempt ${showValue(event.attempt)} is not the current one (${control.attempt})`;
}

function explainDecision({ stage, control }: Place, event: TaskEventOf<'stage.failed'>): string | null {
  switch (event.decision.kind) {
    case 'deadLetter':
      return null;
    case 'retry':
      if (attemptsUsed(control) < stage.retry.maxAttempts) return null;
      return `all ${stage.retry.maxAttempts} attempts of ${stage.name} are used up`;
    default:
      return unknownDecision(event.decision);
  }
}

function explainRelease({ control }: Place, { decision }: TaskEventOf<'stage.released'>): string | null {
  switch (decision.kind) {
    case 'rerun':
    case 'lookup':
    case 'park':
      if (control.handovers < maximumHandovers) return null;
      return `all ${maximumHandovers} handovers are used up`;
    default:
      return unknownDecision(decision);
  }
}

function explainOwnerChange(place: Place, event: TaskEventOf<'owner.changed'>): string | null {
  const { state, stage, control } = place;
  if (state !== 'running' && state !== 'unknown') return 'no stage was running';
  const stale = explainCurrent(place, event);
  if (stale !== null) return stale;
  switch (event.decision.kind) {
    case 'lookup':
    case 'park':
      return state === 'unknown' ? null : explainInterruptions(control);
    case 'rerun':
      return state === 'running' ? explainInterruptions(control) : `the outcome of ${stage.name} is unknown already`;
    case 'deadLetter':
      return state === 'running' ? null : `the outcome of ${stage.name} is unknown already`;
    default:
      return unknownDecision(event.decision);
  }
}

function explainInterruptions(control: StageControl): string | null {
  if (control.interruptions < maximumInterruptions) return null;
  return `all ${maximumInterruptions} interruptions are used up`;
}

function explainResolution({ stage, stages }: Place, { resolution }: TaskEventOf<'outcome.resolved'>): string | null {
  switch (resolution.kind) {
    case 'completed':
      return explainContinuation(stages, stage.name, resolution);
    case 'notDone':
    case 'unknown':
    case 'failed':
      return null;
    default:
      return `there is no resolution ${showValue((resolution as { kind: unknown }).kind)}`;
  }
}

function explainContinuation(
  stages: readonly StageSpec[],
  from: StageName | null,
  continuation: Continuation,
): string | null {
  const ways = declaredContinuations(stages, from === null ? -1 : stages.findIndex(({ name }) => name === from));
  const way = ways.find(({ next }) => next === continuation.next);
  const goal = continuation.next ?? 'the end';
  if (way === undefined) return `no way from ${from ?? 'new'} to ${showValue(goal)} is declared`;
  if (namesSkipped(continuation, way.skipped)) return null;
  const named = continuation.skipped.map(({ stage }) => stage).join(', ');
  return `the way from ${from ?? 'new'} to ${goal} skips ${listed(way.skipped.join(', '))}, not ${listed(showValue(named))}`;
}

function listed(names: string): string {
  return names === '' ? 'nothing' : names;
}

function unknownDecision(decision: never): string {
  return `there is no decision ${showValue((decision as { kind: unknown }).kind)}`;
}
