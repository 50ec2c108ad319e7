import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkConfig, type CheckedConfig } from '../config-file.ts';
import { asError, EngineError } from '../core/errors.ts';
import { parseStrictJson } from '../core/strict-json.ts';

/** Largest configuration file that is JSON, in bytes. */
const maximumConfigBytes = 1024 * 1024;

/** Names of a configuration file, the first that is there counts: what was built goes before its source. */
export const configFileNames = ['cabinet.config.js', 'cabinet.config.mjs', 'cabinet.config.ts', 'cabinet.config.json'];

/** A configuration file that was found and is right. */
export interface LoadedConfig {
  /** Absolute. */
  readonly path: string;
  /** What relative paths in it are relative to. */
  readonly folder: string;
  readonly config: CheckedConfig;
}

/**
 * The configuration file of the working folder, or the one that is named; null when none is named and none is there.
 *
 * @throws EngineError `CONFIG_INVALID` that names the file: it is not there, cannot be loaded, throws, or is not right
 */
export async function loadConfig(options: {
  readonly workingFolder: string;
  readonly file?: string | undefined;
}): Promise<LoadedConfig | null> {
  const { workingFolder, file } = options;
  const path = file === undefined ? await findConfig(workingFolder) : resolve(workingFolder, file);
  if (path === null) return null;
  if (file !== undefined && !(await isFile(path))) {
    throw new EngineError('CONFIG_INVALID', `there is no configuration file ${path}`, { field: 'config', got: file });
  }
  const value = path.endsWith('.json') ? await readJson(path) : await importDefault(path);
  return { path, folder: dirname(path), config: checkConfig(value, path) };
}

async function findConfig(folder: string): Promise<string | null> {
  for (const name of configFileNames) {
    const path = join(folder, name);
    if (await isFile(path)) return path;
  }
  return null;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

async function readJson(path: string): Promise<unknown> {
  try {
    return parseStrictJson(await readFile(path), maximumConfigBytes);
  } catch (error) {
    throw unloadable(path, asError(error));
  }
}

async function importDefault(path: string): Promise<unknown> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (thrown) {
    throw unloadable(path, asError(thrown));
  }
  if ('default' in module) return module['default'];
  throw new EngineError('CONFIG_INVALID', `${path}: there is no default export`, {
    field: 'default',
    hint: 'export default defineConfig({ pipelines: [...] })',
  });
}

function unloadable(path: string, error: Error & { readonly code?: unknown; readonly hint?: unknown }): EngineError {
  const { code, hint, cause } = error;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && path.endsWith('.ts') && error.message.includes(basename(path))) {
    return new EngineError('CONFIG_INVALID', `${path}: Node ${process.versions.node} cannot import TypeScript`, {
      hint: 'build it to cabinet.config.js, or run under a loader: NODE_OPTIONS="--import tsx" cabinet …',
      cause: error,
    });
  }
  // An EngineError of another copy of this package has a code too.
  const what = typeof code === 'string' ? `${code}: ${error.message}` : `${error.name}: ${error.message}`;
  return new EngineError('CONFIG_INVALID', `${path} could not be loaded: ${what}`, {
    hint: typeof hint === 'string' ? hint : undefined,
    cause: cause instanceof Error ? cause : error,
  });
}
