import { EngineError } from '../core/errors.ts';

/**
 * The pipeline of the name, in that version or the newest.
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
