// To be run after each `npm install` that changes package-lock.json: see findMissingPlatforms.
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { findMissingPlatforms, type Lockfile } from './lockfile.ts';

const file = join(resolve(import.meta.dirname, '..'), 'package-lock.json');
const lockfile = JSON.parse(await readFile(file, 'utf8')) as Lockfile;
const missing = findMissingPlatforms(lockfile);
const packages = Object.fromEntries(
  Object.entries({ ...lockfile.packages, ...missing }).toSorted(([left], [right]) => (left < right ? -1 : 1)),
);
await writeFile(file, `${JSON.stringify({ ...lockfile, packages }, undefined, 2)}\n`);
process.stdout.write(`${Object.keys(missing).length} platform packages added\n`);
