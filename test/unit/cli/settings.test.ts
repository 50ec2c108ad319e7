import { describe, expect, it } from 'vitest';
import { redactSetting } from '../../../src/cli/config-print-command.ts';
import type { LoadedConfig } from '../../../src/cli/config-loader.ts';
import { describeSource, resolveSettings, type Settings, type SettingFlags } from '../../../src/cli/settings.ts';
import type { CheckedConfig } from '../../../src/config-file.ts';
import { readEnvironment, type Environment } from '../../../src/platform/environment.ts';

function resolve(
  flags: SettingFlags = {},
  environment: Environment = {},
  config?: Omit<CheckedConfig, 'pipelines'>,
): Settings {
  const file: LoadedConfig | null =
    config === undefined
      ? null
      : { path: '/etc/app/cabinet.config.mjs', folder: '/etc/app', config: { pipelines: [], ...config } };
  return resolveSettings({ flags, environment: readEnvironment(environment), file, workingFolder: '/project' });
}

function sourceOf(settings: Settings, name: string): string {
  const setting = settings.list.find((one) => one.name === name);
  return setting === undefined ? 'no such setting' : describeSource(setting.source);
}

describe('settings', () => {
  it('are the defaults when nothing is said', () => {
    const settings = resolve();
    expect(settings).toMatchObject({
      dataDir: '/project/.cabinet',
      nodeId: undefined,
      logLevel: 'info',
      logFormat: 'auto',
    });
    expect(settings.engine.namespace).toBe('cabinet');
    expect(settings.nats.servers).toBeUndefined();
    expect(new Set(settings.list.map(({ source }) => source.kind))).toEqual(new Set(['default']));
  });

  it('a flag goes before the environment, that before the file, and each is named', () => {
    const config = { nats: { servers: 'nats://file' }, engine: { namespace: 'of-file' }, nodeId: 'file-node' };
    const environment = { NATS_URL: 'nats://env', CABINET_NAMESPACE: 'of-env', CABINET_NODE_ID: 'env-node' };
    const fromFile = resolve({}, {}, config);
    expect(fromFile.nats.servers).toBe('nats://file');
    expect(sourceOf(fromFile, 'nats.servers')).toBe('file /etc/app/cabinet.config.mjs');
    const fromEnvironment = resolve({}, environment, config);
    expect(fromEnvironment).toMatchObject({ nats: { servers: 'nats://env' }, nodeId: 'env-node' });
    expect(sourceOf(fromEnvironment, 'engine.namespace')).toBe('env CABINET_NAMESPACE');
    const fromFlags = resolve({ nats: 'nats://flag', namespace: 'of-flag' }, environment, config);
    expect(fromFlags).toMatchObject({ nats: { servers: 'nats://flag' }, engine: { namespace: 'of-flag' } });
    expect(sourceOf(fromFlags, 'nats.servers')).toBe('flag --nats');
    expect(sourceOf(fromFlags, 'nodeId')).toBe('env CABINET_NODE_ID');
  });

  it('name the key and the inbox of a role with narrow permissions', () => {
    const environment = { NATS_NKEY: 'keys/client.nk', NATS_INBOX_PREFIX: '_INBOX_env' };
    const config = { nats: { nkeyFile: 'node.nk', inboxPrefix: '_INBOX_file' } };
    expect(resolve({}, {}, config).nats).toMatchObject({ nkeyFile: '/etc/app/node.nk', inboxPrefix: '_INBOX_file' });
    expect(resolve({}, environment, config).nats).toMatchObject({
      nkeyFile: '/project/keys/client.nk',
      inboxPrefix: '_INBOX_env',
    });
    expect(resolve({ nkey: '/me.nk', inboxPrefix: '_INBOX_flag' }, environment, config).nats).toMatchObject({
      nkeyFile: '/me.nk',
      inboxPrefix: '_INBOX_flag',
    });
  });

  it('paths of the file are relative to the file, those of flags and variables to the working folder', () => {
    expect(resolve({}, {}, { nats: { dataDir: 'data', credentialsFile: 'me.creds' } })).toMatchObject({
      dataDir: '/etc/app/data',
      nats: { credentialsFile: '/etc/app/me.creds' },
    });
    const tls = { caFile: 'ca.pem', keyFile: '/keys/key.pem', handshakeFirst: true };
    expect(resolve({}, {}, { nats: { tls } }).nats.tls).toEqual({
      caFile: '/etc/app/ca.pem',
      keyFile: '/keys/key.pem',
      handshakeFirst: true,
    });
    expect(resolve({ dataDir: 'data' }, { NATS_CREDS: 'me.creds' })).toMatchObject({
      dataDir: '/project/data',
      nats: { credentialsFile: '/project/me.creds' },
    });
  });

  it('settings of the engine come from the file and are overridden one by one', () => {
    const { engine } = resolve(
      {},
      { CABINET_LEASE_TTL_MS: '30000' },
      { engine: { leaseTtlMs: 60_000, shardCount: 4 } },
    );
    expect(engine).toMatchObject({ leaseTtlMs: 30_000, shardCount: 4, leaseRenewMs: 5_000 });
  });

  it('node processes are named by a flag, the environment or the file; none means one node in the own process', () => {
    const config = { supervisor: { processes: 2, hungAfterMs: 9_000 } };
    expect(resolve().supervisor.processes).toBeUndefined();
    expect(resolve({}, {}, config).supervisor).toMatchObject({ processes: 2, hungAfterMs: 9_000 });
    expect(resolve({}, { CABINET_PROCESSES: '3' }, config).supervisor.processes).toBe(3);
    const flagged = resolve({ nodes: 4, hungAfter: 5_000 }, { CABINET_PROCESSES: '3' }, config);
    expect(flagged.supervisor).toMatchObject({ processes: 4, hungAfterMs: 5_000 });
    expect(sourceOf(flagged, 'supervisor.processes')).toBe('flag --nodes');
  });

  it('the console is on, off or as the command has it; its files are relative to where they are named', () => {
    const config = { admin: { enabled: true, port: 1, tlsKeyFile: 'key.pem', allowedHosts: ['file.example'] } };
    expect(resolve().admin.enabled).toBeUndefined();
    expect(resolve({}, {}, config).admin).toMatchObject({ enabled: true, port: 1, tlsKeyFile: '/etc/app/key.pem' });
    const environment = { CABINET_ADMIN: 'off', CABINET_ADMIN_TLS_KEY: 'k.pem', CABINET_ADMIN_ALLOWED_HOSTS: 'a, b' };
    const ofEnvironment = resolve({}, environment, config);
    expect(ofEnvironment.admin).toMatchObject({
      enabled: false,
      tlsKeyFile: '/project/k.pem',
      allowedHosts: ['a', 'b'],
    });
    expect(sourceOf(ofEnvironment, 'admin.enabled')).toBe('env CABINET_ADMIN');
    const flagged = resolve({ admin: true, adminPort: 0, adminAllowedHost: ['c'] }, environment, config);
    expect(flagged.admin).toMatchObject({ enabled: true, port: 0, allowedHosts: ['c'] });
    expect(sourceOf(resolve({ admin: false }), 'admin.enabled')).toBe('flag --no-admin');
  });

  it('the admin API that commands ask is named by a flag, the environment or the file; its token stands in neither flag nor file', () => {
    const config = { admin: { url: 'https://file', tokenFile: 'file.token', caFile: 'ca.pem' } };
    expect(resolve().admin.url).toBeUndefined();
    expect(resolve({}, {}, config).admin).toMatchObject({
      url: 'https://file',
      token: undefined,
      tokenFile: '/etc/app/file.token',
      caFile: '/etc/app/ca.pem',
    });
    const environment = {
      CABINET_ADMIN_URL: 'https://env',
      CABINET_ADMIN_TOKEN: 'cbt_env',
      CABINET_ADMIN_TOKEN_FILE: 'env.token',
      CABINET_ADMIN_CA: 'env.pem',
    };
    const ofEnvironment = resolve({}, environment, config);
    expect(ofEnvironment.admin).toMatchObject({
      url: 'https://env',
      token: 'cbt_env',
      tokenFile: '/project/env.token',
      caFile: '/project/env.pem',
    });
    expect(sourceOf(ofEnvironment, 'admin.token')).toBe('env CABINET_ADMIN_TOKEN');
    // What is said now goes before what the environment happens to hold.
    const flagged = resolve({ adminUrl: 'https://flag', adminTokenFile: 't', adminCa: 'c' }, environment, config);
    expect(flagged.admin).toMatchObject({
      url: 'https://flag',
      token: undefined,
      tokenFile: '/project/t',
      caFile: '/project/c',
    });
  });

  it('health is told nowhere unless a port is named; its files are relative to where they are named', () => {
    const config = { health: { port: 1, host: '0.0.0.0', metricsTokenFile: 'token' } };
    expect(resolve().health).toEqual({});
    expect(resolve({}, {}, config).health).toEqual({
      port: 1,
      host: '0.0.0.0',
      metricsTokenFile: '/etc/app/token',
    });
    const environment = { CABINET_HEALTH_PORT: '2', CABINET_HEALTH_TLS_KEY: 'k', CABINET_METRICS_TOKEN_FILE: 't' };
    const ofEnvironment = resolve({}, environment, config);
    expect(ofEnvironment.health).toMatchObject({ port: 2, tlsKeyFile: '/project/k', metricsTokenFile: '/project/t' });
    expect(sourceOf(ofEnvironment, 'health.port')).toBe('env CABINET_HEALTH_PORT');
    const flagged = resolve({ healthPort: 0, healthHost: '::', healthTlsCert: 'c' }, environment, config);
    expect(flagged.health).toMatchObject({ port: 0, host: '::', tlsCertFile: '/project/c' });
  });

  it.each<[SettingFlags, Environment, Record<string, unknown>, RegExp, string]>([
    [{ namespace: 'Not Good' }, {}, {}, /namespace must be/, 'flag --namespace'],
    [{}, { CABINET_SHARD_COUNT: '0' }, {}, /shardCount must be .*, got 0/, 'env CABINET_SHARD_COUNT'],
    [{}, {}, { replicas: 2 }, /replicas must be 1, 3 or 5/, 'file /etc/app/cabinet.config.mjs'],
    [{}, {}, { leaseTtl: 5 }, /^leaseTtl [^,]*$/, 'file /etc/app/cabinet.config.mjs'],
  ])(
    'CONFIG_INVALID: a setting that is wrong says where it comes from (%#)',
    (flags, environment, engine, says, source) => {
      expect(() => resolve(flags, environment, { engine })).toThrow(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: expect.stringMatching(says) as string,
          hint: `it comes from ${source}`,
        }) as Error,
      );
    },
  );
});

describe('a printed setting', () => {
  const source = { kind: 'default', name: null } as const;

  it.each(['nats.token', 'nats.pass', 'nats.credentials', 'nats.nkeySeed', 'admin.token'])(
    '%s is not shown',
    (name) => {
      expect(redactSetting({ name, value: 'hunter2', source }).value).toBe('[redacted]');
      expect(redactSetting({ name, value: undefined, source }).value).toBeUndefined();
    },
  );

  it.each([
    ['nats://me:hunter2@a:4222', 'nats://[redacted]@a:4222'],
    ['me:hunter2@a:4222,nats://b', '[redacted]@a:4222,nats://b'],
    ['nats://a,tls://hunter2@b', 'nats://a,tls://[redacted]@b'],
    ['nats://me:p@hunter2@a', 'nats://[redacted]@a'],
    [
      ['nats://me:hunter2@a', 'nats://b'],
      ['nats://[redacted]@a', 'nats://b'],
    ],
    ['nats://a:4222', 'nats://a:4222'],
  ])('servers %j are shown without credentials', (value, shown) => {
    expect(redactSetting({ name: 'nats.servers', value, source }).value).toEqual(shown);
  });
});
