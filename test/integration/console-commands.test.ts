import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CliFolder, until, type RunningDev } from '../support/cli.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks the console of a command as a program would. */
async function ask(running: RunningDev, path: string, token?: string): Promise<Answer> {
  const url = String(running.ready['consoleUrl']);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}${path}`, { headers });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? (JSON.parse(text) as unknown) : text };
}

function firstTokenOf({ stderr }: RunningDev): string | undefined {
  return /shown this once: (cbt_\S+)/.exec(stderr)?.[1];
}

describe('the console of a command', () => {
  let folder: CliFolder;
  const open: RunningDev[] = [];
  /** Of the first start on the folder. */
  let token = '';

  beforeAll(async () => {
    folder = await CliFolder.create();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((running) => running.stop()));
  });

  afterAll(async () => {
    await folder.remove();
  });

  async function start(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<RunningDev> {
    const running = await folder.startCommand([...args, '-o', 'json'], env);
    open.push(running);
    return running;
  }

  it('dev serves it on loopback, shows the first token once, and its index keeps up with the journal', async () => {
    const first = await start(['dev', '--admin-port', '0']);
    token = firstTokenOf(first) ?? '';
    expect(String(first.ready['consoleUrl'])).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await ask(first, '/readyz')).status).toBe(200);
    expect((await ask(first, '/api/tasks')).status).toBe(401);
    expect((await folder.run(['task', 'submit', 'demo', '--id', 'shown', '--input', '{"n":1}'])).code).toBe(0);
    await until('the index has the task', async () => {
      const { body } = await ask(first, '/api/tasks', token);
      return JSON.stringify(body).includes('"shown"');
    });
    expect((await ask(first, '/metrics', token)).body).toMatch(/^cabinet_task_index_rows 1$/m);
    expect(await first.stop()).toBe(0);

    const second = await start(['dev', '--admin-port', '0']);
    expect(firstTokenOf(second)).toBeUndefined();
    expect((await ask(second, '/api/tasks', token)).status).toBe(200);
  });

  it('I56: what is done at the command line stands in the audit log too, refused or not', async () => {
    const dev = await start(['dev', '--admin-port', '0']);
    await folder.run(['task', 'submit', 'gated', '--id', 'held', '--input', '{"gate":"never"}']);
    const cancel = ['task', 'cancel', 'held', '--by', 'ada', '--reason', 'asked by support', '--command-id', 'c-1'];
    expect((await folder.run(cancel)).code).toBe(0);
    expect((await folder.run(['task', 'resume', 'held', '--by', 'ada'])).code).toBe(7);
    const because = ['--by', 'bert', '--reason', 'its disk is slow'];
    expect((await folder.run(['node', 'cordon', String(dev.ready['nodeId']), ...because])).code).toBe(0);
    expect((await folder.run(['node', 'uncordon', String(dev.ready['nodeId'])])).code).toBe(0);
    expect((await folder.run(['shard', 'move', '0', String(dev.ready['nodeId']), ...because])).code).toBe(0);
    expect((await folder.run(['shard', 'unpin', '0'])).code).toBe(0);
    const { body } = await ask(dev, '/api/audit?limit=20', token);
    const entries = (body as { readonly entries: readonly Readonly<Record<string, unknown>>[] }).entries;
    const ofCommandLine = entries.filter(({ address }) => String(address).startsWith('cli@')).toReversed();
    const line = {
      principal: 'ada',
      action: 'task.cancel',
      target: 'held',
      reason: 'asked by support',
      commandId: 'c-1',
    };
    const order = { principal: 'bert', reason: 'its disk is slow' };
    expect(ofCommandLine).toMatchObject([
      { ...line, outcome: 'allowed' },
      { ...line, outcome: 'done', after: { state: 'canceled', repeated: false } },
      { action: 'task.resume', outcome: 'allowed' },
      { action: 'task.resume', outcome: 'failed', code: 'NOT_ALLOWED' },
      { ...order, action: 'node.cordon', target: dev.ready['nodeId'], outcome: 'allowed' },
      { ...order, action: 'node.cordon', outcome: 'done', after: { order: 'cordoned' } },
      { action: 'node.uncordon', reason: null, outcome: 'allowed' },
      { action: 'node.uncordon', outcome: 'done', after: { order: null } },
      { ...order, action: 'shard.move', target: '0', outcome: 'allowed' },
      { ...order, action: 'shard.move', outcome: 'done' },
      { action: 'shard.unpin', target: '0', reason: null, outcome: 'allowed' },
      { action: 'shard.unpin', outcome: 'done' },
    ]);
  });

  it('token and bulk find the console that serves their folder, and begin what it carries out', async () => {
    await start(['dev', '--admin-port', '0']);
    const admin = { CABINET_ADMIN_TOKEN: token };
    const made = await folder.run(['token', 'create', 'ops', '--role', 'operator'], { env: admin });
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^cbt_\S+\n$/) as string]);
    const ops = { CABINET_ADMIN_TOKEN: made.stdout.trim() };
    const ids = ['many-1', 'many-2', 'many-3'];
    const submits = ids.map((id) => folder.run(['task', 'submit', 'gated', '--id', id, '--input', '{"gate":"never"}']));
    await Promise.all(submits);
    const cancel = ['bulk', 'start', 'cancel', '--id-prefix', 'many-', '--reason', 'not wanted', '--yes'];
    await until('the index has them', async () => {
      const dry = await folder.run([...cancel, '--dry-run', '--json'], { env: ops });
      return (dry.json() as { readonly count: number }).count === 3;
    });
    const done = await folder.run([...cancel, '--wait', '--json'], { env: ops });
    expect([done.code, done.json()]).toMatchObject([0, { action: 'cancel', by: 'ops', end: 'completed', done: 3 }]);
    const states = await Promise.all(ids.map((id) => folder.run(['task', 'get', id, '--json'])));
    expect(states.map((one) => (one.json() as { readonly status: string }).status)).toEqual(ids.map(() => 'canceled'));
    expect((await folder.run(['token', 'list'], { env: ops })).stderr).toMatch(/^error FORBIDDEN: /);
    expect((await folder.run(['token', 'revoke', 'ops'], { env: admin })).code).toBe(0);
    expect((await folder.run(['bulk', 'list'], { env: ops })).stderr).toMatch(/^error UNAUTHENTICATED: /);
  });

  it('ADMIN_UNREACHABLE: where no console serves the folder, or --no-admin left it out, exit code 6', async () => {
    const env = { CABINET_ADMIN_TOKEN: token };
    const none = /^error ADMIN_UNREACHABLE: no console serves \S+, and no address of one is named/;
    expect(await folder.run(['bulk', 'list'], { env })).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(none) as string,
    });
    await start(['dev', '--no-admin']);
    expect(await folder.run(['bulk', 'list'], { env })).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(none) as string,
    });
  });

  it('its usual port may be taken: it takes another one, and says so', async () => {
    const dev = await start(['dev']);
    const other = await start(['admin', '--data-dir', `${folder.path}/other`, '--nats', String(dev.ready['natsUrl'])]);
    expect(other.ready['consoleUrl']).not.toBe(dev.ready['consoleUrl']);
    expect(firstTokenOf(other)).toMatch(/^cbt_/);
  });

  it('CONFIG_INVALID: a port that was asked for and is taken', async () => {
    const dev = await start(['dev', '--admin-port', '0']);
    const { port } = new URL(String(dev.ready['consoleUrl']));
    const run = await folder.run([
      'admin',
      '--data-dir',
      'third',
      '--port',
      port,
      '--nats',
      String(dev.ready['natsUrl']),
    ]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('error CONFIG_INVALID: cannot listen on 127.0.0.1');
  });

  it('CONFIG_INVALID: two consoles on one data folder', async () => {
    const dev = await start(['dev', '--admin-port', '0']);
    const run = await folder.run(['admin', '--port', '0']);
    expect(run.code).toBe(7);
    expect(run.stderr).toMatch(/^error CONFIG_INVALID: process \d+ on \S+ serves the console of this data folder/m);
    expect((await ask(dev, '/readyz')).status).toBe(200);
  });

  it.each([
    [['dev', '--admin-host', '0.0.0.0'], {}, /the console listens on 0\.0\.0\.0 only with TLS/],
    [['start', '--nodes', '2'], { CABINET_ADMIN_HOST: '::' }, /the console listens on :: only with TLS/],
    [['dev', '--admin-tls-key', 'key.pem'], {}, /the key and the certificate of the console belong together/],
    [['admin', '--tls-cert', 'cert.pem', '--nats', 'nats://127.0.0.1:9'], {}, /belong together/],
  ])('CONFIG_INVALID before anything is started: %j %j', async (args, env, says) => {
    const run = await folder.run(args, { env });
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(says);
  });

  it('--no-admin: no console, and nothing of it is written', async () => {
    const other = await CliFolder.create();
    try {
      const running = await other.startCommand(['dev', '--no-admin', '-o', 'json']);
      expect(running.ready['consoleUrl']).toBeNull();
      expect(firstTokenOf(running)).toBeUndefined();
      expect(await running.stop()).toBe(0);
      await expect(other.read('.cabinet/admin/tasks.sqlite')).rejects.toThrow('ENOENT');
    } finally {
      await other.remove();
    }
  });

  it('start --nodes serves the joined numbers of all nodes, and a killed one leaves no gap', async () => {
    const other = await CliFolder.create();
    try {
      const args = ['start', '--nodes', '2', '--node-id', 'n', '--admin-port', '0', '-o', 'json'];
      const running = await other.startCommand(args);
      const own = firstTokenOf(running) ?? '';
      const scrape = async (): Promise<string> => String((await ask(running, '/metrics', own)).body);
      await until('both nodes have told their numbers', async () => {
        const text = await scrape();
        return (
          [0, 1].every((slot) => text.includes(`cabinet_worker_up{slot="${slot}"} 1`)) &&
          /^cabinet_shards_owned /m.test(text)
        );
      });
      await other.run(['task', 'submit', 'demo', '--id', 'one', '--input', '{"n":1}', '--wait']);
      const completed = /^cabinet_tasks_total\{[^}]*completed[^}]*\} (\d+)$/m;
      await until('the end is counted', async () => completed.exec(await scrape())?.[1] === '1');
      const nodes = running.ready['nodes'] as readonly { readonly pid: number }[];
      process.kill(nodes[0]?.pid ?? 0, 'SIGKILL');
      await until('the restart is counted', async () =>
        /cabinet_worker_restarts_total\{[^}]*\} 1/.test(await scrape()),
      );
      expect(completed.exec(await scrape())?.[1]).toBe('1');
      await until('all are ready again', async () => (await ask(running, '/readyz')).status === 200);
      expect(await running.stop()).toBe(0);
    } finally {
      await other.remove();
    }
  });

  it('admin alone: a dead NATS is NATS_UNREACHABLE, exit code 6', async () => {
    const run = await folder.run(['admin', '--port', '0', '--data-dir', 'dead', '--nats', 'nats://127.0.0.1:9'], {
      env: { CABINET_LOG_FORMAT: 'json' },
    });
    expect(run.code).toBe(6);
    expect(run.stderr).toMatch(/^error NATS_UNREACHABLE: /m);
  });
});
