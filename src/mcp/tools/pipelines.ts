import { pipelineField, versionField } from '../../admin/schemas/fields.ts';
import { anyJson, flag, listOf, object, oneOf, optional, text } from '../../admin/schema.ts';
import { EngineError } from '../../core/errors.ts';
import { parsePipelineName } from '../../core/ids.ts';
import type { JsonValue } from '../../core/json.ts';
import { outlineOf } from '../../inspector/inspected-machine.ts';
import { choosePipeline } from '../../pipeline/choose-pipeline.ts';
import { toMermaid, toXStateJson } from '../../pipeline/export-machine.ts';
import { maximumListed } from '../limits.ts';
import { reads, tool, type Tool } from '../tool.ts';

const machineFormats = ['mermaid', 'xstate'] as const;

/** The pipelines and their machines. */
export const pipelineTools: readonly Tool[] = [
  tool({
    name: 'list_pipelines',
    title: 'List pipelines',
    description: 'The pipelines that the engine runs, in all their versions, with their stages in order.',
    effect: reads,
    input: {},
    answer: object({
      pipelines: listOf(
        object({
          name: pipelineField,
          version: versionField,
          fingerprint: text({ most: 128 }),
          stages: listOf(text({ most: 63 }), maximumListed),
        }),
        maximumListed,
      ),
      hasMore: flag(),
    }),
    run: async (_args, { engine, deadlineMs }) => {
      const { pipelines } = await engine.client.info({ deadlineMs });
      return {
        pipelines: pipelines.slice(0, maximumListed).map(({ name, version, fingerprint, stages }) => {
          return { name: parsePipelineName(name), version, fingerprint, stages };
        }),
        hasMore: pipelines.length > maximumListed,
      };
    },
  }),
  tool({
    name: 'get_pipeline_machine',
    title: "Show a pipeline's state machine",
    description:
      "The pipeline's state machine, as a Mermaid diagram or as the JSON of XState's createMachine. Of a pipeline whose definition is not in this server's configuration file only the states are known: `isOutline` is true, and the format is xstate.",
    effect: reads,
    input: {
      pipeline: pipelineField,
      version: optional(versionField),
      format: optional(oneOf(machineFormats, 'mermaid where the definition is at hand, when left out')),
    },
    answer: object({
      name: pipelineField,
      version: versionField,
      format: oneOf(machineFormats),
      isOutline: flag('states without transitions'),
      machine: anyJson('the text of a diagram, or the config of createMachine'),
    }),
    run: async ({ pipeline, version, format }, { engine, definitions, deadlineMs }) => {
      const { pipelines } = await engine.client.info({ deadlineMs });
      const chosen = choosePipeline(pipelines, pipeline, version);
      const named = { name: pipeline, version: chosen.version };
      const definition = definitions.find((one) => one.name === chosen.name && one.version === chosen.version);
      if (definition !== undefined) {
        const machine =
          format === 'xstate' ? (toXStateJson(definition) as unknown as JsonValue) : toMermaid(definition);
        return { ...named, format: format ?? ('mermaid' as const), isOutline: false, machine };
      }
      if (format === 'mermaid') {
        throw new EngineError('NOT_FOUND', `the definition of ${pipeline} version ${chosen.version} is not at hand`, {
          field: 'format',
          hint: 'ask for xstate, or start the server in the folder of the configuration file',
        });
      }
      const { config } = outlineOf(chosen.name, chosen.version, chosen.stages);
      return { ...named, format: 'xstate' as const, isOutline: true, machine: config as unknown as JsonValue };
    },
  }),
];
