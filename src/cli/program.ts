import { Command, CommanderError } from 'commander';
import { engineVersion } from '../platform/package-version.ts';
import { addAdmin } from './admin-command.ts';
import { addBulkRuns } from './bulk-run-commands.ts';
import { addBulkStart } from './bulk-start-command.ts';
import { errorLine, toCliError } from './cli-error.ts';
import { addClusterStatus } from './cluster-status-command.ts';
import { addConfigPrint } from './config-print-command.ts';
import type { CliContext } from './context.ts';
import { addDev } from './dev-command.ts';
import { addDlqGroups } from './dlq-groups-command.ts';
import { addDlqList } from './dlq-list-command.ts';
import { addDlqRedrive } from './dlq-redrive-command.ts';
import { addDoctor } from './doctor-command.ts';
import { type ExitCode, exitCodeHelp, exitCodeOf, exitCodes } from './exit-codes.ts';
import { addInspect } from './inspect-command.ts';
import { addMcp } from './mcp-command.ts';
import { addNatsConfig } from './nats-config-command.ts';
import { addNodeCordon } from './node-cordon-command.ts';
import { addNodeDrain } from './node-drain-command.ts';
import { addNodeList } from './node-list-command.ts';
import { addNodeUncordon } from './node-uncordon-command.ts';
import { addExamples, formatOf, settleWatch } from './options.ts';
import { addPipelineList } from './pipeline-list-command.ts';
import { addPipelineMachine } from './pipeline-machine-command.ts';
import { addPipelineShow } from './pipeline-show-command.ts';
import { addRebalance } from './rebalance-command.ts';
import { addShardList } from './shard-list-command.ts';
import { addShardMove } from './shard-move-command.ts';
import { addShardUnpin } from './shard-unpin-command.ts';
import { addStart } from './start-command.ts';
import { addStatus } from './status-command.ts';
import { addTaskControls } from './task-control-commands.ts';
import { addTaskGet } from './task-get-command.ts';
import { addTaskHistory } from './task-history-command.ts';
import { addTaskList } from './task-list-command.ts';
import { addTaskResolve } from './task-resolve-command.ts';
import { addTaskSubmit } from './task-submit-command.ts';
import { addTaskWait } from './task-wait-command.ts';
import { addTaskWatch } from './task-watch-command.ts';
import { addTaskWhy } from './task-why-command.ts';
import { addTokenCreate } from './token-create-command.ts';
import { addTokenList } from './token-list-command.ts';
import { addTokenRevoke } from './token-revoke-command.ts';

/**
 * Runs one command and gives the exit code. What goes wrong is shown in one line on stderr, and with JSON output as
 * `{ error }` on stdout too. Never rejects.
 *
 * @param args - what follows the program's name
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitCode> {
  const program = buildProgram(context);
  try {
    await Promise.race([program.parseAsync(settleWatch(args), { from: 'user' }), interruption(context.interrupted)]);
    return context.interrupted.aborted ? exitCodes.interrupted : context.exitCode;
  } catch (thrown) {
    if (isShownHelp(thrown)) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const error = toCliError(thrown, `${namedCommand(program, args)} --help`);
    const report = error.toReport();
    context.terminal.note(errorLine(report));
    if (
      error.code === 'INTERNAL' &&
      error.cause instanceof Error &&
      context.environment['CABINET_LOG_LEVEL'] === 'debug'
    ) {
      context.terminal.note(error.cause.stack ?? '');
    }
    const format = formatOf(args);
    if (format !== 'table') context.terminal.printJson({ error: report });
    return exitCodeOf(error);
  }
}

/** Every command, ready to parse. Their parts are imported when they run, so that help is quick. */
export function buildProgram(context: CliContext): Command {
  const program = new Command('cabinet')
    .description('A durable pipeline engine of single-owner actors on NATS JetStream.')
    .version(engineVersion, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'help for a command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.terminal.print(text),
      writeErr: (text) => context.terminal.note(text.trimEnd()),
      // Told by runCli, in the form of every other error.
      outputError: () => undefined,
    })
    .hook('preAction', (_program, command) => {
      context.terminal.setColor({ noColor: command.opts()['color'] === false });
    })
    .addHelpText('after', exitCodeHelp);
  addExamples(
    program,
    'cabinet dev',
    `cabinet task submit card --input '{"source":"cards/42"}' --wait`,
    'cabinet dlq groups',
  );
  addDev(program, context);
  addStart(program, context);
  addAdmin(program, context);
  addStatus(program, context);

  const task = addGroup(program, 'task', 'submit, follow and command tasks', 'cabinet task list --status running');
  addTaskSubmit(task, context);
  addTaskGet(task, context);
  addTaskList(task, context);
  addTaskHistory(task, context);
  addTaskWait(task, context);
  addTaskWatch(task, context);
  addTaskWhy(task, context);
  addTaskControls(task, context);
  addTaskResolve(task, context);

  const pipeline = addGroup(
    program,
    'pipeline',
    'show pipelines and their state machines',
    'cabinet pipeline machine card',
  );
  addPipelineList(pipeline, context);
  addPipelineShow(pipeline, context);
  addPipelineMachine(pipeline, context);

  const dlq = addGroup(program, 'dlq', 'see and redrive dead letters', 'cabinet dlq groups');
  addDlqList(dlq, context);
  addDlqGroups(dlq, context);
  addDlqRedrive(dlq, context);

  const bulk = addGroup(program, 'bulk', 'command many tasks by a filter, through the console', 'cabinet bulk list');
  addBulkStart(bulk, context);
  addBulkRuns(bulk, context);

  const cluster = addGroup(program, 'cluster', 'see the cluster as a whole', 'cabinet cluster status');
  addClusterStatus(cluster, context);
  const node = addGroup(program, 'node', 'see and command the nodes', 'cabinet node list');
  addNodeList(node, context);
  addNodeCordon(node, context);
  addNodeUncordon(node, context);
  addNodeDrain(node, context);
  const shard = addGroup(program, 'shard', 'see and move the shards', 'cabinet shard list');
  addShardList(shard, context);
  addShardMove(shard, context);
  addShardUnpin(shard, context);
  addRebalance(program, context);
  const token = addGroup(
    program,
    'token',
    'make and revoke the tokens of the console and its API',
    'cabinet token list',
  );
  addTokenCreate(token, context);
  addTokenList(token, context);
  addTokenRevoke(token, context);
  addInspect(program, context);
  addMcp(program, context);

  addDoctor(program, context);
  addNatsConfig(program, context);
  const config = addGroup(program, 'config', 'see the settings in force', 'cabinet config print --sources');
  addConfigPrint(config, context);
  return program;
}

function addGroup(program: Command, name: string, description: string, example: string): Command {
  const group = program.command(name).description(description);
  addExamples(group, example);
  return group;
}

function interruption(interrupted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (interrupted.aborted) resolve();
    else interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
}

function isShownHelp(thrown: unknown): thrown is CommanderError {
  return (
    thrown instanceof CommanderError &&
    ['commander.helpDisplayed', 'commander.help', 'commander.version'].includes(thrown.code)
  );
}

/** The command that the first words name, for a hint: `cabinet task submit`. */
function namedCommand(program: Command, args: readonly string[]): string {
  let command = program;
  for (const arg of args) {
    const next = command.commands.find((child) => child.name() === arg);
    if (next === undefined) break;
    command = next;
  }
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}
