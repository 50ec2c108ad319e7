import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { connectClient } from '../../src/client.ts';
import { FatalError } from '../../src/core/driver-errors.ts';
import { deadLetterBucket } from '../../src/core/subjects.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import { type AdminAnswer, type AdminAsk, askServer } from '../support/admin-kit.ts';
import { CliFolder, type RunningDev } from '../support/cli.ts';
import { eventually } from '../support/nats-world.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';
import { RecordedSpans } from '../support/recorded-spans.ts';

const namespace = 'canaries';
/** What must stand nowhere but where it was put. */
const secrets = {
  natsPassword: 'canary-1-nats-password',
  wrongPassword: 'canary-2-wrong-password',
  natsToken: 'canary-3-nats-token',
  authorization: 'canary-4-authorization',
  cookie: 'canary-5-cookie',
} as const;
/** What the records, the task's payloads and its owner may show, and nobody else. */
const payloads = { input: 'canary-6-input', output: 'canary-7-output', checkpoint: 'canary-8-checkpoint' } as const;

const card = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ secret: z.string(), padding: z.string(), fails: z.boolean() }),
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: z.object({ secret: z.string() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 10_000,
        driver: async (ctx) => {
          await ctx.checkpoint('fetched', () => ({ secret: payloads.checkpoint }));
          ctx.log.info({ password: secrets.natsPassword, request: { headers: { cookie: secrets.cookie } } }, 'asked');
          return { secret: payloads.output };
        },
      })
      .stage('print', {
        output: z.object({ page: z.number() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 10_000,
        driver: ({ input }) => {
          if (!input.fails) return { page: 1 };
          const request = { headers: { Authorization: secrets.authorization, 'set-cookie': secrets.cookie } };
          throw Object.assign(new FatalError('the printer refuses', { code: 'PRINTER' }), { request });
        },
      }),
});

describe('I57: planted secrets', () => {
  let nats: NatsFixture;
  let url = '';
  let node: RunningNode;
  let admin: RunningDev;
  let folder: string;
  let cli: CliFolder;
  let port = 0;
  let token = '';
  const spans = new RecordedSpans();
  const metrics = new PrometheusMetrics({ processMetrics: true });
  let log = '';
  const logger = new PinoLogger({
    level: 'debug',
    format: 'json',
    destination: { write: (line) => void (log += line) },
  });

  const urlWith = (password: string): string => url.replace('//', `//app:${password}@`);
  const ask = (path: string, request: AdminAsk = {}): Promise<AdminAnswer> =>
    askServer(port, path, { token, ...request });

  beforeAll(async () => {
    const extraConfig = `authorization { users: [ { user: app, password: "${secrets.natsPassword}" } ] }`;
    nats = await startNats({ provider: 'binary', extraConfig });
    url = nats.url;
    folder = await mkdtemp(join(tmpdir(), 'cabinet-canaries-'));
    cli = await CliFolder.create();
    const servers = urlWith(secrets.natsPassword);
    node = await startNode({
      pipelines: [card],
      nodeId: 'n-1',
      config: { namespace, shardCount: 2, inlinePayloadBytes: 1_024 },
      nats: { servers },
      logger,
      metrics,
    });
    const where = ['--no-config', '--namespace', namespace, '--data-dir', folder, '--port', '0'];
    const env = { NATS_URL: servers };
    admin = await cli.startCommand(
      ['admin', '-o', 'json', '--log-level', 'debug', '--log-format', 'json', ...where],
      env,
    );
    port = Number(new URL(String(admin.ready['consoleUrl'])).port);
    token = /cbt_[\w-]+/.exec(admin.stderr)?.[0] ?? '';
  });

  afterAll(async () => {
    await admin?.stop();
    await node?.stop({ graceMs: 0 });
    await nats?.stop();
    await cli?.remove();
    spans.release();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Every address of the API that only reads, for the task that was given up. */
  async function readingPaths(): Promise<readonly string[]> {
    const { paths } = (await ask('/api/openapi.json')).body as { readonly paths: Record<string, object> };
    const found = Object.entries(paths).filter(([, methods]) => 'get' in methods);
    return found.map(([path]) =>
      path
        .replace('{taskId}', 'failed-1')
        .replace('{pipeline}', 'card')
        .replace('{shard}', '0')
        .replace('{nodeId}', 'n-1')
        .replace('{bulkId}', 'none')
        .replace('/move-plan', '/move-plan?nodeId=n-1')
        .replace('tasks/groups', 'tasks/groups?by=failureFingerprint'),
    );
  }

  function expectNone(what: string, text: string, canaries: Readonly<Record<string, string>>): void {
    const found = Object.entries(canaries).filter(([, canary]) => text.includes(canary));
    expect([what, found.map(([name]) => name)]).toEqual([what, []]);
  }

  it('stand in no log, metric, event, dead letter, trace, line of the audit log or answer of the API', async () => {
    const origin = `http://127.0.0.1:${port}`;
    const login = await ask('/api/session', { method: 'POST', token: null, body: { token }, headers: { origin } });
    const key = /=([A-Za-z0-9_-]{43});/.exec(String(login.headers['set-cookie']))?.[1] ?? '';
    expect(key).toHaveLength(43);
    const made = await ask('/api/tokens', { method: 'POST', body: { name: 'guest', role: 'viewer' } });
    const guest = (made.body as { readonly token: string }).token;
    const ticket = ((await ask('/api/session/ticket', { method: 'POST' })).body as { readonly ticket: string }).ticket;
    const credentials = { token, guest, key, ticket };
    for (const canary of Object.values(credentials)) expect(canary.length).toBeGreaterThan(30);

    for (const [taskId, fails, size] of [
      ['done-1', false, 10],
      ['large-1', false, 4_000],
      ['failed-1', true, 10],
      ['failed-2', true, 4_000],
    ] as const) {
      const input = { secret: payloads.input, padding: 'x'.repeat(size), fails };
      const submitted = await ask('/api/tasks', { method: 'POST', body: { pipeline: 'card', taskId, input } });
      expect(submitted.status).toBe(202);
    }
    await ask('/api/tasks/t-1/cancel', { method: 'POST', token: 'cbt_nonsense', body: {} });
    await ask('/api/session', { method: 'POST', token: null, body: { token: `${token}x` } });
    await ask('/api/tasks', {
      method: 'POST',
      body: { pipeline: 'card', input: { secret: payloads.input, fails: 7 } },
    });
    await eventually('the index knows all ends', async () => {
      const { body } = await ask('/api/tasks/groups?by=status');
      const { groups } = body as { readonly groups: readonly { readonly key: string; readonly count: number }[] };
      return groups.every(({ key: status }) => ['completed', 'deadLettered'].includes(status)) && groups.length === 2;
    });

    const all = { ...secrets, ...credentials };
    const paths = await readingPaths();
    expect(paths.length).toBeGreaterThan(20);
    const good: string[] = [];
    for (const path of paths) {
      const { text, status } = await ask(path);
      if (status === 200) good.push(path);
      expectNone(path, text, all);
      // The records of a task and its payloads are what they are asked for.
      if (!/\/(history|payloads)/.test(path)) expectNone(path, text, payloads);
    }
    // It was started without the pipelines.
    const unknown = ['/api/pipelines/card/machine', '/api/pipelines/card/form', '/api/bulk/none'];
    expect(paths.filter((path) => !good.includes(path))).toEqual(unknown);
    expect((await ask('/api/tasks/done-1/payloads')).text).toContain(payloads.input);
    expectNone('metrics', `${(await ask('/metrics')).text}${await metrics.text()}`, { ...all, ...payloads });
    const audit = (await ask('/api/audit?limit=500')).text;
    expect(audit).toContain('task.submit');
    expectNone('audit', audit, { ...all, ...payloads });

    const published = await readStream(`${namespace}-events`);
    expect(published).toContain('io.cabinet.task.completed');
    expectNone('events', published, { ...all, ...payloads });
    expectNone('audit stream', await readStream(`${namespace}-audit`), { ...all, ...payloads });
    expectNone('dead letters', await readStream(`KV_${deadLetterBucket(namespace)}`), { ...all, ...payloads });
    const traced = spans.all.map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
    expect(traced.length).toBeGreaterThan(5);
    expectNone('traces', JSON.stringify(traced), { ...all, ...payloads });
    expect(log).toContain('"msg":"asked"');
    expect(log).toContain('[redacted]');
    expectNone('log', log, { ...all, ...payloads });
    // The first token is shown once, beside the log.
    const lines = admin.stderr.split('\n');
    const shown = lines.filter((line) => line.includes(token));
    expect(shown).toEqual([expect.stringMatching(/^first token of the console/)]);
    const consoleLog = lines.filter((line) => !shown.includes(line)).join('\n');
    expect(consoleLog).toContain('an admin request was refused');
    expectNone('log of the console', consoleLog, { ...all, ...payloads });
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(1);
    for (const { parentPath, name } of files) {
      expectNone(name, await readFile(join(parentPath, name), 'latin1'), { ...all, ...payloads });
    }
  });

  it('stand in no error of a connection that is refused, and in none of an address that is none', async () => {
    const wrong = await connectClient({
      servers: urlWith(secrets.wrongPassword),
      logger,
      connectTimeoutMs: 2_000,
    }).catch((error: unknown) => error);
    expect(wrong).toMatchObject({ code: 'BUS_FORBIDDEN' });
    const broken = `nats://app:${secrets.wrongPassword}@ho st:4222`;
    const bad = await connectClient({ servers: broken, logger }).catch((error: unknown) => error);
    expect(bad).toMatchObject({ code: 'CONFIG_INVALID' });
    for (const error of [wrong, bad] as (Error & { toReport(): object })[]) {
      const { stack, cause } = error;
      const said = [JSON.stringify(error.toReport()), String(error), stack, String(cause), JSON.stringify(error)];
      expectNone('error', said.join('\n'), secrets);
    }
    expectNone('log', log, secrets);
  });

  it('stand in no output of config print, doctor and commands, whether they come by flag, environment or file', async () => {
    const settings = JSON.stringify({ servers: urlWith(secrets.natsPassword), token: secrets.natsToken });
    const file = `import base from './cabinet.config.mjs';\nexport default { ...base, nats: ${settings} };\n`;
    await cli.write('secret.config.mjs', file);
    const byEnvironment = { NATS_URL: urlWith(secrets.natsPassword), CABINET_NAMESPACE: namespace };
    const byFlag = ['--nats', urlWith(secrets.natsPassword), '--no-config'];
    const byFile = ['--config', 'secret.config.mjs'];
    const wrong = ['--nats', urlWith(secrets.wrongPassword), '--no-config', '--timeout', '2s'];
    const commands: readonly (readonly [readonly string[], Readonly<Record<string, string>>])[] = [
      [['config', 'print', '--sources', '--no-config'], byEnvironment],
      [['config', 'print', '--sources', '--json', ...byFlag], {}],
      [['config', 'print', '--sources', '--json', ...byFile], {}],
      [['config', 'print', '--sources', ...byFile], {}],
      [['doctor', '--json', '--no-config'], byEnvironment],
      [['doctor', ...byFlag], {}],
      [['doctor', ...wrong], {}],
      [['doctor', '--json', ...byFile], {}],
      [['status', '--no-config'], byEnvironment],
      [['task', 'get', 'done-1', '--json', ...byFlag, '--namespace', namespace], {}],
      [['task', 'get', 'done-1', ...wrong], {}],
    ];
    let shown = 0;
    for (const [args, env] of commands) {
      const { stdout, stderr, code } = await cli.run(args, { env });
      expect([args.join(' '), code === null]).toEqual([args.join(' '), false]);
      expect([args[0], `${stdout}${stderr}`.length > 20]).toEqual([args[0], true]);
      if (args[0] === 'config' && args.includes('--json') && stdout.includes('[redacted]')) shown += 1;
      expectNone(args.slice(0, 2).join(' '), `${stdout}${stderr}`, { ...secrets, ...payloads });
    }
    expect(shown).toBe(2);
  });

  /** All messages of a stream, subjects, headers and bodies, as one text. */
  async function readStream(stream: string): Promise<string> {
    const connection = await connect({ servers: nats.url, user: 'app', pass: secrets.natsPassword });
    const texts: string[] = [];
    const decoder = new TextDecoder();
    for (let sequence = 1; ;) {
      const answer = await connection.request(
        `$JS.API.STREAM.MSG.GET.${stream}`,
        JSON.stringify({ seq: sequence, next_by_subj: '>' }),
        { timeout: 5_000 },
      );
      const { message, error } = answer.json<{
        readonly message?: {
          readonly subject: string;
          readonly seq: number;
          readonly data?: string;
          readonly hdrs?: string;
        };
        readonly error?: { readonly code: number };
      }>();
      if (message === undefined) {
        expect(error?.code).toBe(404);
        break;
      }
      const parts = [message.hdrs ?? '', message.data ?? ''].map((text) => decoder.decode(Buffer.from(text, 'base64')));
      texts.push(message.subject, ...parts);
      sequence = message.seq + 1;
    }
    await connection.close();
    return texts.join('\n');
  }
});
