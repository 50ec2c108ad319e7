import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectClient } from '../../src/client.ts';
import { findFreePorts } from '../../src/platform/free-port.ts';
import { CliFolder, until, type RunningDev } from '../support/cli.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';

let folder: CliFolder;
let port: number;

beforeAll(async () => {
  folder = await CliFolder.create();
  [port = 0] = await findFreePorts(1);
});

afterAll(() => folder.remove());

/** The status of an answer; 0 when nobody listens. */
function ask(path: string, token?: string): Promise<{ readonly status: number; readonly text: string }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    sent.on('error', () => resolve({ status: 0, text: '' }));
    sent.end();
  });
}

async function statuses(): Promise<string> {
  const answers = [await ask('/startupz'), await ask('/livez'), await ask('/readyz')];
  return answers.map(({ status }) => status).join(' ');
}

async function untilStatuses(wanted: string): Promise<void> {
  await until(`health is ${wanted}`, async () => (await statuses()) === wanted);
}

/** A task whose driver holds a drain up until its grace ends. */
async function holdTheDrain(running: RunningDev): Promise<void> {
  const client = await connectClient({ servers: String(running.ready['natsUrl']) });
  await client.submit('gated', { gate: 'never' });
  await until('it runs', async () => (await client.list({ limit: 1 })).tasks[0]?.state === 'hold.running');
  await client.close();
}

describe('cabinet start --health-port', () => {
  it('is ready until SIGTERM, then alive but not ready while it drains, then gone; exit code 0', async () => {
    const running = await folder.startCommand(['start', '-o', 'json', '--health-port', String(port), '--grace', '3s']);
    expect(await statuses()).toBe('200 200 200');
    expect((await ask('/metrics')).status).toBe(404);
    await holdTheDrain(running);
    running.signal('SIGTERM');
    await untilStatuses('200 200 503');
    expect(await running.ended()).toBe(0);
    expect(await statuses()).toBe('0 0 0');
  });

  it('tells the metrics of the engine to whoever has the token', async () => {
    const token = 'b'.repeat(64);
    await folder.write('token', `${token}\n`);
    const running = await folder.startCommand(['start', '-o', 'json'], {
      CABINET_HEALTH_PORT: String(port),
      CABINET_METRICS_TOKEN_FILE: join(folder.path, 'token'),
    });
    expect((await ask('/metrics')).status).toBe(401);
    const { status, text } = await ask('/metrics', token);
    expect(status).toBe(200);
    expect(text).toMatch(/^cabinet_shards_owned 4$/m);
    expect(text).toMatch(/^cabinet_process_resident_memory_bytes /m);
    expect(await running.stop()).toBe(0);
  });

  it('says on which port nobody could listen: CONFIG_INVALID', async () => {
    const taken = await startNats({ provider: 'binary' });
    try {
      const refused = await folder.run(['start', '--health-port', new URL(taken.url).port]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/CONFIG_INVALID.*cannot listen for health checks/);
    } finally {
      await taken.stop();
    }
  });
});

describe('the health of nodes on a given server', () => {
  let nats: NatsFixture;

  beforeAll(async () => {
    nats = await startNats({ provider: 'binary' });
  });

  afterAll(() => nats.stop());

  it('is alive and not ready while the server is away, and ready again when it is back', async () => {
    const running = await folder.startCommand(['start', '-o', 'json', '--health-port', String(port)], {
      NATS_URL: nats.url,
    });
    expect(await statuses()).toBe('200 200 200');
    await nats.kill();
    await untilStatuses('200 200 503');
    await nats.restart();
    await untilStatuses('200 200 200');
    expect(await running.stop()).toBe(0);
  });

  it('of several is told in the supervisor: ready when all are, not while one is down, not from SIGTERM on', async () => {
    const running = await folder.startCommand(
      ['start', '--nodes', '2', '-o', 'json', '--health-port', String(port), '--grace', '3s', '--node-id', 's'],
      { NATS_URL: nats.url, CABINET_ADMIN: 'off' },
    );
    await untilStatuses('200 200 200'); // The second one's shards are still on their way.
    const [node] = running.ready['nodes'] as readonly { readonly pid: number }[];
    process.kill(node?.pid ?? 0, 'SIGKILL');
    await untilStatuses('200 200 503');
    await untilStatuses('200 200 200');
    await holdTheDrain(running);
    running.signal('SIGTERM');
    await untilStatuses('200 200 503');
    expect(await running.ended()).toBe(0);
    expect(await statuses()).toBe('0 0 0');
  });
});
