import { describe, expect, it } from 'vitest';

import { configDefaults } from '../../../src/core/config.ts';
import { processEnvironment, readEnvironment, variableOf } from '../../../src/platform/environment.ts';

describe('the environment', () => {
  it('gives engine settings by their names, numbers as numbers', () => {
    const { config } = readEnvironment({ CABINET_LEASE_TTL_MS: '30000', CABINET_NAMESPACE: 'shop', HOME: '/root' });
    expect(config).toEqual({ leaseTtlMs: 30_000, namespace: 'shop' });
  });

  it('has a variable for every setting', () => {
    const numbers = Object.entries(configDefaults).map(([name, value]) => [variableOf(name), String(value)]);
    expect(readEnvironment(Object.fromEntries(numbers) as Record<string, string>).config).toEqual(configDefaults);
  });

  it('gives the settings that are not the engine core’s', () => {
    expect(
      readEnvironment({
        NATS_URL: ' nats://127.0.0.1:4222 ',
        CABINET_ADMIN_PORT: '0',
        CABINET_LOG_LEVEL: 'warn',
        CABINET_DATA_DIR: '',
      }),
    ).toEqual({ config: {}, unknownVariables: [], natsUrl: 'nats://127.0.0.1:4222', adminPort: 0, logLevel: 'warn' });
  });

  it.each(['ten', '1.5', '0x10', '1e3', '99999999999999999999'])(
    'refuses the number %s with CONFIG_INVALID naming the variable',
    (text) => {
      expect(() => readEnvironment({ CABINET_LEASE_TTL_MS: text })).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID', field: 'CABINET_LEASE_TTL_MS', got: text }) as Error,
      );
    },
  );

  it('refuses a port out of range and an unknown word with CONFIG_INVALID and what is allowed', () => {
    const thrown = (field: string, limit: string): Error =>
      expect.objectContaining({ code: 'CONFIG_INVALID', field, limit }) as Error;
    expect(() => readEnvironment({ CABINET_ADMIN_PORT: '65536' })).toThrow(
      thrown('CABINET_ADMIN_PORT', 'an integer from 0 to 65535'),
    );
    expect(() => readEnvironment({ CABINET_LOG_LEVEL: 'loud' })).toThrow(
      thrown('CABINET_LOG_LEVEL', 'one of debug, info, warn, error'),
    );
  });

  it('lists variables that mean nothing here, and does not refuse them: Kubernetes sets such', () => {
    const settings = readEnvironment({ CABINET_LEASE_TTL: '1', CABINET_SERVICE_HOST: '10.0.0.1', PATH: '/bin' });
    expect(settings.unknownVariables).toEqual(['CABINET_LEASE_TTL', 'CABINET_SERVICE_HOST']);
  });

  it('takes the address of a service named cabinet-admin, as Kubernetes tells it, for no port', () => {
    const settings = readEnvironment({ CABINET_ADMIN_PORT: 'tcp://10.0.0.1:4280' });
    expect(settings.adminPort).toBeUndefined();
    expect(settings.unknownVariables).toEqual(['CABINET_ADMIN_PORT']);
  });

  it('says where health is told, and that the address of a service named cabinet-health is no port', () => {
    const variables = {
      CABINET_HEALTH_PORT: '4281',
      CABINET_HEALTH_HOST: '0.0.0.0',
      CABINET_HEALTH_TLS_KEY: 'key.pem',
      CABINET_HEALTH_TLS_CERT: 'cert.pem',
      CABINET_METRICS_TOKEN_FILE: 'token',
    };
    expect(readEnvironment(variables)).toMatchObject({
      healthPort: 4_281,
      healthHost: '0.0.0.0',
      healthTlsKeyFile: 'key.pem',
      healthTlsCertFile: 'cert.pem',
      metricsTokenFile: 'token',
      unknownVariables: [],
    });
    expect(readEnvironment({ CABINET_HEALTH_PORT: 'tcp://10.0.0.1:1' }).healthPort).toBeUndefined();
    expect(() => readEnvironment({ CABINET_HEALTH_PORT: '65536' })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', field: 'CABINET_HEALTH_PORT' }) as Error,
    );
  });

  it('says whether and where the console is served, and with which files', () => {
    const variables = {
      CABINET_ADMIN: 'off',
      CABINET_ADMIN_HOST: '0.0.0.0',
      CABINET_ADMIN_PORT: '0',
      CABINET_ADMIN_ALLOWED_HOSTS: 'a.example,b.example',
      CABINET_ADMIN_TLS_KEY: 'key.pem',
      CABINET_ADMIN_TLS_CERT: 'cert.pem',
      CABINET_ADMIN_NKEY: 'console.nk',
      CABINET_ADMIN_INBOX_PREFIX: '_INBOX_cabinet_console',
    };
    expect(readEnvironment(variables)).toMatchObject({
      admin: 'off',
      adminHost: '0.0.0.0',
      adminPort: 0,
      adminAllowedHosts: 'a.example,b.example',
      adminTlsKeyFile: 'key.pem',
      adminTlsCertFile: 'cert.pem',
      adminNkeyFile: 'console.nk',
      adminInboxPrefix: '_INBOX_cabinet_console',
      unknownVariables: [],
    });
    expect(() => readEnvironment({ CABINET_ADMIN: 'yes' })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', field: 'CABINET_ADMIN', limit: 'one of on, off' }) as Error,
    );
  });

  it('is that of this process when none is given', () => {
    expect(processEnvironment()['PATH']).toBe(process.env['PATH']);
  });
});
