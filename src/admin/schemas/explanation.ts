import { anyJson, listOf, nullable, object, oneOf, text } from '../schema.ts';
import { countField, instantField, stageField, taskIdField } from './fields.ts';
import { taskCommands, taskStatuses } from './tasks.ts';

/** Why a task stands where it stands. */
export const explanationAnswer = object({
  taskId: taskIdField,
  state: text({ most: 200 }),
  status: oneOf(taskStatuses),
  stage: nullable(stageField),
  source: oneOf(
    ['owner', 'index', 'journal'],
    'who told of the task: its owner, or a record of it while there is none',
  ),
  owner: nullable(object({ node: text({ most: 128 }), epoch: countField })),
  sentence: text({ most: 2_000 }),
  holds: listOf(
    anyJson(
      '{ kind, … }: limit, turn, suspect, breaker, handover, timer, driver, pause, unknownOutcome, deadLetter, noOwner or ended',
    ),
    16,
  ),
  movers: listOf(oneOf(['itself', 'driver', 'operator', 'cluster', 'nobody']), 8),
  movesAt: nullable(instantField),
  legalCommands: listOf(oneOf(taskCommands), taskCommands.length),
  moves: listOf(
    object({ command: oneOf(taskCommands), cli: text({ most: 400 }), effect: text({ most: 400 }) }),
    16,
    'the legal commands as they are typed',
  ),
  legalEvents: listOf(text({ most: 64 }), 64),
});
