import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { readMetaLeader, readNatsHealth, readNatsServerInfo } from '../../src/platform/nats-monitor.ts';
import { askNats } from '../support/nats-api.ts';
import { chosenProvider, startNats } from '../support/nats-server.ts';
import { argumentsOf } from '../support/test-processes.ts';

describe('the nats-server fixture', () => {
  it('starts one server with JetStream, kills it, and restarts it on the same address', async () => {
    const nats = await startNats({ provider: 'binary', sync: 'always' });
    try {
      const before = await readNatsServerInfo(nats.monitorUrls[0] ?? '');
      expect(before).toMatchObject({ syncAlways: true, storeDir: expect.stringContaining('jetstream') as string });
      await nats.kill();
      expect(nats.pid()).toBeUndefined();
      expect((await readNatsHealth(nats.monitorUrls[0] ?? '')).healthy).toBe(false);
      await nats.restart();
      const after = await readNatsServerInfo(nats.monitorUrls[0] ?? '');
      expect(after?.serverId).not.toBe(before?.serverId);
    } finally {
      await nats.stop();
    }
  });

  it('freezes a server, which then answers nothing, and resumes it', async () => {
    const nats = await startNats({ provider: 'binary', jetStream: false });
    try {
      await nats.freeze();
      expect(await readNatsHealth(nats.monitorUrls[0] ?? '')).toMatchObject({ healthy: false });
      await nats.resume();
      await expect.poll(async () => (await readNatsHealth(nats.monitorUrls[0] ?? '')).healthy).toBe(true);
    } finally {
      await nats.stop();
    }
  });

  it('starts a cluster of three that still has a leader after one is killed', async () => {
    const nats = await startNats({ provider: 'binary', servers: 3 });
    try {
      expect(nats.urls).toHaveLength(3);
      await nats.kill(1);
      // n1 may have been the leader, and is named as such until the others have chosen a new one.
      await expect.poll(() => readMetaLeader(nats.monitorUrls[0] ?? ''), { timeout: 30_000 }).toMatch(/^n[02]$/);
      await nats.restart(1);
      expect((await readNatsHealth(nats.monitorUrls[1] ?? '')).healthy).toBe(true);
    } finally {
      await nats.stop();
    }
  });

  it('says what the server complained about when its configuration is wrong', async () => {
    await expect(startNats({ provider: 'binary', extraConfig: 'no_such_setting {{{' })).rejects.toThrow(
      /ended while it started/,
    );
  });

  it('leaves no server and no folder behind when the test process is killed', async () => {
    const child = spawn(process.execPath, argumentsOf('nats-orphan'), { stdio: ['ignore', 'pipe', 'inherit'] });
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    const { pid, folder } = JSON.parse(chunk.toString()) as { pid: number; folder: string };
    child.kill('SIGKILL');
    await expect.poll(() => isAlive(pid) || existsSync(folder), { timeout: 10_000 }).toBe(false);
  });
});

describe('the choice of NATS servers', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is processes when nothing is set, and an error that lists the providers when the setting is none of them', () => {
    expect(chosenProvider(undefined)).toBe('binary');
    expect(() => chosenProvider('docker')).toThrow(/"docker"; it may be binary, testcontainers, url/);
  });

  it('names the provider that can cut a server off, where processes cannot', async () => {
    const nats = await startNats({ provider: 'binary', jetStream: false });
    try {
      await expect(nats.partition()).rejects.toThrow(/CABINET_TEST_NATS=testcontainers/);
    } finally {
      await nats.stop();
    }
  });

  it('uses a given server, does nothing to it, and deletes only the streams that were made since', async () => {
    const owner = await startNats({ provider: 'binary' });
    const makeStream = async (name: string): Promise<unknown> =>
      askNats(owner, `$JS.API.STREAM.CREATE.${name}`, { name, subjects: [name], storage: 'memory' });
    try {
      await makeStream('before');
      vi.stubEnv('CABINET_TEST_NATS_URL', owner.url);
      const nats = await startNats({ provider: 'url' });
      expect(nats.urls).toEqual([owner.url]);
      await expect(nats.kill()).rejects.toThrow(/belongs to somebody else/);
      await makeStream('since');
      await nats.stop();
      expect(await askNats(owner, '$JS.API.STREAM.NAMES')).toMatchObject({ streams: ['before'] });
    } finally {
      await owner.stop();
    }
  });

  it('refuses a test that needs a server of a certain kind, and one without an address, on a given server', async () => {
    vi.stubEnv('CABINET_TEST_NATS_URL', '');
    await expect(startNats({ provider: 'url' })).rejects.toThrow(/needs the address in CABINET_TEST_NATS_URL/);
    vi.stubEnv('CABINET_TEST_NATS_URL', 'nats://127.0.0.1:1');
    await expect(startNats({ provider: 'url', servers: 3, sync: 'always' })).rejects.toThrow(
      /sync: always and 3 servers/,
    );
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
