import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'vite';

import { builtVariable, testProcesses } from './test-processes.ts';

const repository = resolve(import.meta.dirname, '../..');
/** Within reach of the packages, which stay outside of what is built. */
const parent = join(repository, 'node_modules/.cache');

/** For vitest, around a whole run: builds the processes of tests once, from the sources as they are. */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  // Several projects may be in one run.
  if (process.env[builtVariable] !== undefined) return undefined;
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, 'cabinet-test-'));
  await build({
    configFile: false,
    root: repository,
    logLevel: 'warn',
    build: {
      ssr: true,
      target: 'node20',
      minify: false,
      outDir: folder,
      emptyOutDir: false,
      rollupOptions: {
        input: Object.fromEntries(testProcesses.map((name) => [name, join(import.meta.dirname, `${name}.ts`)])),
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js' },
      },
    },
  });
  process.env[builtVariable] = folder;
  return async () => {
    Reflect.deleteProperty(process.env, builtVariable);
    await rm(folder, { recursive: true, force: true });
  };
}
