import type { TaskFilter } from '../../ports/task-index.ts';
import { maskMessage } from '../../projections/failure-fingerprint.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { route, type Route } from '../route.ts';
import { integer, listOf, nullable, object, optional, text } from '../schema.ts';
import { countField, cursorField } from '../schemas/fields.ts';
import { indexedTaskAnswer, taskFilterFields } from '../schemas/tasks.ts';
import { taskFilterOf } from '../task-filter.ts';

const maximumRows = 500;
const maximumGroups = 200;
const tag = 'dead letters';
const { statuses: _statuses, ...filterFields } = taskFilterFields;

/** The tasks that were given up: a list, and by what they failed of. A group is redriven as a bulk action with its fingerprint as filter. */
export function deadLetterRoutes({ index }: Pick<RouteDeps, 'index'>): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/dead-letters',
      role: 'viewer',
      tag,
      summary: 'A page of dead letters, given up last first',
      query: { ...filterFields, limit: optional(integer(1, maximumRows)), cursor: optional(cursorField) },
      answer: object({ tasks: listOf(indexedTaskAnswer, maximumRows), next: nullable(text({ most: 2_048 })) }),
      handler: ({ query }) =>
        index.list({
          filter: deadOnly(taskFilterOf(query)),
          sortBy: 'updatedAt',
          descending: true,
          limit: query.limit ?? 50,
          ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
        }),
    }),
    route({
      method: 'GET',
      path: '/api/dead-letters/groups',
      role: 'viewer',
      tag,
      summary: 'Dead letters by cause, the most frequent first, each with the newest as a sample',
      query: { ...filterFields, limit: optional(integer(1, maximumGroups)) },
      answer: object({
        groups: listOf(
          object({
            fingerprint: nullable(text({ most: 64 })),
            count: countField,
            message: nullable(text({ least: 0, most: 2_000, about: 'what their messages have in common' })),
            sample: nullable(indexedTaskAnswer),
          }),
          maximumGroups,
        ),
        position: nullable(text({ most: 256 })),
      }),
      handler: async ({ query }) => {
        const filter = deadOnly(taskFilterOf(query));
        const groups = await index.countBy('failureFingerprint', filter, query.limit ?? 50);
        const rows = groups.map(async ({ key, count }) => {
          const fingerprint = key === null ? null : String(key);
          if (fingerprint === null) return { fingerprint, count, message: null, sample: null };
          const [sample] = (
            await index.list({
              filter: { ...filter, failureFingerprints: [fingerprint] },
              sortBy: 'updatedAt',
              descending: true,
              limit: 1,
            })
          ).tasks;
          const message = sample?.failure?.message ?? null;
          return {
            fingerprint,
            count,
            message: message === null || sample === undefined ? null : maskMessage(message, sample.taskId),
            sample: sample ?? null,
          };
        });
        return { groups: await Promise.all(rows), position: index.position };
      },
    }),
  ];
}

function deadOnly(filter: TaskFilter): TaskFilter {
  return { ...filter, statuses: ['deadLettered'] };
}
