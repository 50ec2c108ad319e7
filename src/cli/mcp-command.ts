import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Command } from 'commander';
import { asError, EngineError } from '../core/errors.ts';
import { engineVersion } from '../platform/package-version.ts';
import { claimOutput } from '../platform/protocol-output.ts';
import { errorLine } from './cli-error.ts';
import { defaultTimeoutMs, readConnection, readSettings } from './cluster.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { loadOptional, type OptionalPackage } from './optional-package.ts';
import { addClusterOptions, addExamples, type ClusterOptions } from './options.ts';

interface McpOptions extends ClusterOptions {
  readonly allowWrites?: boolean;
  readonly by?: string;
}

/** What speaks the protocol. Its version is that of `peerDependencies` in package.json. */
export const mcpPackage: OptionalPackage = {
  name: '@modelcontextprotocol/sdk',
  version: '1.32.2',
  command: 'cabinet mcp',
};
/** How long calls in hand may go on when the agent has closed its end. */
const lastCallsMs = 5_000;

/** `cabinet mcp`. */
export function addMcp(parent: Command, context: CliContext): void {
  const command = parent
    .command('mcp')
    .description(
      'serve tools for agents over stdio, by the Model Context Protocol; they only read, unless --allow-writes',
    )
    .option(
      '--allow-writes',
      'offer tools that submit and command tasks, redrive dead letters and give orders to nodes',
    )
    .option('--by <name>', "who commands, for the journal; mcp and the agent program's own name when left out")
    .action(async (options: McpOptions) => {
      // Asked for first: a signal may come at any moment, and is a good end.
      const interrupted = onInterrupt(context);
      const { StdioServerTransport } = await loadOptional(
        mcpPackage,
        () => import('@modelcontextprotocol/sdk/server/stdio.js'),
      );
      // Before the configuration file is loaded: what that prints is no protocol.
      const output = claimOutput(process.stdout, process.stderr);
      try {
        const { maximumMessageBytes } = await import('../mcp/limits.ts');
        const transport = new StdioServerTransport(context.stdin, output.stream, {
          maxBufferSize: maximumMessageBytes,
        });
        await serve(context, options, transport, interrupted);
      } finally {
        output.release();
      }
    });
  addClusterOptions(command);
  addExamples(command, 'cabinet mcp --nats nats://127.0.0.1:4222', 'cabinet mcp --allow-writes --by alice');
}

async function serve(
  context: CliContext,
  options: McpOptions,
  transport: Transport,
  interrupted: Promise<void>,
): Promise<void> {
  const settings = await readSettings(context, options);
  const [{ PinoLogger }, { SystemRandom }, { EngineAccess }, { ToolCaller }, { serveMcp }] = await Promise.all([
    import('../platform/pino-logger.ts'),
    import('../platform/system-random.ts'),
    import('../mcp/engine-access.ts'),
    import('../mcp/call-tool.ts'),
    import('../mcp/serve-mcp.ts'),
  ]);
  const logger = new PinoLogger({
    destination: 'stderr',
    color: context.terminal.hasColorOnStderr,
    level: settings.logLevel,
    format: settings.logFormat,
  });
  const engine = new EngineAccess({
    logger,
    connect: async () => {
      const { link } = await readConnection(context, options);
      const { connectConsole } = await import('../client.ts');
      return connectConsole({ ...link, name: 'cabinet-mcp' });
    },
  });
  const caller = new ToolCaller({
    engine,
    definitions: settings.file?.config.pipelines ?? [],
    clock: context.clock,
    random: new SystemRandom(),
    logger,
    allowsWrites: options.allowWrites ?? false,
    deadlineMs: options.timeout ?? defaultTimeoutMs,
  });
  const inputEnded = onEnd(context.stdin);
  const server = await serveMcp({ caller, transport, logger, version: engineVersion, by: options.by });
  logger.info(
    { allowsWrites: options.allowWrites ?? false, version: engineVersion },
    'the MCP server listens on stdin',
  );
  const closed = server.closed.then((error) => error ?? 'closed');
  const end = await Promise.race([closed, interrupted, inputEnded.then(() => 'inputEnded' as const)]);
  // Nobody asks any more, but what was asked may still be answered.
  if (end === 'inputEnded') await withinMs(context, lastCallsMs, caller.quiet());
  await server.close();
  await engine.close();
  if (!(end instanceof Error)) return;
  throw new EngineError('INVALID_MESSAGE', `the agent's messages cannot be read: ${end.message}`, { cause: end });
}

/** Resolves at the first signal; a second one ends the process at once. */
function onInterrupt(context: CliContext): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    context.events.claim({
      onSignal: () => {
        if (isAsked) context.exitNow(exitCodes.interrupted);
        isAsked = true;
        resolve();
      },
      onCrash: (thrown) => {
        const error = asError(thrown);
        context.terminal.note(errorLine({ code: 'INTERNAL', message: `${error.name}: ${error.message}` }));
        context.exitNow(exitCodes.failed);
      },
      // The agent has gone away.
      onOutputClosed: () => context.exitNow(exitCodes.ok),
    });
  });
}

function onEnd(input: CliContext['stdin']): Promise<void> {
  return new Promise((resolve) => {
    input.once('end', () => resolve());
    input.once('close', () => resolve());
  });
}

async function withinMs(context: CliContext, mostMs: number, work: Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = context.clock.setTimer(mostMs, resolve);
    void work.finally(() => {
      timer.cancel();
      resolve();
    });
  });
}
