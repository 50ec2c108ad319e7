import type { Command } from 'commander';
import type { EngineInfo } from '../client.ts';
import type { CliContext } from './context.ts';
import { readLocalPipelines } from './local-pipelines.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { formatTable } from './table.ts';
import { runRead, showView, type View } from './view.ts';

type PipelineSummary = EngineInfo['pipelines'][number];

/** `cabinet pipeline list`. */
export function addPipelineList(parent: Command, context: CliContext): void {
  const command = parent
    .command('list')
    .description('list the pipelines that the engine runs, in all their versions')
    .option('--local', 'those of the configuration file, without asking an engine')
    .action(async (options: ReadOptions & { readonly local?: boolean }) => {
      if (options.local === true) {
        const definitions = await readLocalPipelines(context, options);
        const pipelines = definitions.map(({ name, version, fingerprint, stages }) => {
          return { name, version, fingerprint, stages: stages.map((stage) => stage.name) };
        });
        showView(context, options.output, listView(pipelines));
        return;
      }
      await runRead(context, options, async ({ client, deadlineMs }) =>
        listView((await client.info({ deadlineMs })).pipelines),
      );
    });
  addReadOptions(command);
  addExamples(command, 'cabinet pipeline list', 'cabinet pipeline list --local --json');
}

function listView(pipelines: readonly PipelineSummary[]): View {
  return {
    document: { pipelines },
    items: pipelines,
    text: (drawing) =>
      formatTable(
        [
          { title: 'PIPELINE', value: ({ name }) => name },
          { title: 'VERSION', value: ({ version }) => String(version), align: 'right' },
          { title: 'FINGERPRINT', value: ({ fingerprint }) => fingerprint.slice(0, 12) },
          { title: 'STAGES', value: ({ stages }) => stages.join(' → ') },
        ],
        pipelines,
        drawing,
      ),
  };
}
