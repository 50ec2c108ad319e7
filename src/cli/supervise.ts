import type { HealthCheck } from '../admin/admin-deps.ts';
import type { RunningAdminServer } from '../admin-server.ts';
import { asError, EngineError } from '../core/errors.ts';
import { writeExposition } from '../platform/exposition.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunningSupervisor } from '../supervisor-process.ts';
import { errorLine } from './cli-error.ts';
import { readLink } from './cluster.ts';
import { openCommandLog } from './command-log.ts';
import type { CliContext } from './context.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { openHealth, type ProcessHealth } from './health.ts';
import { requirePipelines } from './local-pipelines.ts';
import { checkConsole, openConsole } from './open-console.ts';
import type { StopSignal } from './process-events.ts';
import { supervisorReadyLine, type SupervisorReadyLine } from './ready-line.ts';
import type { ServeOptions } from './serve.ts';
import type { Settings } from './settings.ts';

/** How long the end of killed processes is waited for. */
const abortWaitMs = 2_000;

/**
 * Runs node processes under a supervisor until a signal comes or they cannot go on.
 *
 * The first SIGINT or SIGTERM drains them all: exit code 0, or 1 when one had to be killed. The second one kills them: 130 or 1.
 * SIGUSR2 starts one after the other anew.
 *
 * @throws EngineError `CONFIG_INVALID`, `RESTART_INTENSITY_EXCEEDED`, what `startSupervisor` throws, and what a node could not start for
 */
export async function supervise(
  context: CliContext,
  options: ServeOptions,
  settings: Settings,
  announce: (line: SupervisorReadyLine) => void,
): Promise<ExitCode> {
  requirePipelines(settings.file, context.workingFolder);
  const servesConsole = settings.admin.enabled ?? true;
  if (servesConsole) checkConsole(settings);
  const logger = await openCommandLog(context, settings);

  const signals: StopSignal[] = [];
  let running: RunningSupervisor | null = null;
  let health: ProcessHealth | null = null;
  const heed = (): void => {
    const [first, second] = signals;
    if (running === null || first === undefined) return;
    if (second === undefined) void running.supervisor.stop();
    else void endNow(running, second);
  };
  const endNow = async ({ supervisor }: RunningSupervisor, signal: StopSignal): Promise<void> => {
    const { endEmbeddedNats } = await import('./end-embedded-nats.ts');
    const end = (): void => {
      if (settings.nats.servers === undefined) endEmbeddedNats(settings.dataDir);
      context.exitNow(signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.failed);
    };
    context.clock.setTimer(abortWaitMs, end);
    await supervisor.abort();
    end();
  };
  context.events.claim({
    onSignal: (signal) => {
      signals.push(signal);
      health?.ends();
      if (signals.length === 1) logger.info({ signal }, 'the nodes drain; a second signal stops them at once');
      else logger.warn({ signal }, 'a second signal: the nodes stop at once');
      // Before the processes are started nobody has anything to lose but the server, which the next start adopts.
      if (running === null && signals.length > 1) context.exitNow(exitCodes.interrupted);
      heed();
    },
    onRoll: () => running?.supervisor.roll(),
    onCrash: (thrown) => {
      const error = asError(thrown);
      logger.error({ err: error }, 'an error that nobody caught ends the supervisor; its nodes drain');
      context.terminal.note(errorLine({ code: 'INTERNAL', message: `${error.name}: ${error.message}` }));
      context.exitNow(exitCodes.failed);
    },
    // Nodes do not work for whoever reads the announcement.
    onOutputClosed: () => undefined,
  });

  health = await openHealth(settings.health, {
    logger,
    metrics: async () => writeExposition((await running?.readMetrics()) ?? []),
  });
  if (signals.length > 0) health.ends();
  const { startSupervisor } = await import('../supervisor-process.ts');
  const { processes = 1, hungAfterMs, ...bounds } = settings.supervisor;
  const { config, color: colorFlag, nats, namespace, creds, nkey, inboxPrefix, dataDir, logLevel, logFormat } = options;
  const { startLimit, crashLimit } = (await import('../supervisor/process-state.ts')).processPolicyDefaults;
  running = await startSupervisor({
    count: processes,
    baseId: settings.nodeId,
    engine: settings.engine,
    nats: await readLink(settings.nats),
    dataDir: settings.dataDir,
    policy: {
      graceMs: options.grace ?? settings.engine.drainGraceMs,
      ...(hungAfterMs === undefined ? {} : { hungAfterMs }),
      startLimit: {
        intensity: bounds.startIntensity ?? startLimit.intensity,
        periodMs: bounds.startPeriodMs ?? startLimit.periodMs,
      },
      crashLimit: {
        intensity: bounds.crashIntensity ?? crashLimit.intensity,
        periodMs: bounds.crashPeriodMs ?? crashLimit.periodMs,
      },
    },
    flags: { config, color: colorFlag, nats, namespace, creds, nkey, inboxPrefix, dataDir, logLevel, logFormat },
    color: context.terminal.hasColorOnStderr,
    logger,
  });
  const { supervisor, baseId } = running;
  heed();
  const first = await Promise.race([supervisor.ready, supervisor.ended]);
  let served: RunningAdminServer | null = null;
  if ('natsUrl' in first) health.serves(running);
  if ('natsUrl' in first && signals.length === 0) {
    try {
      if (servesConsole) served = await openSupervisorConsole(context, settings, running, logger);
    } catch (thrown) {
      supervisor.fail(thrown as EngineError);
    }
  }
  if ('natsUrl' in first && supervisor.status.phase === 'running') {
    const nodes = supervisor.status.processes.map(({ nodeId, pid }) => ({ nodeId, pid }));
    const consoleUrl = served?.url ?? null;
    logger.info({ nodes, consoleUrl }, 'all nodes are ready');
    announce(supervisorReadyLine({ baseId, readiness: first, nodes, settings, pid: process.pid, consoleUrl }));
  }
  const outcome = await supervisor.ended;
  if (signals.length > 1) return await new Promise<ExitCode>(() => undefined); // `endNow` ends the process.
  await served?.stop();
  await running.close();
  await health.close();
  if (outcome.kind === 'failed') throw EngineError.fromReport(outcome.error);
  if (outcome.kind === 'drained') logger.info({}, 'all nodes have drained');
  else logger.error({}, 'not every node has drained');
  return outcome.kind === 'drained' ? exitCodes.ok : exitCodes.failed;
}

/**
 * The console of a supervisor. Without it the nodes go on all the same: what it could not be started for is told loudly.
 *
 * @throws EngineError `CONFIG_INVALID`: what was asked for cannot be
 */
async function openSupervisorConsole(
  context: CliContext,
  settings: Settings,
  { supervisor, servers, metrics, readMetrics }: RunningSupervisor,
  logger: Logger,
): Promise<RunningAdminServer | null> {
  try {
    const ready = (): readonly HealthCheck[] => [{ name: 'nodes', isGood: supervisor.status.isReady }];
    return await openConsole(context, settings, { servers, ready, metrics, readMetrics, logger });
  } catch (thrown) {
    const error = asError(thrown);
    if (error instanceof EngineError && error.code === 'CONFIG_INVALID') throw error;
    logger.error({ err: error }, 'the console could not be started; the nodes run without it');
    return null;
  }
}
