import { describe, expect, it } from 'vitest';

import { natsRoles, permissionsOf, type NatsRole } from '../../../src/store/nats-roles.ts';
import { formatNatsServerConfigs, type NatsServerConfigOptions } from '../../../src/store/nats-server-config.ts';

const key = `U${'A'.repeat(55)}`;

const options: NatsServerConfigOptions = {
  namespace: 'shop',
  hosts: ['n1.example', 'n2.example', 'n3.example'],
  publicKeys: Object.fromEntries(natsRoles.map((role) => [role, key])) as Record<NatsRole, string>,
  systemKey: key,
  storeDir: '/data',
  ports: { client: 4222, cluster: 6222, monitor: 8222 },
  tls: { certFile: 'cert.pem', keyFile: 'key.pem', caFile: 'ca.pem' },
};

describe('the configuration of NATS servers', () => {
  it('is one file a host, each with its own address and all routes', () => {
    const texts = formatNatsServerConfigs(options);
    expect(texts).toHaveLength(3);
    for (const [index, text] of texts.entries()) {
      expect(text).toContain(`listen: "n${index + 1}.example:4222"`);
      expect(text).toContain('routes: ["nats://n1.example:6222", "nats://n2.example:6222", "nats://n3.example:6222"]');
    }
  });

  it('syncs every write, monitors on loopback alone, and knows no anonymous user', () => {
    for (const text of formatNatsServerConfigs(options)) {
      expect(text).toContain('sync_interval: always');
      expect(text).toContain('http: "127.0.0.1:8222"');
      expect(text).not.toContain('no_auth_user');
    }
  });

  it('asks clients and routes for certificates, and asks for none without TLS', () => {
    const [text = ''] = formatNatsServerConfigs(options);
    expect(text.match(/verify: true/g)).toHaveLength(2);
    const [plain = ''] = formatNatsServerConfigs({ ...options, hosts: ['127.0.0.1'], tls: null });
    expect(plain).not.toContain('tls');
    expect(plain).not.toContain('cluster {');
  });

  it.each([
    [{ hosts: [] }, 'hosts'],
    [{ hosts: ['a', 'b'] }, 'hosts'],
    [{ hosts: ['a', 'a', 'b'] }, 'hosts'],
    [{ hosts: ['a"} evil {'] }, 'hosts'],
    [{ hosts: ['-a'] }, 'hosts'],
    [{ publicKeys: { ...options.publicKeys, client: `S${key}` } }, 'publicKeys.client'],
    [{ systemKey: '' }, 'publicKeys.system'],
  ])('CONFIG_INVALID for %j', (change, field) => {
    expect(() => formatNatsServerConfigs({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', field }),
    );
  });
});

describe('permissions', () => {
  it('reach a remote driver only from a node that was told of it', () => {
    const publish = (role: NatsRole, remoteDrivers: readonly string[] = []) =>
      permissionsOf(role, { namespace: 'shop', remoteDrivers }).publish;
    expect(publish('node', ['drivers.photos'])).toContain('drivers.photos.>');
    expect(publish('node')).not.toContain('drivers.photos.>');
    expect(publish('client', ['drivers.photos'])).not.toContain('drivers.photos.>');
  });

  it('hold no bare wildcard, and nothing of another namespace', () => {
    for (const role of natsRoles) {
      const { publish, subscribe } = permissionsOf(role, { namespace: 'shop' });
      for (const subject of [...publish, ...subscribe]) {
        expect(subject).toMatch(/^(shop\.|\$JS\.API\.|\$KV\.shop-|\$O\.shop-|\$SRV\.>|_INBOX_cabinet_)/);
        expect(subject).not.toMatch(/^\$JS\.API\.(>|STREAM\.>|STREAM\.\w+\.\*)/);
      }
    }
  });
});
