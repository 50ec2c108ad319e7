import { instantField, pipelineField, stageField, taskIdField, countField } from '../../admin/schemas/fields.ts';
import { flag, integer, listOf, nullable, object, oneOf, optional, text, type ObjectOf } from '../../admin/schema.ts';
import type { DeadLetterFilter } from '../../client.ts';
import { readDeadLetters } from '../../client/read-dead-letters.ts';
import { failureClasses } from '../../core/failures.ts';
import { groupFailures } from '../../projections/failure-groups.ts';
import { defaultRows, maximumCounted, maximumGroups, maximumRows } from '../limits.ts';
import { cutMessage, taskRowAnswer, taskRowOf } from '../task-row.ts';
import { reads, tool, type Tool } from '../tool.ts';

/** Which dead letters are meant: all that match every field given. */
export const deadLetterFilterFields = {
  pipeline: optional(pipelineField),
  stage: optional(stageField),
  failureClass: optional(oneOf(failureClasses)),
  failureCode: optional(text({ most: 128, about: 'such as HTTP_503' })),
  fingerprint: optional(text({ most: 64, pattern: /^[0-9a-f]+$/, about: 'of dead_letter_groups' })),
} as const;

/** The tasks that were given up. */
export const deadLetterTools: readonly Tool[] = [
  tool({
    name: 'list_dead_letters',
    title: 'List dead letters',
    description:
      'A page of the tasks that were given up, in the order of their ids. With a filter a page may hold fewer tasks than `limit`, even none, while `next` still leads on.',
    effect: reads,
    input: {
      ...deadLetterFilterFields,
      limit: optional(integer(1, maximumRows, `${defaultRows} when left out`)),
      after: optional(text({ most: 128, about: '`next` of the page before' })),
    },
    answer: object({ tasks: listOf(taskRowAnswer, maximumRows), next: nullable(text({ most: 128 })) }),
    run: async ({ limit = defaultRows, after, ...filter }, { engine, deadlineMs, signal }) => {
      const query = { ...filterOf(filter), limit, after, deadlineMs, signal };
      const { tasks, next } = await engine.client.deadLetters.list(query);
      return { tasks: tasks.map(taskRowOf), next };
    },
  }),
  tool({
    name: 'dead_letter_groups',
    title: 'Group dead letters by cause',
    description:
      'The tasks that were given up, counted by kind of failure, the most frequent first, each with the newest as a sample. A group is redriven by its fingerprint.',
    effect: reads,
    input: deadLetterFilterFields,
    answer: object({
      groups: listOf(
        object({
          fingerprint: nullable(text({ most: 64 })),
          count: countField,
          pipelines: listOf(text({ most: 63 }), 1_000),
          stage: nullable(text({ most: 63 })),
          class: nullable(text({ most: 64 })),
          code: nullable(text({ least: 0, most: 128 })),
          message: text({ least: 0, most: 2_000, about: 'what their messages have in common' }),
          oldestAt: instantField,
          newestAt: instantField,
          sampleTaskId: taskIdField,
        }),
        maximumGroups,
      ),
      groupCount: countField,
      counted: countField,
      hasMore: flag('there are more dead letters than were counted'),
    }),
    run: async (filter, { engine, deadlineMs, signal }) => {
      const request = { maximum: maximumCounted, deadlineMs, signal };
      const { tasks, hasMore } = await readDeadLetters(engine.client, filterOf(filter), request);
      const groups = groupFailures(tasks);
      return {
        groups: groups.slice(0, maximumGroups).map((group) => ({ ...group, message: cutMessage(group.message) })),
        groupCount: groups.length,
        counted: tasks.length,
        hasMore,
      };
    },
  }),
];

/** The arguments as the client takes them. */
export function filterOf(filter: ObjectOf<typeof deadLetterFilterFields>): DeadLetterFilter {
  const { pipeline, stage, failureClass, failureCode, fingerprint } = filter;
  return { pipeline, stage, failureClass, failureCode, fingerprint };
}
