import { assert } from '../core/errors.ts';
import type { PipelineName } from '../core/ids.ts';
import { declaredContinuations } from './continuation.ts';
import { initialControl, type StageControl } from './control.ts';
import type { StageSpec } from './definition.ts';
import { stageConfig } from './stage-config.ts';
import { arriving, ending, named, type StateConfig, type TransitionConfig } from './transition-config.ts';

/** Top-level states that are no stage; no stage may have such a name. */
export const reservedStateNames = ['new', 'completed', 'canceled', 'deadLettered'] as const;

/** The machine's config as plain JSON, in the order in which the author wrote the stages. */
export interface MachineConfig extends StateConfig {
  readonly id: string;
  readonly version: string;
  readonly context: StageControl;
  readonly states: { readonly [name: string]: StateConfig };
}

/** The config of a pipeline's machine: its stages as states, between `new` and the ends. */
export function buildMachineConfig(name: PipelineName, version: number, stages: readonly StageSpec[]): MachineConfig {
  const [first] = stages;
  assert(first !== undefined, () => `pipeline ${name} has no stages`);
  const stageEntries = stages.map((stage) => [stage.name, stageConfig(name, stages, stage)] as const);
  return {
    id: name,
    version: String(version),
    context: initialControl,
    initial: 'new',
    states: {
      new: { on: { 'task.submitted': submitTransitions(name, stages) } },
      ...Object.fromEntries(stageEntries),
      completed: { type: 'final' },
      canceled: { type: 'final' },
      deadLettered: {
        initial: first.name,
        states: Object.fromEntries(
          stages.map((stage) => [
            stage.name,
            { on: { 'task.redriven': { target: `#${name}.${stage.name}.queued`, actions: named('redrive') } } },
          ]),
        ),
      },
    },
  };
}

function submitTransitions(id: string, stages: readonly StageSpec[]): TransitionConfig[] {
  return declaredContinuations(stages, -1).flatMap(({ next, skipped }) => {
    if (next === null) return [ending(id, skipped, 'submitsInto', {}, ['endUnstarted', 'settle'])];
    return (['running', 'queued'] as const).map((arrives) => arriving(id, next, skipped, arrives, 'submitsInto', {}));
  });
}
