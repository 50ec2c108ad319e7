import { commandIdField, expectedSeqField, reasonField, taskIdField } from '../../admin/schemas/fields.ts';
import { taskCommands } from '../../admin/schemas/tasks.ts';
import { anyJson, flag, integer, listOf, nullable, object, oneOf, optional, text } from '../../admin/schema.ts';
import type { Controlled, ControlOptions } from '../../client.ts';
import { auditTaskCommand } from '../../client/audited-commands.ts';
import { EngineError, invalidArgument } from '../../core/errors.ts';
import { parseCommandId, type CommandId, type TaskId } from '../../core/ids.ts';
import type { JsonValue } from '../../core/json.ts';
import type { OperatorResolution } from '../../core/messages.ts';
import type { TaskCommandName, TaskView } from '../../core/task-view.ts';
import { movesOf } from '../../projections/task-moves.ts';
import { IllegalCommand } from '../tool-answer.ts';
import { tool, type Tool, type ToolCall } from '../tool.ts';

const commandIdAbout =
  'Repeat an unanswered call with the same commandId: it takes effect once. A dry run gives one to go on with.';

const answer = object({
  dryRun: flag('nothing was changed'),
  taskId: taskIdField,
  command: oneOf(taskCommands),
  commandId: commandIdField,
  state: text({ most: 200, about: 'after the command; of a dry run, the one now' }),
  repeated: flag('this command had taken effect before'),
  effect: text({ most: 400, about: 'what becomes of the task' }),
  cli: text({ most: 600, about: 'the same as a command line' }),
  legalCommands: nullable(listOf(oneOf(taskCommands), taskCommands.length, 'of a dry run: what the task takes now')),
  seq: nullable(
    integer(
      0,
      Number.MAX_SAFE_INTEGER,
      'of a dry run: give it as `expectedSeq`, and the task must not have changed since',
    ),
  ),
});

/** What all commands to a task ask for. */
const sharedFields = {
  taskId: taskIdField,
  reason: reasonField,
  commandId: optional(commandIdField),
  expectedSeq: optional(expectedSeqField),
} as const;

type Plain = Exclude<TaskCommandName, 'resolve'>;

const plainTools: {
  readonly [Name in Plain]: { readonly title: string; readonly what: string; readonly isDestructive: boolean };
} = {
  redrive: {
    title: 'Redrive a task',
    what: 'Sends a dead letter, or a task whose outcome is unknown, back to work: its stage runs again with a fresh budget of attempts and the same key. Finished stages are kept. An effect outside may happen again where the outside does not honor the key.',
    isDestructive: true,
  },
  cancel: {
    title: 'Cancel a task',
    what: 'Ends a task for good; what a running driver returns is dropped. It cannot be taken back.',
    isDestructive: true,
  },
  pause: {
    title: 'Pause a task',
    what: 'Holds a task before its next start; a running stage ends first. resume_task takes it back.',
    isDestructive: false,
  },
  resume: { title: 'Resume a task', what: 'Lets a held task go on.', isDestructive: false },
};

/** Commands to one task, each only where the task's state takes it. */
export const taskCommandTools: readonly Tool[] = [
  ...Object.entries(plainTools).map(([name, { title, what, isDestructive }]) =>
    commandTool(name as Plain, title, what, isDestructive),
  ),
  tool({
    name: 'resolve_task',
    title: 'Resolve an unknown outcome',
    description: `Says what became of a stage whose outcome is unknown: completed with its output, notDone, or failed with a message. Say only what is known: the engine believes it. ${commandIdAbout}`,
    effect: { kind: 'write', isDestructive: true, isIdempotent: true },
    input: {
      ...sharedFields,
      outcome: oneOf(['completed', 'notDone', 'failed']),
      output: optional(anyJson("with completed: the stage's result")),
      message: optional(text({ most: 2_000, about: 'with failed: why it is given up' })),
      dryRun: optional(flag('only say what would be done; true when left out')),
    },
    answer,
    run: (args, call) => {
      const resolution = resolutionOf(args);
      return command(call, { ...args, name: 'resolve', dryRun: args.dryRun ?? true, resolution }, (named) =>
        call.engine.client.resolve(args.taskId, resolution, { ...optionsOf(call, args.reason), ...named }),
      );
    },
  }),
];

function commandTool(name: Plain, title: string, what: string, isDestructive: boolean): Tool {
  return tool({
    name: `${name}_task`,
    title,
    description: `${what} ${commandIdAbout}`,
    effect: { kind: 'write', isDestructive, isIdempotent: true },
    input: { ...sharedFields, dryRun: optional(flag(`only say what would be done; ${isDestructive} when left out`)) },
    answer,
    run: (args, call) =>
      command(call, { ...args, name, dryRun: args.dryRun ?? isDestructive }, (named) =>
        call.engine.client[name](args.taskId, { ...optionsOf(call, args.reason), ...named }),
      ),
  });
}

interface Commanded {
  readonly name: TaskCommandName;
  readonly taskId: TaskId;
  readonly reason: string;
  readonly dryRun: boolean;
  readonly commandId?: CommandId | undefined;
  readonly expectedSeq?: number | undefined;
  readonly resolution?: OperatorResolution;
}

type Named = Required<Pick<ControlOptions, 'commandId' | 'expectedSeq'>>;

async function command(call: ToolCall, asked: Commanded, send: (named: Named) => Promise<Controlled>) {
  const { name, taskId, dryRun } = asked;
  const commandId = asked.commandId ?? parseCommandId(call.random.id());
  const move = chosenMove(asked);
  const shared = {
    taskId,
    command: name,
    commandId,
    effect: move.effect,
    cli: `${move.cli} --command-id ${commandId}${asked.expectedSeq === undefined ? '' : ` --expected-seq ${asked.expectedSeq}`}`,
  };
  if (dryRun) {
    const task = await readTask(call, taskId);
    if (!task.legalCommands.includes(name)) throw illegal(task, name);
    const { state, legalCommands, seq } = task;
    if (asked.expectedSeq !== undefined && asked.expectedSeq !== seq) throw changed(task, asked.expectedSeq);
    return { dryRun, ...shared, state, repeated: false, legalCommands, seq };
  }
  try {
    const { by, audit } = call;
    const { state, repeated } = await auditTaskCommand(
      audit,
      { name, taskId, by, reason: asked.reason, commandId },
      async () => send({ commandId, expectedSeq: asked.expectedSeq ?? (await seenSeq(call, asked)) }),
    );
    return { dryRun, ...shared, state, repeated, legalCommands: null, seq: null };
  } catch (error) {
    // Asked afterwards: a repeat of what has taken effect is no longer legal, and is answered all the same.
    if (!(error instanceof EngineError) || error.code !== 'NOT_ALLOWED') throw error;
    throw illegal(await readTask(call, taskId), name, error);
  }
}

function readTask({ engine, deadlineMs, signal }: ToolCall, taskId: TaskId): Promise<TaskView> {
  return engine.client.get(taskId, { deadlineMs, signal });
}

/** What the task is at now, for a command that sends work back: one that comes late must not meet a later failure. */
async function seenSeq(call: ToolCall, { name, taskId }: Commanded): Promise<number | undefined> {
  return name === 'redrive' || name === 'resolve' ? (await readTask(call, taskId)).seq : undefined;
}

function changed({ taskId, seq, legalCommands }: TaskView, expectedSeq: number): IllegalCommand {
  return new IllegalCommand(`task ${taskId} has ${seq} records, and the command expects ${expectedSeq}`, legalCommands);
}

function illegal(
  { taskId, state, legalCommands }: TaskView,
  name: TaskCommandName,
  cause?: EngineError,
): IllegalCommand {
  return new IllegalCommand(cause?.message ?? `task ${taskId} takes no ${name} in ${state}`, legalCommands, cause);
}

function chosenMove({ name, taskId, resolution }: Commanded): { readonly cli: string; readonly effect: string } {
  const moves = movesOf(taskId, [name]);
  const flags = { completed: '--completed', notDone: '--not-done', failed: '--failed' } as const;
  const chosen = resolution === undefined ? moves[0] : moves.find(({ cli }) => cli.includes(flags[resolution.kind]));
  return { cli: chosen?.cli ?? `cabinet task ${name} ${taskId}`, effect: chosen?.effect ?? name };
}

/** @throws EngineError `INVALID_ARGUMENT` when the outcome and what is told of it do not fit */
function resolutionOf(args: {
  readonly outcome: OperatorResolution['kind'];
  readonly output?: JsonValue | undefined;
  readonly message?: string | undefined;
}): OperatorResolution {
  const { outcome, output, message } = args;
  if (output !== undefined && outcome !== 'completed') {
    throw invalidArgument({ field: 'output', message: 'output goes with completed only', got: outcome });
  }
  if (message !== undefined && outcome !== 'failed') {
    throw invalidArgument({ field: 'message', message: 'message goes with failed only', got: outcome });
  }
  if (outcome === 'notDone') return { kind: outcome };
  if (outcome === 'completed') {
    if (output !== undefined) return { kind: outcome, output };
    throw invalidArgument({ field: 'output', message: "completed needs the stage's output" });
  }
  if (message !== undefined) return { kind: outcome, message };
  throw invalidArgument({ field: 'message', message: 'failed needs a message that says why' });
}

function optionsOf({ by, deadlineMs, signal }: ToolCall, reason: string) {
  return { by, reason, deadlineMs, signal };
}
