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
