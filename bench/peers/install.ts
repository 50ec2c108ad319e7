import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../../peers/', import.meta.url));
const repository = fileURLToPath(new URL('../../../../', import.meta.url));

/** The lock file that `node_modules` was installed from. */
const stamp = join(folder, 'node_modules/.installed-lock.json');

/** Installs the peers' packages, unless they are there as the lock file has them, and compiles the programs that use them. */
export function preparePeers(): void {
  const lock = readFileSync(join(folder, 'package-lock.json'), 'utf8');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
    process.stderr.write('installing the peers\n');
    // Scripts are not run: none of the packages needs one.
    runOrThrow('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder);
    writeFileSync(stamp, lock);
  }
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  const compiler = join(repository, 'node_modules/typescript/bin/tsc');
  runOrThrow(process.execPath, [compiler, '-p', join(folder, 'systems')], repository);
}

function runOrThrow(program: string, args: readonly string[], cwd: string): void {
  // To stderr, as stdout is for the figures.
  const { status, signal } = spawnSync(program, args, { cwd, stdio: ['ignore', process.stderr, process.stderr] });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status ?? signal}`);
}
