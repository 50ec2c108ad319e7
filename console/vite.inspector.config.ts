import { resolve } from 'node:path';
import { defineConfig, mergeConfig } from 'vite';
import console from './vite.config.ts';

// The page of `cabinet inspect`, built like the console's and from its parts: the machine is drawn by one module.
export default mergeConfig(
  console,
  defineConfig({
    root: resolve(import.meta.dirname, 'inspector'),
    build: { outDir: resolve(import.meta.dirname, '../dist/inspector-page') },
  }),
);
