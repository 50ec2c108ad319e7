import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import { findNatsBinary, natsCacheDir } from '../../../src/platform/nats-binary.ts';
import { fetchNats } from '../../../src/platform/nats-fetch.ts';
import { compareVersions } from '../../../src/core/server-version.ts';
import { readNatsVersion } from '../../../src/platform/nats-version.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-binary-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function writeScript(path: string, lines: readonly string[]): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${lines.join('\n')}\n`);
  await chmod(file, 0o755);
  return file;
}

/** A program that answers --version like a nats-server of that version. */
function fakeServer(path: string, version: string): Promise<string> {
  return writeScript(path, [`echo "nats-server: v${version}"`]);
}

const neverFetch = (): never => {
  throw new Error('nothing was to be fetched');
};

function environment(more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return { HOME: folder, XDG_CACHE_HOME: join(folder, 'cache'), PATH: join(folder, 'bin'), ...more };
}

describe('finding nats-server', () => {
  it('takes the one that NATS_SERVER_BIN names before all others', async () => {
    await fakeServer('bin/nats-server', '2.15.1');
    const named = await fakeServer('named', '2.14.4');
    const found = await findNatsBinary({ environment: environment({ NATS_SERVER_BIN: named }), fetch: neverFetch });
    expect(found).toMatchObject({ path: named, version: '2.14.4', foundBy: 'NATS_SERVER_BIN', passedOver: [] });
  });

  it('refuses a NATS_SERVER_BIN that is too old with SERVER_VERSION_UNSUPPORTED, and looks no further', async () => {
    await fakeServer('bin/nats-server', '2.15.1');
    const named = await fakeServer('old', '2.9.10');
    await expect(findNatsBinary({ environment: environment({ NATS_SERVER_BIN: named }) })).rejects.toMatchObject({
      code: 'SERVER_VERSION_UNSUPPORTED',
      field: 'NATS_SERVER_BIN',
      got: '2.9.10',
    });
  });

  it('refuses a NATS_SERVER_BIN that is no nats-server with NATS_BINARY_MISSING', async () => {
    const other = await writeScript('other', ['echo "something else 2.15.1"']);
    for (const named of [other, join(folder, 'absent')]) {
      await expect(findNatsBinary({ environment: environment({ NATS_SERVER_BIN: named }) })).rejects.toMatchObject({
        code: 'NATS_BINARY_MISSING',
        field: 'NATS_SERVER_BIN',
      });
    }
  });

  it('takes the one on PATH if it is new enough, also behind one that is too old', async () => {
    await fakeServer('bin/nats-server', '2.9.10');
    const newer = await fakeServer('later/nats-server', '2.15.0');
    const path = `${join(folder, 'bin')}:${join(folder, 'later')}`;
    const found = await findNatsBinary({ environment: environment({ PATH: path }), fetch: neverFetch });
    expect(found).toMatchObject({ path: newer, foundBy: 'PATH' });
  });

  it('takes the newest of the cache, and tells why the places before were passed over', async () => {
    await fakeServer('bin/nats-server', '2.9.10');
    await fakeServer('cache/cabinet-pipeline/nats-server-2.14.4', '2.14.4');
    const newest = await fakeServer('cache/cabinet-pipeline/nats-server-2.15.10', '2.15.10');
    await fakeServer('cache/cabinet-pipeline/nats-server-2.15.9', '2.15.9');
    const found = await findNatsBinary({ environment: environment(), fetch: neverFetch });
    expect(found).toMatchObject({ path: newest, version: '2.15.10', foundBy: 'cache' });
    expect(found.passedOver).toEqual([
      { place: 'NATS_SERVER_BIN', reason: 'not set' },
      { place: 'PATH', reason: expect.stringContaining('2.9.10 is older than 2.14.4') as string },
    ]);
  });

  it('fetches into the cache when no place has one', async () => {
    const found = await findNatsBinary({
      environment: environment(),
      fetch: ({ cacheDir }) => Promise.resolve({ path: join(cacheDir, 'x'), version: '2.15.1', origin: 'a test' }),
    });
    expect(found).toMatchObject({ foundBy: 'fetch', path: join(folder, 'cache/cabinet-pipeline/x'), detail: 'a test' });
    expect(found.passedOver.map(({ place }) => place)).toEqual(['NATS_SERVER_BIN', 'PATH', 'cache']);
  });

  it('fails with NATS_BINARY_MISSING that lists every place when the fetch fails too', async () => {
    const failure = findNatsBinary({
      environment: environment(),
      fetch: () => Promise.reject(new EngineError('NATS_BINARY_MISSING', 'no network', { hint: 'do it by hand' })),
    });
    await expect(failure).rejects.toMatchObject({ code: 'NATS_BINARY_MISSING', hint: 'do it by hand' });
    await expect(failure).rejects.toThrow(/NATS_SERVER_BIN: not set; PATH: .*; cache: .*; fetch: no network/);
  });

  it('fails with NATS_BINARY_MISSING instead of fetching when it may only look', async () => {
    const look = findNatsBinary({ environment: environment(), mayFetch: false, fetch: neverFetch });
    await expect(look).rejects.toMatchObject({ code: 'NATS_BINARY_MISSING' });
  });

  it('ignores a relative XDG_CACHE_HOME', () => {
    expect(natsCacheDir({ XDG_CACHE_HOME: 'relative', HOME: '/home/a' })).toBe('/home/a/.cache/cabinet-pipeline');
  });
});

describe('fetching nats-server by apt', () => {
  /** An `etc` folder of a Debian system, and apt-get and dpkg that do as if. */
  async function fakeDebian(options: { readonly id?: string; readonly versions: Readonly<Record<string, string>> }) {
    await mkdir(join(folder, 'etc/apt/sources.list.d'), { recursive: true });
    await writeFile(join(folder, 'etc/os-release'), `ID=${options.id ?? 'debian'}\nVERSION_CODENAME=bookworm\n`);
    await writeFile(join(folder, 'etc/apt/sources.list'), 'deb http://mirror.test/debian bookworm main\n');
    const cases = Object.entries(options.versions).map(
      ([suite, version]) => `  *"Suites: ${suite}"*) echo "${version}" > nats-server.deb;;`,
    );
    await writeScript('tools/apt-get', [
      'for argument in "$@"; do',
      '  case "$argument" in Dir::Etc::sourceparts=*) sources=${argument#*=}/package.sources;; esac',
      '  action=$argument',
      '  [ "$argument" = download ] && break',
      'done',
      '[ "$action" = update ] && exit 0',
      'case "$(cat "$sources")" in',
      ...cases,
      '  *) echo "E: Unable to locate package nats-server from http://mirror.test" >&2; exit 100;;',
      'esac',
    ]);
    await writeScript('tools/dpkg', [
      'mkdir -p "$3/usr/sbin"',
      'printf "#!/bin/sh\\necho nats-server: v%s\\n" "$(cat "$2")" > "$3/usr/sbin/nats-server"',
      'chmod 755 "$3/usr/sbin/nats-server"',
    ]);
    const path = `${join(folder, 'tools')}:${process.env['PATH'] ?? ''}`;
    return { cacheDir: join(folder, 'cache'), etcDir: join(folder, 'etc'), environment: { PATH: path } };
  }

  it('unpacks it into the cache from the first suite that has a new enough one', async () => {
    const debian = await fakeDebian({ versions: { testing: '2.10.1', unstable: '2.15.1' } });
    const fetched = await fetchNats(debian);
    expect(fetched).toMatchObject({ version: '2.15.1', origin: 'debian unstable, by apt' });
    expect(await readNatsVersion(fetched.path)).toEqual({ kind: 'nats-server', version: '2.15.1', newEnough: true });
  });

  it('lets many fetch at the same time, with one whole binary in the end', async () => {
    const debian = await fakeDebian({ versions: { testing: '2.15.1' } });
    const fetched = await Promise.all(Array.from({ length: 5 }, () => fetchNats(debian)));
    expect(new Set(fetched.map(({ path }) => path)).size).toBe(1);
    expect(await readdir(debian.cacheDir)).toEqual(['nats-server-2.15.1']);
  });

  it('fails with NATS_BINARY_MISSING that tells each suite and no mirror address', async () => {
    const failure = fetchNats(await fakeDebian({ versions: { testing: '2.9.10' } }));
    await expect(failure).rejects.toMatchObject({ code: 'NATS_BINARY_MISSING' });
    await expect(failure).rejects.toThrow(/testing: only 2\.9\.10; unstable: E: Unable to locate .* from <mirror>/);
  });

  it('fails with NATS_BINARY_MISSING and instructions on a system whose packages it cannot verify', async () => {
    await expect(fetchNats(await fakeDebian({ id: 'alpine', versions: {} }))).rejects.toMatchObject({
      code: 'NATS_BINARY_MISSING',
      hint: expect.stringContaining('set NATS_SERVER_BIN') as string,
    });
  });

  it('fails with NATS_BINARY_MISSING when apt has no source of the distribution', async () => {
    const debian = await fakeDebian({ versions: { testing: '2.15.1' } });
    await writeFile(join(folder, 'etc/apt/sources.list'), '');
    await expect(fetchNats(debian)).rejects.toThrow(/no source/);
  });
});

describe('nats-server versions', () => {
  it.each([
    ['2.14.4', '2.14.4', 0],
    ['2.14.10', '2.14.9', 1],
    ['2.15.0-RC.1', '2.14.4', 1],
    ['2.9.10', '2.14.4', -1],
    ['3.0.0', '2.99.99', 1],
  ])('%s against %s', (left, right, sign) => {
    expect(Math.sign(compareVersions(left, right))).toBe(sign);
  });
});
