// Finds a Chromium for the browser tests and prints its path: `CHROMIUM_BIN=$(tsx scripts/fetch-chromium.ts)`. Where it may, it
// installs the distribution's own: a browser that a test tool downloads is of nobody's package list.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** A browser, or why there is none and what to do. */
export type FoundChromium =
  | { readonly kind: 'found'; readonly path: string; readonly detail: string }
  | { readonly kind: 'missing'; readonly reason: string };

const usualPaths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const advice = 'install the package chromium, or set CHROMIUM_BIN to a Chromium or Chrome';

/** The browser of `CHROMIUM_BIN`, an installed one, or one that apt installs, as root on Debian or Ubuntu. */
export function findChromium(options: { readonly mayInstall: boolean }): FoundChromium {
  const given = process.env['CHROMIUM_BIN'];
  if (given !== undefined && given !== '') {
    if (existsSync(given)) return { kind: 'found', path: given, detail: 'CHROMIUM_BIN' };
    return { kind: 'missing', reason: `CHROMIUM_BIN names ${given}, which is not there` };
  }
  const installed = usualPaths.find((path) => existsSync(path));
  if (installed !== undefined) return { kind: 'found', path: installed, detail: 'installed' };
  if (!options.mayInstall) return { kind: 'missing', reason: `there is no Chromium: ${advice}` };
  if (process.getuid?.() !== 0 || !isDebian()) {
    return { kind: 'missing', reason: `only root on Debian or Ubuntu can have it installed: ${advice}` };
  }
  // The recommended packages draw in a desktop.
  const commands = [['update'], ['install', '-y', '--no-install-recommends', 'chromium']];
  for (const command of commands) {
    const { status } = spawnSync('apt-get', ['-q', ...command], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 2, 'inherit'],
    });
    if (status !== 0) return { kind: 'missing', reason: `apt-get ${command[0]} failed: ${advice}` };
  }
  const fresh = usualPaths.find((path) => existsSync(path));
  if (fresh === undefined)
    return { kind: 'missing', reason: `the package has no browser where one is looked for: ${advice}` };
  return { kind: 'found', path: fresh, detail: 'installed by apt' };
}

function isDebian(): boolean {
  const file = '/etc/os-release';
  return existsSync(file) && /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync(file, 'utf8'));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const chromium = findChromium({ mayInstall: true });
  if (chromium.kind === 'found') {
    process.stderr.write(`Chromium: ${chromium.detail}\n`);
    process.stdout.write(`${chromium.path}\n`);
  } else {
    process.stderr.write(`${chromium.reason}\n`);
    process.exitCode = 1;
  }
}
