import type { Command } from 'commander';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { CliContext } from './context.ts';
import { formatSpan } from './duration.ts';
import { choosePipeline } from '../pipeline/choose-pipeline.ts';
import { readLocalPipelines } from './local-pipelines.ts';
import { addExamples, addReadOptions, integerParser, type ReadOptions } from './options.ts';
import { formatFields, formatTable } from './table.ts';
import { runRead, showView, type View } from './view.ts';

interface PipelineShowOptions extends ReadOptions {
  readonly local?: boolean;
  readonly pipelineVersion?: number;
}

/** `cabinet pipeline show`. */
export function addPipelineShow(parent: Command, context: CliContext): void {
  const command = parent
    .command('show <pipeline>')
    .description('show one pipeline of the engine; with --local the one of the configuration file, in all detail')
    .option('--local', 'that of the configuration file, with limits and retry policies')
    .option(
      '--pipeline-version <number>',
      'the newest when left out',
      integerParser({ least: 1, most: Number.MAX_SAFE_INTEGER }),
    )
    .action(async (name: string, options: PipelineShowOptions) => {
      const { pipelineVersion } = options;
      if (options.local === true) {
        const definitions = await readLocalPipelines(context, options);
        showView(context, options.output, definitionView(choosePipeline(definitions, name, pipelineVersion)));
        return;
      }
      await runRead(context, options, async ({ client, deadlineMs }) => {
        const { pipelines } = await client.info({ deadlineMs });
        const found = choosePipeline(pipelines, name, pipelineVersion);
        const fields = [
          ['pipeline', found.name],
          ['version', String(found.version)],
          ['fingerprint', found.fingerprint],
          ['stages', found.stages.join(' → ')],
        ] as const;
        return { document: found, items: [found], text: ({ paint }) => formatFields(fields, paint) };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet pipeline show card', 'cabinet pipeline show card --local');
}

function definitionView(definition: PipelineDefinition): View {
  const { name, version, fingerprint } = definition;
  const stages = definition.stages.map(({ output: _output, driver: _driver, skip, classify, ...stage }) => {
    return { ...stage, skip: skip === null ? null : skip.reason, hasClassify: classify !== null };
  });
  const document = { name, version, fingerprint, stages };
  return {
    document,
    items: [document],
    text: ({ paint, width }) => {
      const head = formatFields(
        [
          ['pipeline', name],
          ['version', String(version)],
          ['fingerprint', fingerprint],
        ],
        paint,
      );
      const table = formatTable(
        [
          { title: 'STAGE', value: (stage) => stage.name },
          { title: 'EFFECT', value: (stage) => stage.effect },
          { title: 'TIMEOUT', value: (stage) => span(stage.timeoutMs), align: 'right' },
          { title: 'HEARTBEAT', value: (stage) => span(stage.heartbeatTimeoutMs), align: 'right' },
          { title: 'DEADLINE', value: (stage) => span(stage.deadlineMs), align: 'right' },
          { title: 'ATTEMPTS', value: (stage) => String(stage.retry.maxAttempts), align: 'right' },
          {
            title: 'BACKOFF',
            value: ({ retry }) => `${span(retry.initialDelayMs)} ×${retry.factor} to ${span(retry.maxDelayMs)}`,
          },
          { title: 'CONCURRENCY', value: (stage) => String(stage.concurrency ?? '–'), align: 'right' },
          { title: 'SKIPPED WHEN', value: (stage) => stage.skip ?? '' },
        ],
        stages,
        { paint, width },
      );
      return `${head}\n\n${table}`;
    },
  };
}

function span(ms: number | null): string {
  return ms === null ? '–' : formatSpan(ms);
}
