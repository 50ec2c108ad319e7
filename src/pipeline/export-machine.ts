import { edgesOf, type MachineEdge } from './check-machine.ts';
import { declaredContinuations } from './continuation.ts';
import type { PipelineDefinition, StageSpec } from './definition.ts';
import { buildMachineConfig, type MachineConfig } from './machine-config.ts';
import { stageStates } from './stage-config.ts';

/**
 * The machine as JSON that XState's `createMachine` and its visual tools accept: the functions are names, the states stand in the
 * author's order.
 */
export function toXStateJson(definition: PipelineDefinition): MachineConfig {
  return buildMachineConfig(definition.name, definition.version, definition.stages);
}

/** The machine as a Mermaid `stateDiagram-v2`, stages in order, each declared skip with its reason. */
export function toMermaid(definition: PipelineDefinition): string {
  const { stages } = definition;
  const edges = edgesOf(definition.machine);
  return [
    'stateDiagram-v2',
    '  [*] --> new',
    ...stages.flatMap((stage) => drawStage(stage, edges)),
    ...drawWays(stages, -1),
    ...stages.flatMap(({ index }) => drawWays(stages, index)),
    ...stages.flatMap((stage) => drawExits(stage, edges)),
    '  completed --> [*]',
    '  canceled --> [*]',
    '',
  ].join('\n');
}

function drawStage(stage: StageSpec, edges: readonly MachineEdge[]): string[] {
  const id = idOf(stage);
  const prefix = `${stage.name}.`;
  const inside = edges.filter(({ from, to, moves }) => moves && from.startsWith(prefix) && to.startsWith(prefix));
  return [
    `  state "${stage.name}" as ${id} {`,
    ...stageStates.map((state) => `    state "${state}" as ${id}_${state}`),
    `    [*] --> ${id}_queued`,
    ...mergeLabels(
      inside.map(({ from, to, event }) => ({
        arrow: `${id}_${from.slice(prefix.length)} --> ${id}_${to.slice(prefix.length)}`,
        label: event,
      })),
    ).map((line) => `    ${line}`),
    '  }',
  ];
}

function drawWays(stages: readonly StageSpec[], index: number): string[] {
  const from = stages[index];
  const event = from === undefined ? 'task.submitted' : 'stage.completed';
  return declaredContinuations(stages, index).map(({ next, skipped }) => {
    const goal = stages.find(({ name }) => name === next);
    const arrow = `${from === undefined ? 'new' : idOf(from)} --> ${goal === undefined ? 'completed' : idOf(goal)}`;
    const reasons = stages
      .filter(({ name }) => skipped.includes(name))
      .map(({ name, skip }) => `skips ${name} (${labelText(skip?.reason ?? '')})`);
    return `  ${arrow} : ${[event, ...reasons].join(', ')}`;
  });
}

function drawExits(stage: StageSpec, edges: readonly MachineEdge[]): string[] {
  const id = idOf(stage);
  const dead = `deadLettered.${stage.name}`;
  const lines = edges.flatMap(({ from, to, event }) => {
    if (from === dead) return [{ arrow: `deadLettered --> ${id}`, label: event }];
    if (!from.startsWith(`${stage.name}.`)) return [];
    if (to === dead) return [{ arrow: `${id} --> deadLettered`, label: event }];
    return to === 'canceled' ? [{ arrow: `${id} --> canceled`, label: event }] : [];
  });
  return mergeLabels(lines).map((line) => `  ${line}`);
}

function mergeLabels(lines: readonly { readonly arrow: string; readonly label: string }[]): string[] {
  const labelsByArrow = new Map<string, Set<string>>();
  for (const { arrow, label } of lines) {
    labelsByArrow.set(arrow, (labelsByArrow.get(arrow) ?? new Set()).add(label));
  }
  return [...labelsByArrow].map(([arrow, labels]) => `${arrow} : ${[...labels].join(', ')}`);
}

// Ids in Mermaid are global and take no hyphen: the index tells the stages apart whatever their names are.
function idOf({ index }: StageSpec): string {
  return `s${index}`;
}

/** A label ends at a colon, a semicolon or a line's end. */
function labelText(text: string): string {
  return text.replaceAll(/[:;#\p{Cc}]/gu, ' ');
}
