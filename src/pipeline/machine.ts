import { assign, setup, type AnyStateMachine } from 'xstate';
import type { PipelineName } from '../core/ids.ts';
import { assignments, type Assignment, type AssignmentName } from './assignments.ts';
import type { StageControl } from './control.ts';
import type { StageSpec } from './definition.ts';
import { guards, type Guard, type GuardName, type MachineEvent } from './guards.ts';
import { buildMachineConfig, type MachineConfig } from './machine-config.ts';

// The machine of a pipeline with the stages parse and photos. Every stage has the same five states:
//
//   new ──task.submitted──► parse ──stage.completed──► photos ──stage.completed──► completed
//                             │                          │
//                             └── task.canceled ─────────┴──► canceled
//
//   queued ──stage.started──► running ──stage.failed──► backingOff ──retry.due──► running (has a slot), queued (waits for one)
//                             running ──owner.changed──► queued (rerun), unknown (lookup, park)
//                             running ──stage.released──► as owner.changed; stage.cleared is noted and moves nothing
//                             unknown ──outcome.resolved──► the next stage (completed), queued (notDone), unknown (still)
//
//   task.paused    queued, backingOff ──► held; running goes on, and what follows it is held instead of queued
//   task.resumed   held ──► queued, or backingOff while its due time is ahead; running forgets the pause
//   given up       running, unknown ──► deadLettered.<stage>, as task.quarantined does from all five
//   task.canceled  all five ──► canceled
//   task.redriven  deadLettered.<stage>, unknown ──► queued, with a fresh budget
//
// It is pure: its actions are assignments of the control, there is no `after` (restored XState timers are lost), no `invoke`
// and no spawn (restored invocations would run again), and time comes in with the event.

/** The XState machine whose states are the stages. */
export function buildMachine(name: PipelineName, version: number, stages: readonly StageSpec[]): AnyStateMachine {
  const config = buildMachineConfig(name, version, stages);
  return declareImplementations().createMachine(config);
}

/** The names of the machine's functions, for a machine that was read from JSON. */
export function machineImplementations(): { guards: Record<string, unknown>; actions: Record<string, unknown> } {
  return {
    guards: mapValues(
      guards as unknown as Record<GuardName, Guard>,
      (guard) =>
        ({ context, event }: { context: StageControl; event: MachineEvent }, params: unknown) =>
          guard(context, event, params, event.at),
    ),
    actions: mapValues(assignments as unknown as Record<AssignmentName, Assignment>, (assignment) =>
      assign(({ context, event }: { context: StageControl; event: MachineEvent }) =>
        assignment(context, event, event.at),
      ),
    ),
  };
}

// The stages are known at run time only, so that XState's types can say nothing of them; `check-machine.ts` proves the rest.
function declareImplementations(): { createMachine(config: MachineConfig): AnyStateMachine } {
  return setup(machineImplementations() as Parameters<typeof setup>[0]) as unknown as {
    createMachine(config: MachineConfig): AnyStateMachine;
  };
}

function mapValues<Value, Result>(
  record: Readonly<Record<string, Value>>,
  change: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
