import { EngineError } from '../core/errors.ts';

/** A package that one command needs and the engine does not. */
export interface OptionalPackage {
  readonly name: string;
  readonly version: string;
  /** The command that needs it. */
  readonly command: string;
}

/**
 * Loads a part of an optional package.
 *
 * @throws EngineError `CONFIG_INVALID` that says what to install, when the package is not there
 */
export async function loadOptional<Module>(
  { name, version, command }: OptionalPackage,
  load: () => Promise<Module>,
): Promise<Module> {
  try {
    return await load();
  } catch (thrown) {
    const { code, message = '' } = thrown as { readonly code?: unknown; readonly message?: string };
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(name)) throw thrown;
    throw new EngineError('CONFIG_INVALID', `\`${command}\` needs the package ${name}, which is not installed`, {
      field: name,
      hint: `npm install ${name}@${version}`,
      cause: thrown,
    });
  }
}
