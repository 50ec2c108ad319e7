import { EngineError } from '../core/errors.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { readSettings } from './cluster.ts';
import type { CliContext } from './context.ts';
import type { SettingOptions } from './options.ts';
import type { LoadedConfig } from './config-loader.ts';

/**
 * The configuration file with its pipelines.
 *
 * @throws EngineError `CONFIG_INVALID` when there is none, or it has none
 */
export function requirePipelines(file: LoadedConfig | null, workingFolder: string): LoadedConfig {
  const hint = 'cabinet.config.mjs: export default defineConfig({ pipelines: [...] })';
  if (file === null) {
    throw new EngineError('CONFIG_INVALID', `no cabinet.config.{js,mjs,ts,json} is in ${workingFolder}`, {
      field: 'config',
      hint: `name one by --config, or write one: ${hint}`,
    });
  }
  if (file.config.pipelines.length > 0) return file;
  throw new EngineError('CONFIG_INVALID', `${file.path}: pipelines is missing`, { field: 'pipelines', hint });
}

/** The pipelines of the configuration file. @throws EngineError `CONFIG_INVALID` */
export async function readLocalPipelines(
  context: CliContext,
  options: SettingOptions,
): Promise<readonly PipelineDefinition[]> {
  const { file } = await readSettings(context, options);
  return requirePipelines(file, context.workingFolder).config.pipelines;
}

/**
 * The one of the name, in that version or the newest.
 *
 * @throws EngineError `PIPELINE_UNKNOWN`, `PIPELINE_VERSION_UNKNOWN`, with what is known
 */
export function choosePipeline<Pipeline extends { readonly name: string; readonly version: number }>(
  pipelines: readonly Pipeline[],
  name: string,
  version: number | undefined,
): Pipeline {
  const versions = pipelines.filter((one) => one.name === name).toSorted((one, other) => other.version - one.version);
  const [newest] = versions;
  if (newest === undefined) {
    const known = [...new Set(pipelines.map((one) => one.name))].join(', ');
    throw new EngineError('PIPELINE_UNKNOWN', `there is no pipeline '${name}'`, {
      field: 'pipeline',
      got: name,
      hint: known === '' ? 'no pipeline is registered' : `known are ${known}`,
    });
  }
  const chosen = version === undefined ? newest : versions.find((one) => one.version === version);
  if (chosen !== undefined) return chosen;
  throw new EngineError('PIPELINE_VERSION_UNKNOWN', `pipeline '${name}' has no version ${version}`, {
    field: 'version',
    got: version,
    hint: `known are ${versions.map((one) => one.version).join(', ')}`,
  });
}
