import { type Command, Option } from 'commander';
import type { CliContext } from './context.ts';
import { choosePipeline } from '../pipeline/choose-pipeline.ts';
import { readLocalPipelines } from './local-pipelines.ts';
import { addExamples, addSettingOptions, integerParser, type SettingOptions } from './options.ts';

interface PipelineMachineOptions extends SettingOptions {
  readonly format: 'mermaid' | 'xstate';
  readonly pipelineVersion?: number;
}

/** `cabinet pipeline machine`. */
export function addPipelineMachine(parent: Command, context: CliContext): void {
  const command = parent
    .command('machine <pipeline>')
    .description('write the state machine of a pipeline of the configuration file')
    .addOption(
      new Option('--format <format>', "a Mermaid state diagram, or JSON for XState's createMachine and its tools")
        .choices(['mermaid', 'xstate'])
        .default('mermaid'),
    )
    .option(
      '--pipeline-version <number>',
      'the newest when left out',
      integerParser({ least: 1, most: Number.MAX_SAFE_INTEGER }),
    )
    .action(async (name: string, options: PipelineMachineOptions) => {
      const definitions = await readLocalPipelines(context, options);
      const definition = choosePipeline(definitions, name, options.pipelineVersion);
      const { toMermaid, toXStateJson } = await import('../pipeline/export-machine.ts');
      context.terminal.print(
        options.format === 'mermaid' ? toMermaid(definition) : JSON.stringify(toXStateJson(definition), null, 2),
      );
    });
  addSettingOptions(command);
  addExamples(
    command,
    'cabinet pipeline machine card > card.mmd',
    'cabinet pipeline machine card --format xstate > card.machine.json',
  );
}
