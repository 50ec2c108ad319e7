import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { startEmbeddedNats, type EmbeddedNats, type EmbeddedNatsExit } from '../../src/platform/embedded-nats.ts';
import { findEmbeddedNats, readState, writeState } from '../../src/platform/embedded-nats-state.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { readNatsHealth, readNatsServerInfo } from '../../src/platform/nats-monitor.ts';
import { identifyProcess } from '../../src/platform/process-identity.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { argumentsOf } from '../support/test-processes.ts';

let dataDir: string;
let logger: MemoryLogger;
let servers: EmbeddedNats[];
let engines: ChildProcess[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'cabinet-embedded-'));
  logger = new MemoryLogger();
  servers = [];
  engines = [];
});

afterEach(async () => {
  for (const engine of engines) engine.kill('SIGKILL');
  await Promise.all(servers.map((server) => server.stop()));
  // A test that failed half-way may have left a server that nobody owns any more: end it by its record.
  const left = readState(dataDir);
  if (left !== undefined && identifyProcess(left.pid)?.startMark === left.startMark) process.kill(left.pid, 'SIGKILL');
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

async function start(options: Partial<Parameters<typeof startEmbeddedNats>[0]> = {}): Promise<EmbeddedNats> {
  const server = await startEmbeddedNats({ dataDir, sync: 'always', logger, clock: new SystemClock(), ...options });
  servers.push(server);
  return server;
}

/** An engine in a process of its own that has started a server on the data folder. */
async function startEngine(): Promise<{ engine: ChildProcess; url: string; pid: number; adopted: boolean }> {
  const engine = spawn(process.execPath, [...argumentsOf('embedded-engine'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  engines.push(engine);
  const [chunk] = (await once(engine.stdout, 'data')) as [Buffer];
  return { engine, ...(JSON.parse(chunk.toString()) as { url: string; pid: number; adopted: boolean }) };
}

async function killEngine(engine: ChildProcess): Promise<void> {
  const gone = once(engine, 'exit');
  engine.kill('SIGKILL');
  await gone;
}

async function addStream(url: string): Promise<void> {
  const connection = await connect({ servers: url });
  await (await jetstreamManager(connection)).streams.add({ name: 'KEPT', subjects: ['kept'] });
  await connection.close();
}

async function hasStream(url: string): Promise<boolean> {
  const connection = await connect({ servers: url });
  try {
    return (await (await jetstreamManager(connection)).streams.info('KEPT')).config.name === 'KEPT';
  } finally {
    await connection.close();
  }
}

describe('the embedded nats-server', () => {
  it('starts healthy on loopback, syncs always when asked, and keeps its files private', async () => {
    const server = await start();
    expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    expect(await readNatsHealth(server.monitorUrl)).toEqual({ healthy: true, detail: 'ok' });
    expect(await readNatsServerInfo(server.monitorUrl)).toMatchObject({ syncAlways: true, version: server.version });
    expect(statSync(join(dataDir, 'nats.conf')).mode & 0o777).toBe(0o600);
    expect(statSync(join(dataDir, 'nats.state.json')).mode & 0o777).toBe(0o600);
    expect([server.adopted, server.restarts]).toEqual([false, 0]);
  });

  it('stops the process and forgets it, and keeps the data and the address for the next start', async () => {
    const first = await start();
    const { pid, url } = first;
    await addStream(url);
    await first.stop();
    await first.stop();
    expect(identifyProcess(pid)).toBeUndefined();
    expect(await findEmbeddedNats(dataDir)).toBeUndefined();
    const second = await start({ sync: 'default' });
    expect(second.adopted).toBe(false);
    expect(await hasStream(second.url)).toBe(true);
    expect((await readNatsServerInfo(second.monitorUrl))?.syncAlways).toBe(false);
  });

  it('adopts the server that a killed engine left behind, instead of a second one on the same files', async () => {
    const { engine, url, pid } = await startEngine();
    await addStream(url);
    await killEngine(engine);
    expect(identifyProcess(pid)).toBeDefined();
    expect(await findEmbeddedNats(dataDir)).toMatchObject({ url, pid });
    const server = await start();
    expect([server.adopted, server.pid, server.url]).toEqual([true, pid, url]);
    expect(await hasStream(server.url)).toBe(true);
    await server.stop();
    expect(identifyProcess(pid)).toBeUndefined();
  });

  it('replaces an orphaned server whose sync setting is not the one asked for', async () => {
    const { engine, pid } = await startEngine();
    await killEngine(engine);
    const server = await start({ sync: 'default' });
    expect(server.adopted).toBe(false);
    expect(identifyProcess(pid)).toBeUndefined();
    expect(logger.messages('warn')).toContain('the nats-server left on the data folder is replaced');
  });

  it('replaces an orphaned server that is frozen', async () => {
    const { engine, pid } = await startEngine();
    await killEngine(engine);
    process.kill(pid, 'SIGSTOP');
    const server = await start({ startTimeoutMs: 3_000, stopTimeoutMs: 1_000 });
    expect([server.adopted, identifyProcess(pid)]).toEqual([false, undefined]);
  });

  it('ends an orphaned server whose record is lost, before it starts another on the same files', async () => {
    const { engine, pid } = await startEngine();
    await killEngine(engine);
    await rm(join(dataDir, 'nats.state.json'));
    const server = await start();
    expect([server.adopted, identifyProcess(pid)]).toEqual([false, undefined]);
    expect(logger.messages('warn')).toEqual(['a nats-server without a record on the data folder is ended']);
  });

  it('leaves a process alone whose number stands in an old process file', async () => {
    const bystander = spawn('sleep', ['60']);
    engines.push(bystander);
    await writeFile(join(dataDir, 'nats.pid'), String(bystander.pid));
    await start();
    expect(identifyProcess(bystander.pid ?? 0)).toBeDefined();
  });

  it('restarts an adopted server that dies, on the same address', async () => {
    const { engine, pid, url } = await startEngine();
    await killEngine(engine);
    const server = await start();
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => server.restarts, { timeout: 10_000 }).toBe(1);
    await expect.poll(async () => (await readNatsHealth(server.monitorUrl)).healthy, { timeout: 10_000 }).toBe(true);
    expect([server.url, server.pid === pid]).toEqual([url, false]);
  });

  it('refuses a second engine on the same folder with CONFIG_INVALID that tells how to join', async () => {
    const { url } = await startEngine();
    await expect(start()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'dataDir',
      hint: expect.stringContaining(`NATS_URL=${url}`) as string,
    });
    const own = await findEmbeddedNats(dataDir);
    expect(own?.url).toBe(url);
  });

  it('ignores a stale record whose process number belongs to another process now', async () => {
    const self = identifyProcess(process.pid);
    writeState(dataDir, { pid: process.pid, startMark: 'long ago', port: 1, monitorPort: 1, serverId: 'GONE' });
    expect(self).toBeDefined();
    await expect(start()).resolves.toMatchObject({ adopted: false });
  });

  it('ignores a record that is not readable', async () => {
    await writeFile(join(dataDir, 'nats.state.json'), '{"format":1,"pid":');
    expect((await start()).adopted).toBe(false);
  });

  it('restarts a server that dies, tells the listeners, and counts', async () => {
    const server = await start();
    const { pid, url } = server;
    await addStream(url);
    const exits: EmbeddedNatsExit[] = [];
    server.onExit((exit) => exits.push(exit));
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => server.restarts, { timeout: 10_000 }).toBe(1);
    await expect.poll(async () => (await readNatsHealth(server.monitorUrl)).healthy, { timeout: 10_000 }).toBe(true);
    expect(exits).toEqual([{ code: null, signal: 'SIGKILL', willRestart: true }]);
    expect(server.url).toBe(url);
    expect(await hasStream(url)).toBe(true);
    expect(logger.messages('warn')).toContain('embedded nats-server ended and will be restarted');
  });

  it('gives up a server that keeps dying, loudly, after its restart intensity', async () => {
    const server = await start({ restartIntensity: 1 });
    const exits: EmbeddedNatsExit[] = [];
    server.onExit((exit) => exits.push(exit));
    process.kill(server.pid, 'SIGKILL');
    await expect.poll(() => logger.messages('info'), { timeout: 10_000 }).toContain('embedded nats-server restarted');
    process.kill(server.pid, 'SIGKILL');
    await expect.poll(() => exits.length, { timeout: 10_000 }).toBe(2);
    expect(exits.map((exit) => exit.willRestart)).toEqual([true, false]);
    expect(logger.messages('error')).toEqual(['embedded nats-server keeps ending and is given up']);
  });

  it('moves to free ports when another program has taken the old ones', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    await first.stop();
    // As after a power cut: the record is still there, its process is not.
    writeState(dataDir, { pid: 2 ** 22, startMark: 'gone', port, monitorPort: port + 1, serverId: 'GONE' });
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const second = await start();
      expect(second.url).not.toBe(first.url);
    } finally {
      squatter.close();
    }
  });

  it('fails with NATS_UNREACHABLE and the reason when the server ends at once', async () => {
    const broken = join(dataDir, 'broken-nats');
    await writeFile(broken, '#!/bin/sh\necho "[1] [FTL] the disk is on fire" >&2\nexit 1\n');
    await chmod(broken, 0o755);
    await expect(start({ binary: { path: broken, version: '2.15.1' } })).rejects.toMatchObject({
      code: 'NATS_UNREACHABLE',
      message: expect.stringContaining('the disk is on fire') as string,
    });
    await expect(start()).resolves.toMatchObject({ adopted: false }); // The failed start holds no lock.
  });

  it('fails with NATS_BINARY_MISSING when the binary is not there', async () => {
    const binary = { path: join(dataDir, 'no-such-file'), version: '2.15.1' };
    await expect(start({ binary })).rejects.toMatchObject({ code: 'NATS_BINARY_MISSING' });
  });

  it('fails with CONFIG_INVALID when the data folder is a file', async () => {
    const file = join(dataDir, 'a-file');
    await writeFile(file, '');
    await expect(start({ dataDir: join(file, 'below') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'dataDir',
    });
    expect(existsSync(join(dataDir, 'nats.log'))).toBe(false);
    expect(readFileSync(file, 'utf8')).toBe('');
  });
});
