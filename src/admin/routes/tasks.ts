import { EngineError } from '../../core/errors.ts';
import type { JsonValue } from '../../core/json.ts';
import { taskGroupFields, taskSortFields } from '../../ports/task-index.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { route, type Route } from '../route.ts';
import { anyJson, flag, integer, listOf, nullable, object, oneOf, optional, text } from '../schema.ts';
import { explanationAnswer } from '../schemas/explanation.ts';
import {
  commandFields,
  countField,
  cursorField,
  pipelineField,
  stageField,
  taskIdField,
  versionField,
} from '../schemas/fields.ts';
import {
  historyAnswer,
  indexedTaskAnswer,
  payloadAnswer,
  submittedAnswer,
  taskAnswer,
  taskFilterFields,
} from '../schemas/tasks.ts';
import { taskFilterOf } from '../task-filter.ts';
import { hasRole } from '../principal.ts';
import { readTaskPayload } from '../task-payload.ts';
import { explainByIndex } from '../why.ts';
import { withholdPayloads } from '../withhold-payloads.ts';

const defaultPageSize = 50;
const maximumRows = 500;
const maximumGroups = 1_000;
const maximumHistoryPage = 500;
/** Largest payload that is shown. */
const maximumShownBytes = 1024 * 1024;
const defaultShownBytes = 64 * 1024;
const tag = 'tasks';
const one = { taskId: taskIdField } as const;

/** Find tasks, look at one, submit. */
export function taskRoutes(deps: RouteDeps): readonly Route[] {
  const { client, index } = deps;
  return [
    route({
      method: 'GET',
      path: '/api/tasks',
      role: 'viewer',
      tag,
      summary: 'A page of tasks by filter and order, from the index',
      query: {
        ...taskFilterFields,
        sortBy: optional(oneOf(taskSortFields)),
        descending: optional(flag()),
        limit: optional(integer(1, maximumRows)),
        cursor: optional(cursorField),
      },
      answer: object({
        tasks: listOf(indexedTaskAnswer, maximumRows),
        next: nullable(text({ most: 2_048 })),
        position: nullable(text({ most: 256, about: 'how far the index has read' })),
      }),
      handler: async ({ query }) => {
        const { sortBy = 'updatedAt', descending = true, limit = defaultPageSize, cursor } = query;
        const page = await index.list({
          filter: taskFilterOf(query),
          sortBy,
          descending,
          limit,
          ...(cursor === undefined ? {} : { cursor }),
        });
        return { ...page, position: index.position };
      },
    }),
    route({
      method: 'GET',
      path: '/api/tasks/count',
      role: 'viewer',
      tag,
      summary: 'How many tasks match a filter',
      query: taskFilterFields,
      answer: object({ count: countField, position: nullable(text({ most: 256 })) }),
      handler: async ({ query }) => ({ count: await index.count(taskFilterOf(query)), position: index.position }),
    }),
    route({
      method: 'GET',
      path: '/api/tasks/groups',
      role: 'viewer',
      tag,
      summary: 'How many tasks there are of each value of a field, the largest first',
      query: { ...taskFilterFields, by: oneOf(taskGroupFields), limit: optional(integer(1, maximumGroups)) },
      answer: object({
        groups: listOf(
          object({ key: anyJson('a text, a number, or null for none'), count: countField }),
          maximumGroups,
        ),
        position: nullable(text({ most: 256 })),
      }),
      handler: async ({ query }) => {
        const groups = await index.countBy(query.by, taskFilterOf(query), query.limit ?? maximumGroups);
        return { groups, position: index.position };
      },
    }),
    route({
      method: 'POST',
      path: '/api/tasks',
      role: 'operator',
      tag,
      summary: 'Submit a task',
      status: 202,
      body: object({
        pipeline: pipelineField,
        version: optional(versionField),
        input: anyJson("the pipeline's input"),
        taskId: optional(taskIdField),
        idempotencyKey: optional(text({ most: 1_024, about: 'every submit with it is one task' })),
        reason: commandFields.reason,
      }),
      answer: submittedAnswer,
      audit: ({ body }) => ({
        action: 'task.submit',
        target: body.taskId ?? body.pipeline,
        reason: body.reason,
        commandId: body.taskId,
      }),
      handler: async ({ body, idempotencyKey: key, principal, noteChange }) => {
        const { pipeline, input, version, taskId, reason } = body;
        const idempotencyKey = body.idempotencyKey ?? (taskId === undefined ? key : undefined);
        const options = { version, taskId, idempotencyKey, reason, by: principal.name };
        const submitted = await client.submit(pipeline as string, input, options);
        noteChange({ after: { taskId: submitted.taskId, kind: submitted.kind, state: submitted.state } });
        return submitted;
      },
    }),
    route({
      method: 'GET',
      path: '/api/tasks/:taskId',
      role: 'viewer',
      tag,
      summary: 'One task as its owner has it now, with the commands that it takes',
      params: one,
      answer: taskAnswer,
      handler: async ({ params }) => {
        const { input: _input, outputs: _outputs, outlook: _outlook, ...task } = await client.get(params.taskId);
        return task;
      },
    }),
    route({
      method: 'GET',
      path: '/api/tasks/:taskId/why',
      role: 'viewer',
      tag,
      summary: 'What holds the task, who can move it, and when it moves by itself',
      params: one,
      answer: explanationAnswer,
      handler: async ({ params }) => {
        const explanation = await explainByIndex(deps, params.taskId);
        return { ...explanation, holds: explanation.holds as unknown as readonly JsonValue[] };
      },
    }),
    route({
      method: 'GET',
      path: '/api/tasks/:taskId/history',
      role: 'viewer',
      tag,
      summary: "The task's records that the journal still has, oldest first; with the values of payloads for operators",
      params: one,
      query: {
        after: optional(integer(0, Number.MAX_SAFE_INTEGER, '`next` of the page before: a record number')),
        limit: optional(integer(1, maximumHistoryPage)),
      },
      answer: historyAnswer,
      handler: async ({ params, query, principal }) => {
        const { after = 0, limit = maximumHistoryPage } = query;
        const { records, taskId, shard, isComplete, missingCount } = await client.history(params.taskId);
        if (records.length === 0) throw new EngineError('TASK_NOT_FOUND', 'the journal has nothing of that task');
        const later = records.filter(({ record }) => record.seq > after);
        const page = later.slice(0, limit);
        return {
          taskId,
          shard,
          isComplete,
          missingCount,
          recordCount: records.length,
          records: (hasRole(principal.role, 'operator')
            ? page
            : page.map((entry) => ({
                ...entry,
                record: withholdPayloads(entry.record),
              }))) as unknown as readonly JsonValue[],
          next: later.length > page.length ? (page.at(-1)?.record.seq ?? null) : null,
        };
      },
    }),
    route({
      method: 'GET',
      path: '/api/tasks/:taskId/payloads',
      role: 'operator',
      tag,
      summary: "The task's input, or a completed stage's output",
      params: one,
      query: {
        stage: optional(stageField),
        maxBytes: optional(integer(0, maximumShownBytes, 'a larger value is not shown; 64 KiB when left out')),
      },
      answer: payloadAnswer,
      handler: ({ params, query }) =>
        readTaskPayload(deps, {
          taskId: params.taskId,
          stage: query.stage ?? null,
          maxBytes: query.maxBytes ?? defaultShownBytes,
        }),
    }),
  ];
}
