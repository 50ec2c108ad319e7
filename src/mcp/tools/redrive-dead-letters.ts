import { countField, reasonField, taskIdField } from '../../admin/schemas/fields.ts';
import { flag, integer, listOf, object, oneOf, optional, text } from '../../admin/schema.ts';
import { auditRedrive } from '../../client/audited-commands.ts';
import { readDeadLetters } from '../../client/read-dead-letters.ts';
import { errorCatalog, invalidArgument, type ErrorCode } from '../../core/errors.ts';
import type { JsonValue } from '../../core/json.ts';
import { maximumListed, maximumRedriven } from '../limits.ts';
import { tool, type Tool } from '../tool.ts';
import { deadLetterFilterFields, filterOf } from './dead-letters.ts';

const defaultRedriven = 100;
/** Longest message of a refusal in the list, in characters. */
const maximumErrorMessage = 500;

/** Sends many dead letters back to work. */
export const redriveDeadLetters: Tool = tool({
  name: 'redrive_dead_letters',
  title: 'Redrive dead letters',
  description:
    'Sends the dead letters that match the filter back to work, at most `maximum`, in the order of their ids. A repeat redrives none twice: each command is named after the record that gave the task up. A dry run counts them and names the first.',
  effect: { kind: 'write', isDestructive: true, isIdempotent: true },
  input: {
    ...deadLetterFilterFields,
    all: optional(flag('every dead letter; instead of a filter')),
    maximum: optional(integer(1, maximumRedriven, `${defaultRedriven} when left out`)),
    reason: reasonField,
    dryRun: optional(flag('only count them; true when left out')),
  },
  answer: object({
    dryRun: flag('nothing was changed'),
    count: countField,
    hasMore: flag('of a dry run: more match than `maximum`'),
    taskIds: listOf(taskIdField, maximumListed),
    failed: listOf(
      object({
        taskId: taskIdField,
        code: oneOf(Object.keys(errorCatalog) as ErrorCode[]),
        message: text({ least: 0, most: maximumErrorMessage }),
      }),
      maximumRedriven,
    ),
  }),
  run: async (args, { engine, audit, by, deadlineMs, signal }) => {
    const { all = false, maximum = defaultRedriven, reason, dryRun = true, ...fields } = args;
    const filter = filterOf(fields);
    const isFiltering = Object.values(filter).some((value) => value !== undefined);
    if (all === isFiltering) {
      throw invalidArgument({
        field: 'all',
        message: all ? '`all` and a filter are both given' : 'nothing says which dead letters are meant',
        limit: 'a filter such as failureCode or fingerprint, or all: true',
      });
    }
    const { client } = engine;
    if (dryRun) {
      const { tasks, hasMore } = await readDeadLetters(client, filter, { maximum, deadlineMs, signal });
      return { dryRun, count: tasks.length, hasMore, taskIds: tasks.map(({ taskId }) => taskId), failed: [] };
    }
    const options = { maximum, by, reason, deadlineMs, signal };
    const parameters = { filter: { ...filter } as JsonValue, all, maximum };
    const outcomes = await auditRedrive(audit, { by, reason, parameters }, () =>
      client.deadLetters.redrive(all ? { all: true } : filter, options),
    );
    const done = outcomes.filter((outcome) => outcome.kind === 'done');
    return {
      dryRun,
      count: done.length,
      hasMore: false,
      taskIds: done.map(({ taskId }) => taskId),
      failed: outcomes.flatMap((outcome) =>
        outcome.kind === 'error'
          ? [
              {
                taskId: outcome.taskId,
                code: outcome.error.code,
                message: outcome.error.message.slice(0, maximumErrorMessage),
              },
            ]
          : [],
      ),
    };
  },
});
