// Stores what this version of the engine writes of tasks in every state, for every later version to read: test/fixtures/golden/<version>.
// Never over what is there: a version that was released cannot be changed.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { makeGoldenFile } from '../test/support/golden-corpus.ts';

const repository = resolve(import.meta.dirname, '..');
const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
  readonly version: string;
};
const file = join(repository, 'test/fixtures/golden', `${version}.json`);
const [reason] = process.argv.slice(2);
// A format that changes before its version is released needs a name of its own: `write-golden.ts 0.2.0-handovers`.
const path = reason === undefined ? file : join(repository, 'test/fixtures/golden', `${reason}.json`);
await mkdir(join(repository, 'test/fixtures/golden'), { recursive: true });
const golden = makeGoldenFile(reason ?? version);
const lines = golden.tasks.map((task) => JSON.stringify(task));
const { tasks: _tasks, ...head } = golden;
const text = `${JSON.stringify(head).slice(0, -1)},"tasks":[\n${lines.join(',\n')}\n]}\n`;
// Fails when it exists.
await writeFile(path, text, { flag: 'wx' });
console.log(`${path}: ${golden.tasks.length} tasks, ${text.length} bytes`);
