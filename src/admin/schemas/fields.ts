import {
  maximumIdLength,
  maximumNameLength,
  parseCommandId,
  parseNodeId,
  parsePipelineName,
  parseStageName,
  parseTaskId,
  type CommandId,
  type NodeId,
  type PipelineName,
  type StageName,
  type TaskId,
} from '../../core/ids.ts';
import { integer, optional, text, type Schema } from '../schema.ts';

/** Longest reason that a command may carry in characters, as the engine takes it. */
export const maximumReasonLength = 2_000;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const namePattern = /^[a-z][a-z0-9-]{0,62}$/;
const idLimits = { most: maximumIdLength, pattern: idPattern };
const nameLimits = { most: maximumNameLength, pattern: namePattern };

// The parsers give the brands, and the codes and messages that every other entrance of the engine gives.

export const taskIdField = text(idLimits, (value, field) => parseTaskId(value, field)) as Schema<TaskId>;
export const commandIdField = text(
  { ...idLimits, about: 'the same on every repeat of one intention; a repeat has no further effect' },
  (value) => parseCommandId(value),
) as Schema<CommandId>;
export const nodeIdField = text(idLimits, (value) => parseNodeId(value)) as Schema<NodeId>;
export const pipelineField = text(nameLimits, (value, field) =>
  parsePipelineName(value, field),
) as Schema<PipelineName>;
export const stageField = text(nameLimits, (value, field) => parseStageName(value, field)) as Schema<StageName>;
export const versionField = integer(1, Number.MAX_SAFE_INTEGER, 'a version of a pipeline');
/** Milliseconds since 1970. */
export const instantField = integer(0, 8_640_000_000_000_000, 'milliseconds since 1970');
export const countField = integer(0, Number.MAX_SAFE_INTEGER);
export const reasonField = text({ most: maximumReasonLength, about: 'why; kept in the journal and in the audit log' });
export const cursorField = text({ most: 2_048, about: '`next` of the page before' });

export const expectedSeqField = integer(
  1,
  Number.MAX_SAFE_INTEGER,
  "the task's `seq` as the caller saw it: refused when the task has changed since",
);

/** What every command to one task may carry. */
export const commandFields = {
  commandId: optional(commandIdField),
  reason: optional(reasonField),
  expectedSeq: optional(expectedSeqField),
} as const;
