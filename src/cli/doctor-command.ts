import type { Command } from 'commander';
import { configDefaults } from '../core/config.ts';
import { asError } from '../core/errors.ts';
import type { DoctorCheck } from '../platform/doctor-checks.ts';
import { toCliError } from './cli-error.ts';
import { readLink, readSettings } from './cluster.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import {
  addClusterOptions,
  addExamples,
  addOutputOptions,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';
import { resolveSettings, type Settings } from './settings.ts';
import { formatTable } from './table.ts';
import { showView } from './view.ts';

/** How long the doctor tries to reach a server. */
const defaultProbeMs = 3_000;
const tones = { ok: 'good', warn: 'warn', fail: 'bad' } as const;

/** `cabinet doctor`. */
export function addDoctor(parent: Command, context: CliContext): void {
  const command = parent
    .command('doctor')
    .description('check this machine, the configuration and the NATS server; exit 1 when a check fails')
    .action(async (options: ClusterOptions & OutputOptions) => {
      const checks = await runChecks(context, options);
      const failed = checks.filter((check) => check.status === 'fail').length;
      showView(context, options.output, {
        document: { ok: failed === 0, checks },
        items: checks,
        text: ({ paint }) =>
          formatTable<DoctorCheck>(
            [
              { title: 'CHECK', value: ({ name }) => name },
              { title: 'STATUS', value: ({ status }) => status, tone: ({ status }) => tones[status] },
              {
                title: 'DETAIL',
                value: ({ detail, hint }) => (hint === undefined ? detail : `${detail} (hint: ${hint})`),
              },
            ],
            checks,
            // A hint that is cut off helps nobody.
            { paint },
          ),
      });
      if (failed > 0) context.exitCode = exitCodes.failed;
    });
  addOutputOptions(addClusterOptions(command));
  addExamples(command, 'cabinet doctor', 'cabinet doctor --nats nats://10.0.0.5:4222 --json');
}

async function runChecks(context: CliContext, options: ClusterOptions): Promise<readonly DoctorCheck[]> {
  const { settings, check } = await readChecked(context, options);
  const { probeNats } = await import('../nats-probe.ts');
  const { runDoctorChecks } = await import('../platform/doctor-checks.ts');
  const { nats, engine, dataDir } = settings;
  const { servers, monitorUrls } = nats;
  const checks = await runDoctorChecks({
    dataDir,
    natsUrl: servers === undefined ? undefined : String(servers),
    durability: engine.durability,
    environment: context.environment,
    probeNats: async (url, monitorUrl) => {
      const { servers: _servers, monitorUrls: _urls, ...link } = await readLink(nats);
      return probeNats(servers ?? url, monitorUrl ?? monitorUrls?.[0], {
        link,
        clock: context.clock,
        namespace: engine.namespace,
        timeoutMs: options.timeout ?? defaultProbeMs,
      });
    },
  });
  return [check, ...checks];
}

/** A configuration that is not right is a finding, and the rest is checked by what the command line alone says. */
async function readChecked(
  context: CliContext,
  options: ClusterOptions,
): Promise<{ readonly settings: Settings; readonly check: DoctorCheck }> {
  const name = 'configuration';
  try {
    const settings = await readSettings(context, options);
    const { file } = settings;
    const detail =
      file === null
        ? 'no file; defaults, environment and flags'
        : `${file.path}, ${file.config.pipelines.length} pipeline definitions`;
    return { settings, check: { name, status: 'ok', detail } };
  } catch (thrown) {
    const { code, message, hint } = toCliError(asError(thrown));
    const { workingFolder } = context;
    const settings = resolveSettings({
      flags: { ...options, namespace: options.namespace === undefined ? configDefaults.namespace : undefined },
      environment: { config: {}, unknownVariables: [] },
      file: null,
      workingFolder,
    });
    const detail = `${code}: ${message}`;
    return { settings, check: { name, status: 'fail', detail, ...(hint === undefined ? {} : { hint }) } };
  }
}
