import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version of this package, from its own package.json: the nearest one above this file, wherever it was compiled to. */
export const engineVersion: string = readVersion(dirname(fileURLToPath(import.meta.url)));

/** The version of Node that runs this. */
export const nodejsVersion: string = process.versions.node;

function readVersion(folder: string): string {
  const file = join(folder, 'package.json');
  if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  const parent = dirname(folder);
  return parent === folder ? 'unknown' : readVersion(parent);
}
