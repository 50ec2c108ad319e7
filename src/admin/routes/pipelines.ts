import { parsePipelineName, type PipelineName } from '../../core/ids.ts';
import type { JsonValue } from '../../core/json.ts';
import type { PipelineDefinition } from '../../pipeline/definition.ts';
import { toMermaid, toXStateJson } from '../../pipeline/export-machine.ts';
import type { EngineInfo } from '../../client.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { inputJsonSchemaOf } from '../input-schema.ts';
import { route, type Route } from '../route.ts';
import { anyJson, listOf, nullable, object, oneOf, optional, text } from '../schema.ts';
import { countField, pipelineField, versionField } from '../schemas/fields.ts';
import { choosePipeline } from '../../pipeline/choose-pipeline.ts';
import { taskStatuses } from '../schemas/tasks.ts';

const maximumPipelines = 10_000;
const maximumStages = 1_000;
const tag = 'pipelines';
const one = { pipeline: pipelineField } as const;
const ofVersion = { version: optional(versionField) } as const;

const summaryFields = {
  name: pipelineField,
  version: versionField,
  fingerprint: text({ most: 128 }),
  stages: listOf(text({ most: 63 }), maximumStages),
} as const;

/** The pipelines that the engine runs, and what this process knows of their definitions. */
export function pipelineRoutes({
  client,
  index,
  definitions,
}: Pick<RouteDeps, 'client' | 'index' | 'definitions'>): readonly Route[] {
  const definitionOf = (name: string, version: number | undefined): PipelineDefinition =>
    choosePipeline(definitions, name, version);
  return [
    route({
      method: 'GET',
      path: '/api/pipelines',
      role: 'viewer',
      tag,
      summary: 'All pipelines in all versions that the engine runs',
      answer: object({ pipelines: listOf(object(summaryFields), maximumPipelines) }),
      handler: async () => {
        const { pipelines } = await client.info();
        return { pipelines: pipelines.map(summaryOf) };
      },
    }),
    route({
      method: 'GET',
      path: '/api/pipelines/:pipeline',
      role: 'viewer',
      tag,
      summary: 'One pipeline: its stages with limits and retry policies where this process knows them',
      params: one,
      query: ofVersion,
      answer: object({
        ...summaryFields,
        versions: listOf(versionField, maximumPipelines),
        definition: nullable(anyJson('stages with timeouts, retry, effect, port, concurrency and skip reasons')),
      }),
      handler: async ({ params, query }) => {
        const { pipelines } = await client.info();
        const summary = choosePipeline(pipelines, params.pipeline, query.version);
        const known = definitions.find(({ name, version }) => name === summary.name && version === summary.version);
        return {
          ...summaryOf(summary),
          versions: pipelines.flatMap(({ name, version }) => (name === summary.name ? [version] : [])),
          definition: known === undefined ? null : describe(known),
        };
      },
    }),
    route({
      method: 'GET',
      path: '/api/pipelines/:pipeline/machine',
      role: 'viewer',
      tag,
      summary: "The pipeline's state machine, for XState's tools or as a Mermaid diagram",
      params: one,
      query: { ...ofVersion, format: optional(oneOf(['xstate', 'mermaid'])) },
      answer: object({
        name: pipelineField,
        version: versionField,
        format: oneOf(['xstate', 'mermaid']),
        machine: anyJson('the config of createMachine, or the text of a diagram'),
      }),
      handler: async ({ params, query }) => {
        const definition = definitionOf(params.pipeline, query.version);
        const format = query.format ?? 'xstate';
        const machine =
          format === 'mermaid' ? toMermaid(definition) : (toXStateJson(definition) as unknown as JsonValue);
        return { name: definition.name, version: definition.version, format, machine };
      },
    }),
    route({
      method: 'GET',
      path: '/api/pipelines/:pipeline/form',
      role: 'viewer',
      tag,
      summary: 'What a submit form needs: the input as JSON Schema, where the schema library can tell it',
      params: one,
      query: ofVersion,
      answer: object({
        name: pipelineField,
        version: versionField,
        inputSchema: nullable(anyJson('JSON Schema 2020-12; null: ask for JSON text')),
      }),
      handler: async ({ params, query }) => {
        const definition = definitionOf(params.pipeline, query.version);
        return { name: definition.name, version: definition.version, inputSchema: inputJsonSchemaOf(definition) };
      },
    }),
    route({
      method: 'GET',
      path: '/api/pipelines/:pipeline/counts',
      role: 'viewer',
      tag,
      summary: 'How many tasks of the pipeline stand in each stage and status',
      params: one,
      query: ofVersion,
      answer: object({
        statuses: listOf(object({ key: nullable(oneOf(taskStatuses)), count: countField }), taskStatuses.length),
        stages: listOf(
          object({ stage: nullable(text({ most: 63 })), active: countField, deadLettered: countField }),
          maximumStages,
        ),
        position: nullable(text({ most: 256 })),
      }),
      handler: async ({ params, query }) => {
        const filter = {
          pipelines: [params.pipeline],
          ...(query.version === undefined ? {} : { versions: [query.version] }),
        };
        const active = ['queued', 'running', 'backingOff', 'held', 'unknown'] as const;
        const [statuses, alive, dead] = await Promise.all([
          index.countBy('status', filter, taskStatuses.length),
          index.countBy('stage', { ...filter, statuses: active }, maximumStages),
          index.countBy('stage', { ...filter, statuses: ['deadLettered'] }, maximumStages),
        ]);
        const stages = new Set([...alive, ...dead].map(({ key }) => key));
        const countOf = (groups: typeof alive, key: string | number | null): number =>
          groups.find((group) => group.key === key)?.count ?? 0;
        return {
          statuses: statuses.map(({ key, count }) => ({
            key: taskStatuses.find((status) => status === key) ?? null,
            count,
          })),
          stages: [...stages].map((key) => ({
            stage: key === null ? null : String(key),
            active: countOf(alive, key),
            deadLettered: countOf(dead, key),
          })),
          position: index.position,
        };
      },
    }),
  ];
}

/** A node may tell more than this API knows of. */
function summaryOf({ name, version, fingerprint, stages }: EngineInfo['pipelines'][number]): {
  readonly name: PipelineName;
  readonly version: number;
  readonly fingerprint: string;
  readonly stages: readonly string[];
} {
  return { name: parsePipelineName(name), version, fingerprint, stages };
}

/** The definition as data: what is code in it is told by its presence. */
function describe({ stages }: PipelineDefinition): JsonValue {
  return stages.map(({ output: _output, driver: _driver, skip, classify, ...stage }) => ({
    ...stage,
    retry: { ...stage.retry },
    skip: skip === null ? null : skip.reason,
    hasClassify: classify !== null,
  }));
}
