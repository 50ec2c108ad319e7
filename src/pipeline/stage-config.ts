import type { HandoverDecision } from '../core/failures.ts';
import type { AssignmentName } from './assignments.ts';
import { declaredContinuations } from './continuation.ts';
import type { StageSpec } from './definition.ts';
import type { GuardName } from './guards.ts';
import { arriving, ending, named, type StateConfig, type TransitionConfig } from './transition-config.ts';

/** The states within a stage. */
export const stageStates = ['queued', 'running', 'backingOff', 'held', 'unknown'] as const;

/** One of the {@link stageStates}. */
export type StageStateName = (typeof stageStates)[number];

/** The config of one stage: its five states and every way out of them. */
export function stageConfig(id: string, stages: readonly StageSpec[], stage: StageSpec): StateConfig {
  const params = { stage: stage.name };
  const retrying = { ...params, maxAttempts: stage.retry.maxAttempts };
  const deadLettered = `#${id}.deadLettered.${stage.name}`;
  return {
    initial: 'queued',
    on: {
      'task.canceled': { target: `#${id}.canceled`, actions: named('settle') },
      'task.quarantined': { target: deadLettered, actions: named('settle') },
    },
    states: {
      queued: {
        on: {
          'stage.started': {
            target: 'running',
            guard: { type: 'startsNextAttempt', params },
            actions: named('startAttempt'),
          },
          'task.paused': { target: 'held', actions: named('dropPause') },
        },
      },
      running: {
        on: {
          'stage.checkpointed': { guard: { type: 'isCurrentAttempt', params }, actions: named('keep') },
          'stage.completed': goingOn(id, stages, stage, 'completesInto', params),
          'stage.failed': [
            {
              target: 'backingOff',
              guard: { type: 'retriesWithinBudget', params: { ...retrying, pausing: false } },
              actions: named('backOff'),
            },
            {
              target: 'held',
              guard: { type: 'retriesWithinBudget', params: { ...retrying, pausing: true } },
              actions: named('backOff'),
            },
            { target: deadLettered, guard: { type: 'givesUp', params }, actions: named('settle') },
          ],
          'task.paused': { guard: { type: 'isNotPausing' }, actions: named('askPause') },
          'task.resumed': { guard: { type: 'isPausing' }, actions: named('dropPause') },
          'stage.released': cutOff(stage, 'releasedWithinLimit', 'countHandover'),
          'stage.cleared': { guard: { type: 'isUnderSuspicion', params }, actions: named('countClearance') },
          'owner.changed': [
            ...cutOff(stage, 'interruptedWithinLimit', 'countInterruption'),
            {
              target: deadLettered,
              guard: { type: 'interruptedTooOften', params },
              actions: named('countInterruption', 'settle'),
            },
          ],
        },
      },
      backingOff: {
        on: {
          'retry.due': [
            { target: 'running', guard: { type: 'startsAtOnce', params }, actions: named('startAttempt') },
            { target: 'queued', guard: { type: 'waitsForSlot', params }, actions: named('queueAgain') },
          ],
          'task.paused': { target: 'held', actions: named('dropPause') },
        },
      },
      held: {
        on: {
          'task.resumed': [
            { target: 'backingOff', guard: { type: 'isNotDueYet' }, actions: named('keep') },
            { target: 'queued', guard: { type: 'isDue' }, actions: named('queueAgain') },
          ],
        },
      },
      unknown: {
        on: {
          'outcome.resolved': [
            ...goingOn(id, stages, stage, 'resolvesInto', params),
            resolved('queued', { ...params, kind: 'notDone', pausing: false }, ['keep']),
            resolved('held', { ...params, kind: 'notDone', pausing: true }, ['dropPause']),
            resolved(deadLettered, { ...params, kind: 'failed', pausing: null }, ['settle']),
            {
              guard: { type: 'resolvesAs', params: { ...params, kind: 'unknown', pausing: null } },
              actions: named('keep'),
            },
          ],
          'owner.changed': { guard: { type: 'staysUnknown', params }, actions: named('keep') },
          'task.redriven': { target: 'queued', actions: named('redrive') },
        },
      },
    },
  };
}

function goingOn(
  id: string,
  stages: readonly StageSpec[],
  stage: StageSpec,
  type: GuardName,
  params: object,
): TransitionConfig[] {
  return declaredContinuations(stages, stage.index).flatMap(({ next, skipped }) => {
    if (next === null) return [ending(id, skipped, type, params, ['settle'])];
    // The uncontended path, where the next stage takes over the slot, is asked first.
    return (['running', 'queued', 'held'] as const).map((arrives) =>
      arriving(id, next, skipped, arrives, type, params),
    );
  });
}

/** Where a stage goes whose attempt ended with its owner: lost, or handing the shard over. */
function cutOff({ name }: StageSpec, type: GuardName, count: AssignmentName): TransitionConfig[] {
  const way = (
    target: string,
    decisions: readonly HandoverDecision['kind'][],
    pausing: boolean | null,
    ...more: readonly AssignmentName[]
  ): TransitionConfig => ({
    target,
    guard: { type, params: { stage: name, decisions, pausing } },
    actions: named(count, ...more),
  });
  return [
    way('queued', ['rerun'], false),
    way('held', ['rerun'], true, 'dropPause'),
    way('unknown', ['lookup', 'park'], null),
  ];
}

function resolved(target: string, params: object, actions: readonly AssignmentName[]): TransitionConfig {
  return { target, guard: { type: 'resolvesAs', params }, actions: named(...actions) };
}
