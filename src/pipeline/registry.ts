import { EngineError, showValue } from '../core/errors.ts';
import type { PipelineDefinition } from './definition.ts';

/** The pipelines that a node can run, each in one or several versions side by side. */
export class PipelineRegistry {
  readonly #versionsByName = new Map<string, Map<number, PipelineDefinition>>();

  constructor(definitions: Iterable<PipelineDefinition> = []) {
    for (const definition of definitions) this.register(definition);
  }

  /**
   * Adds a definition; adding the same one again changes nothing.
   *
   * @throws EngineError `DEFINITION_CHANGED` when the version is taken by a definition with another fingerprint
   */
  register(definition: PipelineDefinition): void {
    const { name, version } = definition;
    const versions = this.#versionsByName.get(name) ?? new Map<number, PipelineDefinition>();
    const known = versions.get(version);
    if (known !== undefined && known.fingerprint !== definition.fingerprint) {
      throw new EngineError(
        'DEFINITION_CHANGED',
        `pipeline ${name} version ${version} is registered with fingerprint ${known.fingerprint}, not ${definition.fingerprint}`,
        { field: 'version', got: version, hint: 'give the changed definition a new version' },
      );
    }
    if (known !== undefined) return;
    versions.set(version, definition);
    this.#versionsByName.set(name, versions);
  }

  /**
   * The definition of that name, in the newest version when none is given.
   *
   * @throws EngineError `PIPELINE_UNKNOWN` that lists the known names, `PIPELINE_VERSION_UNKNOWN` that lists the versions
   */
  find(name: string, version?: number): PipelineDefinition {
    const versions = this.#versionsByName.get(name);
    if (versions === undefined) {
      const known = [...this.#versionsByName.keys()].toSorted().join(', ');
      throw new EngineError('PIPELINE_UNKNOWN', `no pipeline is named '${showValue(name)}'`, {
        field: 'pipeline',
        limit: known === '' ? 'no pipeline is registered' : `one of ${known}`,
        got: name,
      });
    }
    const wanted = version ?? Math.max(...versions.keys());
    const definition = versions.get(wanted);
    if (definition !== undefined) return definition;
    const available = [...versions.keys()].toSorted((left, right) => left - right).join(', ');
    throw new EngineError('PIPELINE_VERSION_UNKNOWN', `pipeline ${name} has no version ${showValue(version)}`, {
      field: 'version',
      limit: `one of ${available}`,
      got: version,
    });
  }

  /** All definitions, by name and then by version, oldest first. */
  list(): PipelineDefinition[] {
    return [...this.#versionsByName.keys()]
      .toSorted()
      .flatMap((name) => [...(this.#versionsByName.get(name)?.values() ?? [])].toSorted(byVersion));
  }
}

function byVersion(left: PipelineDefinition, right: PipelineDefinition): number {
  return left.version - right.version;
}
