import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import {
  runDoctorChecks,
  type DoctorCheck,
  type DoctorOptions,
  type NatsProbe,
} from '../../../src/platform/doctor-checks.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-doctor-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const healthy: NatsProbe = {
  version: '2.15.1',
  jetStream: true,
  apiLevel: 5,
  syncAlways: true,
  roundTripMs: 1.5,
  clockOffsetMs: 12,
};

async function check(
  name: string,
  probe: Partial<NatsProbe> = {},
  options: Partial<DoctorOptions> = {},
): Promise<DoctorCheck | undefined> {
  const checks = await runDoctorChecks({
    dataDir: folder,
    natsUrl: 'nats://127.0.0.1:1',
    durability: 'process-crash',
    environment: { HOME: folder, PATH: folder },
    probeNats: () => Promise.resolve({ ...healthy, ...probe }),
    ...options,
  });
  return checks.find((one) => one.name === name);
}

describe('the doctor', () => {
  it.each([
    ['18.20.0', 'fail'],
    ['20.20.2', 'warn'],
    ['22.18.0', 'ok'],
  ])('finds Node %s: %s', async (nodeVersion, status) => {
    expect(await check('node version', {}, { nodeVersion })).toMatchObject({ status, detail: nodeVersion });
  });

  it('says where it looked for nats-server when there is none, and fails on one that is too old', async () => {
    expect(await check('nats-server binary')).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/NATS_BINARY_MISSING: .*PATH: no nats-server on it/) as string,
    });
    const old = join(folder, 'old');
    await writeFile(old, '#!/bin/sh\necho nats-server: v2.9.10\n', { mode: 0o755 });
    const environment = { HOME: folder, NATS_SERVER_BIN: old };
    expect(await check('nats-server binary', {}, { environment, natsUrl: undefined })).toMatchObject({
      status: 'fail',
    });
  });

  it('fails on a data folder that cannot be written, with what to set', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    expect(await check('data folder', {}, { dataDir: join(file, 'below') })).toMatchObject({
      status: 'fail',
      hint: expect.stringContaining('CABINET_DATA_DIR') as string,
    });
    expect(await check('data folder')).toMatchObject({ status: 'ok' });
    expect((await check('free disk'))?.detail).toMatch(/^\d+\.\d GiB$/);
  });

  it('fails on a server that cannot be reached, and does not go on to ask it', async () => {
    const probeNats = (): Promise<NatsProbe> => Promise.reject(new EngineError('NATS_UNREACHABLE', 'refused'));
    expect(await check('nats server', {}, { probeNats })).toMatchObject({
      status: 'fail',
      detail: 'NATS_UNREACHABLE: refused',
    });
    expect(await check('jetstream', {}, { probeNats })).toBeUndefined();
  });

  it('needs no server when the engine starts its own', async () => {
    expect(await check('nats server', {}, { natsUrl: undefined })).toMatchObject({ status: 'ok' });
  });

  it.each([
    ['nats server', { version: '2.9.10' }],
    ['jetstream', { jetStream: false }],
    ['jetstream', { apiLevel: 3 }],
    ['jetstream', { apiLevel: undefined }],
  ] as const)('fails on %s with %o', async (name, probe) => {
    expect(await check(name, probe)).toMatchObject({ status: 'fail', hint: expect.any(String) as string });
  });

  it('fails when power-loss durability is asked of a server that does not sync, and warns when it does not tell', async () => {
    expect(await check('durability', { syncAlways: false }, { durability: 'power-loss' })).toMatchObject({
      status: 'fail',
    });
    expect(await check('durability', { syncAlways: undefined }, { durability: 'power-loss' })).toMatchObject({
      status: 'warn',
    });
    expect(await check('durability', { syncAlways: false })).toMatchObject({ status: 'ok' });
    expect((await check('durability', { syncAlways: true }))?.detail).toContain('power-loss');
  });

  it('warns of clocks that are far apart', async () => {
    expect(await check('clock offset')).toMatchObject({ status: 'ok', detail: "the server's clock is 12 ms ahead" });
    expect(await check('clock offset', { clockOffsetMs: -90_000 })).toMatchObject({ status: 'warn' });
    expect(await check('clock offset', { clockOffsetMs: undefined })).toBeUndefined();
  });
});
