import type { PipelineDefinition } from '../pipeline/definition.ts';
import { toXStateJson } from '../pipeline/export-machine.ts';
import { stageStates } from '../pipeline/stage-config.ts';

/** A stage as a picture of its machine needs it. */
export interface InspectedStage {
  readonly name: string;
  /** Whether the definition may pass it over. */
  readonly canBeSkipped: boolean;
}

/** The machine that a task runs through, as far as whoever inspects it knows it. */
export interface InspectedMachine {
  readonly pipeline: string;
  readonly version: number;
  readonly stages: readonly InspectedStage[];
  /** The machine's config, states in the author's order. */
  readonly config: object;
  /** Null when only the names of the stages are known: then there is no context beside the state. */
  readonly definition: PipelineDefinition | null;
}

/** The machine of a definition at hand. */
export function machineOf(definition: PipelineDefinition): InspectedMachine {
  return {
    pipeline: definition.name,
    version: definition.version,
    stages: definition.stages.map(({ name, skip }) => ({ name, canBeSkipped: skip !== null })),
    config: toXStateJson(definition),
    definition,
  };
}

/** The machine as its stages' names tell it: all its states, and no transitions. */
export function outlineOf(pipeline: string, version: number, stageNames: readonly string[]): InspectedMachine {
  const [first] = stageNames;
  return {
    pipeline,
    version,
    stages: stageNames.map((name) => ({ name, canBeSkipped: false })),
    config: {
      id: pipeline,
      version: String(version),
      initial: 'new',
      states: {
        new: {},
        ...Object.fromEntries(stageNames.map((name) => [name, { initial: 'queued', states: nested(stageStates) }])),
        completed: { type: 'final' },
        canceled: { type: 'final' },
        ...(first === undefined ? {} : { deadLettered: { initial: first, states: nested(stageNames) } }),
      },
    },
    definition: null,
  };
}

function nested(names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, {}]));
}
