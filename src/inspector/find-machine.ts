import type { PipelineDefinition } from '../pipeline/definition.ts';
import { machineOf, outlineOf, type InspectedMachine } from './inspected-machine.ts';

/** What a node tells of a pipeline that is not at hand. */
export interface OutlinedPipeline {
  readonly name: string;
  readonly version: number;
  readonly stages: readonly string[];
}

/**
 * A finder of machines: of the definition when it is at hand, else as the engine outlines it, else of no stage that is known.
 *
 * @param outlines - asks the engine; what it throws counts as nothing known
 */
export function machineFinder(
  definitions: readonly PipelineDefinition[],
  outlines: () => Promise<readonly OutlinedPipeline[]>,
): (pipeline: string, version: number) => Promise<InspectedMachine> {
  return async (pipeline, version) => {
    const isMeant = (one: { readonly name: string; readonly version: number }): boolean =>
      one.name === pipeline && one.version === version;
    const definition = definitions.find(isMeant);
    if (definition !== undefined) return machineOf(definition);
    const known = await outlines().catch(() => []);
    return outlineOf(pipeline, version, known.find(isMeant)?.stages ?? []);
  };
}
