// Compiles src into dist, takes along what is not TypeScript, builds the console's page into dist/console and that of `cabinet inspect`
// into dist/inspector-page, and makes the command executable.
import { spawnSync } from 'node:child_process';
import { chmod, cp, readFile, rm } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { build } from 'vite';

const repository = resolve(import.meta.dirname, '..');
const dist = join(repository, 'dist');
const command = join(dist, 'main.js');

await rm(dist, { recursive: true, force: true });
const compiler = spawnSync(join(repository, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.json'], {
  cwd: repository,
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (compiler.status !== 0) throw new Error(`tsc ended with ${compiler.status ?? compiler.signal}`);

await cp(join(repository, 'src'), dist, {
  recursive: true,
  filter: (path) => !['.ts', '.tsx', '.json'].includes(extname(path)),
});

await build({ configFile: join(repository, 'console/vite.config.ts'), logLevel: 'warn' });
await build({ configFile: join(repository, 'console/vite.inspector.config.ts'), logLevel: 'warn' });

if (!(await readFile(command, 'utf8')).startsWith('#!/usr/bin/env node\n')) {
  throw new Error('src/main.ts must begin with #!/usr/bin/env node: the package installs it as a command');
}
await chmod(command, 0o755);
