import { execFile } from 'node:child_process';
import { access, constants, copyFile, chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

import { asError } from '../src/core/errors.ts';
import { readAptSources, readOsRelease, unpackPackage } from '../src/platform/apt-package.ts';
import { chooseSource } from '../src/platform/apt-sources.ts';
import { processEnvironment, type Environment } from '../src/platform/environment.ts';
import { natsCacheDir } from '../src/platform/nats-binary.ts';

const run = promisify(execFile);

/** Where promtool was found, or why there is none. `isExpected`: this system's own package manager should have given it. */
export type PromtoolFinding =
  | { readonly kind: 'found'; readonly path: string; readonly version: string; readonly foundBy: string }
  | { readonly kind: 'missing'; readonly reason: string; readonly isExpected: boolean };

const components = new Map([
  ['debian', 'main'],
  ['ubuntu', 'universe'],
]);

/**
 * The first promtool of: `PROMTOOL_BIN`, `PATH`, the cache folder, and on Debian and Ubuntu the `prometheus` package, fetched once into
 * that folder by apt as nats-server is. Nothing is installed.
 */
export async function findPromtool(environment: Environment = processEnvironment()): Promise<PromtoolFinding> {
  const cacheDir = natsCacheDir(environment);
  const named = environment['PROMTOOL_BIN'];
  if (named !== undefined && named !== '') {
    return (
      (await tryIt(named, 'PROMTOOL_BIN')) ?? { kind: 'missing', reason: `${named} does not run`, isExpected: true }
    );
  }
  const onPath = (environment['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'promtool'));
  for (const candidate of [...onPath, join(cacheDir, 'promtool')]) {
    const found = await tryIt(candidate, candidate.startsWith(cacheDir) ? 'cache' : 'PATH');
    if (found !== null) return found;
  }
  return fetchPromtool(environment, cacheDir);
}

async function fetchPromtool(environment: Environment, cacheDir: string): Promise<PromtoolFinding> {
  const { id, codename } = await readOsRelease('/etc');
  const component = components.get(id ?? '');
  if (component === undefined || codename === undefined) {
    const reason = `promtool is not installed, and ${id ?? process.platform} has no apt to fetch it by`;
    return { kind: 'missing', reason, isExpected: false };
  }
  const workDir = await mkdtemp(join(tmpdir(), 'cabinet-fetch-'));
  const arriving = join(cacheDir, `.arriving-promtool-${process.pid}`);
  try {
    const source = chooseSource(await readAptSources('/etc'), { codename, component });
    if (source === undefined) throw new Error(`apt has no source of ${id} with "${component}"`);
    const wanted = { packageName: 'prometheus', source, suite: codename, component, workDir, environment };
    const folder = await unpackPackage(wanted);
    await mkdir(cacheDir, { recursive: true, mode: 0o700 });
    // In the cache's own folder first: a rename is atomic within one file system only.
    await copyFile(join(folder, 'usr/bin/promtool'), arriving);
    await chmod(arriving, 0o755);
    await rename(arriving, join(cacheDir, 'promtool'));
  } catch (thrown) {
    return { kind: 'missing', reason: `apt gave no prometheus: ${asError(thrown).message}`, isExpected: true };
  } finally {
    await rm(arriving, { force: true });
    await rm(workDir, { recursive: true, force: true, maxRetries: 5 });
  }
  const fetched = await tryIt(join(cacheDir, 'promtool'), `${id} ${codename}, by apt`);
  return fetched ?? { kind: 'missing', reason: 'the fetched promtool does not run', isExpected: true };
}

async function tryIt(path: string, foundBy: string): Promise<PromtoolFinding | null> {
  try {
    await access(path, constants.X_OK);
    const { stdout, stderr } = await run(path, ['--version']);
    const version = /version ([\w.+~-]+)/.exec(`${stdout}${stderr}`)?.[1];
    return version === undefined ? null : { kind: 'found', path, version, foundBy };
  } catch {
    return null;
  }
}
