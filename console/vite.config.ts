import { resolve } from 'node:path';
import { preact } from '@preact/preset-vite';
import { defineConfig } from 'vite';

// One HTML file and hashed assets beside it. Nothing is inlined: the page's Content-Security-Policy allows no inline script or style,
// and no `data:` but images.
export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  plugins: [preact({ devToolsEnabled: false, prefreshEnabled: false })],
  build: {
    outDir: resolve(import.meta.dirname, '../dist/console'),
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
