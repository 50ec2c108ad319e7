import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findFreePorts } from '../../src/platform/free-port.ts';
import { findNatsBinary } from '../../src/platform/nats-binary.ts';
import { readNatsHealth } from '../../src/platform/nats-monitor.ts';
import { CliFolder, until } from '../support/cli.ts';

interface Written {
  readonly servers: readonly { readonly file: string }[];
  readonly roles: readonly {
    readonly role: string;
    readonly seedFile: string;
    readonly isKept: boolean;
    readonly inboxPrefix: string;
  }[];
}

describe('nats-config', () => {
  let folder: CliFolder;
  let server: ChildProcess | undefined;

  beforeAll(async () => {
    folder = await CliFolder.create();
  });

  afterAll(async () => {
    if (server !== undefined && server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    await folder?.remove();
  });

  it('writes what a server, a node and a client of least rights run with, and keeps the keys the next time', async () => {
    const [port = 0, monitor = 0] = await findFreePorts(2);
    const args = ['nats-config', '--out', 'nats', '--store-dir', join(folder.path, 'store'), '--json'];
    const ports = ['--port', String(port), '--monitor-port', String(monitor)];
    const written = (await folder.run([...args, ...ports])).json() as Written;
    const binary = await findNatsBinary();
    server = spawn(binary.path, ['-c', written.servers[0]?.file ?? ''], { stdio: 'ignore' });
    await until('the server is healthy', async () => (await readNatsHealth(`http://127.0.0.1:${monitor}`)).healthy);

    const url = `nats://127.0.0.1:${port}`;
    const environmentOf = (role: string): Record<string, string> => {
      const found = written.roles.find((one) => one.role === role);
      return { NATS_URL: url, NATS_NKEY: found?.seedFile ?? '', NATS_INBOX_PREFIX: found?.inboxPrefix ?? '' };
    };
    const node = await folder.startCommand(['start', '-o', 'json', '--node-id', 'n-1'], environmentOf('node'));
    const submit = ['task', 'submit', 'demo', '--no-config', '--input', '{"n":2}', '--wait', '--json'];
    const done = await folder.run([...submit, '--id', 't-1'], { env: environmentOf('client') });
    expect(done.stderr).toBe('t-1 accepted\n');
    expect(done.code).toBe(0);

    const observed = await folder.run([...submit, '--timeout', '3s'], { env: environmentOf('observer') });
    expect(observed).toMatchObject({ code: 6 });
    expect(observed.stderr).toContain('BUS_FORBIDDEN');
    expect(observed.stderr).toMatch(/may not publish to cabinet\.shard\.\d+/);
    // The audit log is not for a client: its command is the engine's to judge all the same, here a task that has ended.
    const ended = await folder.run(['task', 'cancel', 't-1', '-o', 'json'], { env: environmentOf('client') });
    expect(ended.stdout).toContain('"NOT_ALLOWED"');

    // Its key, and the inbox prefix of nobody: every answer would be lost.
    const { NATS_INBOX_PREFIX: _own, ...withoutInbox } = environmentOf('client');
    const startedAt = performance.now();
    const deaf = await folder.run([...submit, '--timeout', '30s'], { env: withoutInbox });
    expect(deaf).toMatchObject({ code: 6 });
    expect(deaf.stderr).toContain('BUS_FORBIDDEN');
    expect(deaf.stderr).toContain('inbox prefix');
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    const stranger = await folder.run([...submit, '--timeout', '3s'], { env: { NATS_URL: url } });
    expect(stranger).toMatchObject({ code: 6 });
    expect(stranger.stderr).toContain('BUS_FORBIDDEN');
    expect(await node.stop()).toBe(0);

    const again = (await folder.run([...args, ...ports])).json() as Written;
    expect(written.roles.every(({ isKept }) => !isKept)).toBe(true);
    expect(again.roles.every(({ isKept }) => isKept)).toBe(true);
    for (const { seedFile } of written.roles) expect((await stat(seedFile)).mode & 0o777).toBe(0o600);
  });

  it('CONFIG_INVALID, exit 2, for a server beyond loopback without a certificate, and for a key file that is none', async () => {
    const exposed = await folder.run(['nats-config', '--out', 'other', '--hosts', 'n1,n2,n3']);
    expect(exposed).toMatchObject({ code: 2 });
    expect(exposed.stderr).toContain('CONFIG_INVALID');
    await folder.write('nats/keys/client.nk', 'SU-not-a-seed');
    const broken = await folder.run(['nats-config', '--out', 'nats']);
    expect(broken).toMatchObject({ code: 2 });
    expect(broken.stderr).toContain('client.nk holds no NKey seed');
    expect(broken.stderr).not.toContain('SU-not-a-seed');
  });
});
