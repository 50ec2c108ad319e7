import { type Command, Option } from 'commander';
import { EngineError } from '../core/errors.ts';
import { shardOf } from '../core/hash.ts';
import { parseTaskId, type TaskId } from '../core/ids.ts';
import { endedStatuses } from '../core/task-view.ts';
import type { InspectionStart } from '../inspector/encode-inspection.ts';
import { inspectionFormats, type InspectionFormat } from '../inspector/inspection-frame.ts';
import { inspectionSpeeds, type InspectionSpeed } from '../inspector/inspection-request.ts';
import type { InspectionGateway } from '../inspector/inspection-gateway.ts';
import { pause } from '../projections/pause.ts';
import { type ConsoleAccess, withConsole } from './cluster.ts';
import type { CliContext } from './context.ts';
import { addClusterOptions, addExamples, type ClusterOptions, integerParser } from './options.ts';

interface InspectOptions extends ClusterOptions {
  readonly json?: boolean;
  readonly format: InspectionFormat;
  readonly from: InspectionStart;
  readonly speed: InspectionSpeed;
  readonly payloads?: boolean;
  readonly port: number;
  readonly wait?: boolean;
}

/** How often is looked whether the task has ended and the viewer left. */
const endPollMs = 1_000;
/** So many looks in turn must have found nobody: a page that is loaded anew is away for a moment. */
const emptyPolls = 2;

/** `cabinet inspect`. */
export function addInspect(parent: Command, context: CliContext): void {
  const command = parent
    .command('inspect <task-id>')
    .description(
      'show a task in its state machine, live or replayed: a page on this machine, or a line of JSON a message',
    )
    .option('--json', 'write the messages, one a line, until the task has ended')
    .addOption(new Option('--format <format>', 'of the messages').choices(inspectionFormats).default('stately'))
    .addOption(
      new Option('--from <start>', 'all that the journal has, or what comes')
        .choices(['start', 'now'])
        .default('start'),
    )
    .addOption(new Option('--speed <speed>', 'of a replay of the past').choices(inspectionSpeeds).default('max'))
    .option('--payloads', 'with --json: the values of small payloads too')
    .option('--port <number>', 'of the page; any free one when left out', integerParser({ least: 1, most: 65_535 }), 0)
    .option('--wait', 'go on past a dead letter, and when the task has ended and the viewer left')
    .action(async (text: string, options: InspectOptions) => {
      const taskId = parseTaskId(text);
      await withConsole(context, options, async (access) => {
        if (options.json === true) await printMessages(context, access, taskId, options);
        else await showPage(context, access, taskId, options);
      });
    });
  addClusterOptions(command);
  addExamples(command, 'cabinet inspect card-42', 'cabinet inspect card-42 --json --format engine --from now');
}

async function printMessages(
  context: CliContext,
  access: ConsoleAccess,
  taskId: TaskId,
  options: InspectOptions,
): Promise<void> {
  const { inspectTask } = await import('../inspector/inspect-task.ts');
  const { ShardTaps } = await import('../inspector/shard-taps.ts');
  const deps = { ...(await inspectionDeps(context, access)), taps: new ShardTaps(access) };
  const { format, from, speed, payloads = false, timeout, wait = false } = options;
  const stopping = new AbortController();
  const timer = timeout === undefined ? undefined : context.clock.setTimer(timeout, () => stopping.abort());
  const request = { taskId, format, from, speed, showsPayloads: payloads };
  try {
    const inspection = inspectTask(deps, request, { signal: stopping.signal, endsOnDeadLetter: !wait });
    for await (const frames of inspection) for (const frame of frames) context.terminal.printJson(frame);
  } finally {
    timer?.cancel();
  }
  if (!stopping.signal.aborted) return;
  throw new EngineError('DEADLINE_EXCEEDED', `the task has not ended within ${timeout} ms`, {
    field: 'timeout',
    limit: `${timeout} ms`,
    hint: 'the task goes on; inspect it again',
  });
}

async function showPage(
  context: CliContext,
  access: ConsoleAccess,
  taskId: TaskId,
  options: InspectOptions,
): Promise<void> {
  const { client } = access;
  // A page of a task that does not exist would say so too, but later.
  await client.get(taskId);
  const { InspectionGateway } = await import('../inspector/inspection-gateway.ts');
  const { openInspectServer } = await import('./inspect-server.ts');
  const { SystemSecrets } = await import('../platform/system-secrets.ts');
  const { SystemRandom } = await import('../platform/system-random.ts');
  const gateway = new InspectionGateway({ ...(await inspectionDeps(context, access)), lingers: true });
  const server = await openInspectServer({
    gateway,
    taskId,
    port: options.port,
    secrets: new SystemSecrets(),
    random: new SystemRandom(),
  });
  const { terminal } = context;
  terminal.print(server.pageUrl);
  terminal.note(`for viewers that speak @statelyai/inspect: ${server.socketUrl}`);
  terminal.note('ends with Ctrl-C, or when the task has ended and the page is closed');
  try {
    await untilLeft(context, access, gateway, { taskId, waits: options.wait === true });
  } finally {
    await server.close();
  }
}

/** Resolves when somebody has looked, nobody looks any more and the task has ended; or when the command is interrupted. */
async function untilLeft(
  context: CliContext,
  { client }: ConsoleAccess,
  gateway: InspectionGateway,
  { taskId, waits }: { readonly taskId: TaskId; readonly waits: boolean },
): Promise<void> {
  let emptyCount = 0;
  while (!context.interrupted.aborted) {
    await pause(context.clock, endPollMs, context.interrupted);
    emptyCount = gateway.sessionCount > 0 ? 0 : emptyCount + 1;
    if (waits || gateway.servedCount === 0 || emptyCount < emptyPolls) continue;
    if (await hasEnded(client, taskId)) return;
  }
}

async function hasEnded(client: ConsoleAccess['client'], taskId: TaskId): Promise<boolean> {
  try {
    return endedStatuses.includes((await client.get(taskId)).status);
  } catch (error) {
    // Without an owner for a moment it has not ended; when it is not found, its retention has.
    return error instanceof EngineError && error.code === 'TASK_NOT_FOUND';
  }
}

async function inspectionDeps(context: CliContext, { client, journal, shardCount, settings }: ConsoleAccess) {
  const { machineFinder } = await import('../inspector/find-machine.ts');
  return {
    journal,
    clock: context.clock,
    shardOf: (taskId: TaskId) => shardOf(taskId, shardCount),
    findMachine: machineFinder(settings.file?.config.pipelines ?? [], async () => (await client.info()).pipelines),
    findTask: (taskId: TaskId) => client.get(taskId),
  };
}
