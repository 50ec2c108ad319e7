import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { anIndexedTask, aTaskView, type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';

let world: AdminWorld;

beforeAll(async () => {
  const bytes = Buffer.from(JSON.stringify({ photo: 'x' }));
  world = await startAdminWorld({ blobs: { get: async () => bytes } });
});

beforeEach(() => {
  world.client.calls.length = 0;
  world.audit.entries.length = 0;
  world.audit.failure = null;
  world.index.tasks.clear();
  world.index.queries.length = 0;
  for (const name of Object.keys(world.client.answers)) delete world.client.answers[name];
});

afterAll(() => world.stop());

describe('the task list', () => {
  it('reads filter, order and page off the URL', async () => {
    world.index.put(anIndexedTask('t-1'), anIndexedTask('t-2', { status: 'running' }), anIndexedTask('t-3'));
    const answer = await world.ask(
      '/api/tasks?statuses=deadLettered&statuses=held&pipelines=card&sortBy=taskId&descending=false&limit=1',
    );
    expect(answer.body).toMatchObject({ tasks: [{ taskId: 't-1' }], next: 't-1', position: '9.1' });
    expect(world.index.queries).toEqual([
      {
        filter: { pipelines: ['card'], statuses: ['deadLettered', 'held'] },
        sortBy: 'taskId',
        descending: false,
        limit: 1,
      },
    ]);
    const next = await world.ask('/api/tasks?statuses=deadLettered&sortBy=taskId&descending=false&cursor=t-1');
    expect(next.body).toMatchObject({ tasks: [{ taskId: 't-3' }], next: null });
  });

  it('counts, and counts by a field', async () => {
    world.index.put(anIndexedTask('t-1'), anIndexedTask('t-2', { status: 'running' }), anIndexedTask('t-3'));
    expect((await world.ask('/api/tasks/count?statuses=deadLettered')).body).toEqual({ count: 2, position: '9.1' });
    expect((await world.ask('/api/tasks/groups?by=status')).body).toMatchObject({
      groups: [
        { key: 'deadLettered', count: 2 },
        { key: 'running', count: 1 },
      ],
    });
  });

  it.each([
    ['an unknown field', 'color=red', 'color'],
    ['a field that is twice', 'limit=1&limit=2', 'limit'],
    ['a sort by an unknown field', 'sortBy=secret', 'sortBy'],
    ['an unknown status', 'statuses=lost', 'statuses[0]'],
    ['a number that is none', 'limit=1e2', 'limit'],
    ['an empty number', 'limit=', 'limit'],
    ['a limit over the most', 'limit=501', 'limit'],
    ['a wildcard', 'taskIdPrefix=*', 'taskIdPrefix'],
    ['a pattern', 'taskIdPrefix=(a%2B)%2B%24', 'taskIdPrefix'],
    ['a flag that is none', 'descending=1', 'descending'],
    ['a name of Object.prototype', 'constructor=1', 'constructor'],
  ])('INVALID_ARGUMENT: refuses %s', async (_, query, field) => {
    const answer = await world.ask(`/api/tasks?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'INVALID_ARGUMENT', field } } });
    expect(world.index.queries).toEqual([]);
  });

  it('UNAVAILABLE: says that the index is closed', async () => {
    world.index.failure = new EngineError('UNAVAILABLE', 'the index is closed');
    expect(await world.ask('/api/tasks')).toMatchObject({ status: 503, errorCode: 'UNAVAILABLE' });
    world.index.failure = null;
  });
});

describe('a submit', () => {
  it('goes to the engine in the name of the credential, whatever the body says', async () => {
    const body = { pipeline: 'card', input: { sku: 'A' }, reason: 'a customer called' };
    const answer = await world.ask('/api/tasks', {
      method: 'POST',
      token: world.tokens.operator,
      body,
      headers: { 'idempotency-key': 'order 7' },
    });
    expect(answer).toMatchObject({ status: 202, body: { kind: 'accepted', taskId: 't-1' } });
    expect(world.client.calls).toMatchObject([
      {
        name: 'submit',
        args: ['card', { sku: 'A' }, { by: 'a-operator', reason: 'a customer called', idempotencyKey: 'order 7' }],
      },
    ]);
    const forged = await world.ask('/api/tasks', { method: 'POST', body: { ...body, by: 'somebody else' } });
    expect(forged).toMatchObject({ status: 400, body: { error: { message: "unknown field 'by' of body" } } });
  });

  it.each([
    ['no body', undefined, 'INVALID_ARGUMENT', 'body'],
    ['a list', '[]', 'INVALID_ARGUMENT', 'body'],
    ['no pipeline', '{"input":{}}', 'INVALID_ARGUMENT', 'pipeline'],
    ['no input', '{"pipeline":"card"}', 'INVALID_ARGUMENT', 'input'],
    ['a bad task id', '{"pipeline":"card","input":1,"taskId":"a.b"}', 'INVALID_TASK_ID', 'taskId'],
    ['a task id that is a number', '{"pipeline":"card","input":1,"taskId":7}', 'INVALID_TASK_ID', 'taskId'],
    ['a forbidden key', '{"pipeline":"card","input":{"a":{"constructor":1}}}', 'INVALID_ARGUMENT', 'input'],
    ['a __proto__', '{"pipeline":"card","input":{"__proto__":{}}}', 'INVALID_ARGUMENT', undefined],
    ['a lone surrogate', String.raw`{"pipeline":"card","input":"\ud800"}`, 'UNSERIALIZABLE', 'input'],
    ['a number beyond range', '{"pipeline":"card","input":1e999}', 'UNSERIALIZABLE', undefined],
    ['a duplicate key', '{"pipeline":"card","pipeline":"x","input":1}', 'INVALID_MESSAGE', undefined],
    ['trailing garbage', '{"pipeline":"card","input":1}x', 'INVALID_MESSAGE', undefined],
    ['a truncated text', '{"pipeline":', 'INVALID_MESSAGE', undefined],
    [
      'a deep value',
      `{"pipeline":"card","input":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
      'INVALID_ARGUMENT',
      undefined,
    ],
    ['a version that is no number', '{"pipeline":"card","input":1,"version":"1"}', 'INVALID_ARGUMENT', 'version'],
  ])('is refused with %s: %#', async (_, raw, code, field) => {
    const answer = await world.ask('/api/tasks', { method: 'POST', ...(raw === undefined ? {} : { raw }) });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { code, ...(field === undefined ? {} : { field }) } });
    expect(world.client.calls).toEqual([]);
  });

  it.each([
    ['INPUT_INVALID', 422],
    ['TASK_CONFLICT', 409],
    ['PIPELINE_UNKNOWN', 404],
    ['PAYLOAD_TOO_LARGE', 413],
    ['OVERLOADED', 503],
    ['DEADLINE_EXCEEDED', 504],
    ['STORAGE_FULL', 507],
  ] as const)('gives the engine’s %s on as HTTP %i', async (code, status) => {
    world.client.answers['submit'] = () => {
      throw new EngineError(code, 'as the engine says', { hint: 'do this' });
    };
    const answer = await world.ask('/api/tasks', { method: 'POST', body: { pipeline: 'card', input: {} } });
    expect(answer).toMatchObject({ status, body: { error: { code, message: 'as the engine says', hint: 'do this' } } });
  });
});

describe('a command to a task', () => {
  it.each(['pause', 'resume', 'cancel', 'redrive'])(
    '%s carries id, reason and who, and answers with the id',
    async (name) => {
      const body = { commandId: 'c-1', reason: 'as agreed' };
      const answer = await world.ask(`/api/tasks/t-1/${name}`, { method: 'POST', token: world.tokens.operator, body });
      expect(answer).toMatchObject({ status: 200, body: { taskId: 't-1', repeated: false, commandId: 'c-1' } });
      expect(world.client.calls).toEqual([
        { name, args: ['t-1', { commandId: 'c-1', reason: 'as agreed', by: 'a-operator' }] },
      ]);
    },
  );

  it('may name the state that it is for, as a count of records: INVALID_ARGUMENT for anything else', async () => {
    const post = { method: 'POST', token: world.tokens.operator } as const;
    await world.ask('/api/dead-letters/t-1/redrive', { ...post, body: { commandId: 'c-1', expectedSeq: 9 } });
    expect(world.client.calls).toEqual([
      { name: 'redrive', args: ['t-1', { commandId: 'c-1', expectedSeq: 9, by: 'a-operator' }] },
    ]);
    for (const expectedSeq of [0, -1, 1.5, '9', null, 2 ** 53]) {
      const answer = await world.ask('/api/tasks/t-1/redrive', { ...post, body: { expectedSeq } });
      expect(answer).toMatchObject({
        status: 400,
        body: { error: { code: 'INVALID_ARGUMENT', field: 'expectedSeq' } },
      });
    }
    expect(world.client.calls).toHaveLength(1);
  });

  it('takes its id from Idempotency-Key, makes one when there is none, and refuses two that differ: INVALID_ARGUMENT', async () => {
    const post = { method: 'POST', body: {} } as const;
    const keyed = await world.ask('/api/tasks/t-1/cancel', { ...post, headers: { 'idempotency-key': 'k-1' } });
    expect(keyed.body).toMatchObject({ commandId: 'k-1' });
    const fresh = (await world.ask('/api/tasks/t-1/cancel', post)).body as { commandId: string };
    const other = (await world.ask('/api/tasks/t-1/cancel', post)).body as { commandId: string };
    expect(fresh.commandId).not.toBe(other.commandId);
    const two = await world.ask('/api/tasks/t-1/cancel', {
      method: 'POST',
      body: { commandId: 'c-1' },
      headers: { 'idempotency-key': 'k-1' },
    });
    expect(two).toMatchObject({ status: 400, body: { error: { field: 'commandId' } } });
  });

  it('resolve says what became of an unknown outcome, in one of three ways', async () => {
    const post = (resolution: unknown): ReturnType<AdminWorld['ask']> =>
      world.ask('/api/tasks/t-1/resolve', { method: 'POST', body: { commandId: 'c-1', resolution } });
    for (const resolution of [
      { kind: 'notDone' },
      { kind: 'completed', output: [1] },
      { kind: 'failed', message: 'no' },
    ]) {
      expect((await post(resolution)).status).toBe(200);
      expect(world.client.named('resolve').at(-1)?.args[1]).toEqual(resolution);
    }
    for (const resolution of [
      {},
      { kind: 'maybe' },
      { kind: 'notDone', output: 1 },
      { kind: 'completed' },
      'notDone',
      null,
    ]) {
      expect((await post(resolution)).errorCode).toBe('INVALID_ARGUMENT');
    }
    expect(world.client.named('resolve')).toHaveLength(3);
  });

  it('I56: is written down before it takes effect, and what came of it after', async () => {
    world.client.answers['cancel'] = () => {
      expect(world.audit.entries).toHaveLength(1);
      throw new EngineError('NOT_ALLOWED', 'it has completed');
    };
    const body = { commandId: 'c-1', reason: 'why not' };
    const answer = await world.ask('/api/tasks/t-1/cancel', { method: 'POST', token: world.tokens.operator, body });
    expect(answer).toMatchObject({ status: 409, errorCode: 'NOT_ALLOWED' });
    const line = {
      principal: 'a-operator',
      role: 'operator',
      address: '127.0.0.1',
      action: 'task.cancel',
      target: 't-1',
      reason: 'why not',
      commandId: 'c-1',
      requestId: answer.headers['x-request-id'],
    };
    expect(world.audit.entries).toMatchObject([
      { ...line, outcome: 'allowed', code: null },
      { ...line, outcome: 'failed', code: 'NOT_ALLOWED' },
    ]);
  });

  it('I56: UNAVAILABLE: takes no effect when it cannot be written down', async () => {
    world.audit.failure = new EngineError('UNAVAILABLE', 'the audit log cannot be written');
    const answer = await world.ask('/api/tasks/t-1/cancel', { method: 'POST', body: {} });
    expect(answer).toMatchObject({ status: 503, errorCode: 'UNAVAILABLE' });
    expect(world.client.calls).toEqual([]);
  });

  it('I56: FORBIDDEN: a refusal is written down with who was refused', async () => {
    await world.ask('/api/tasks/t-1/cancel', { method: 'POST', token: world.tokens.viewer, body: {} });
    expect(world.audit.entries).toMatchObject([
      {
        outcome: 'refused',
        code: 'FORBIDDEN',
        principal: 'a-viewer',
        action: 'POST /api/tasks/:taskId/cancel',
        target: '/api/tasks/t-1/cancel',
      },
    ]);
  });
});

describe('one task', () => {
  it('is shown without its payloads', async () => {
    world.client.answers['get'] = () => aTaskView('t-1', { input: { secret: 1 }, outputs: { print: 1 } });
    const { body } = await world.ask('/api/tasks/t-1');
    expect(body).toMatchObject({ taskId: 't-1', legalCommands: ['pause', 'cancel'] });
    expect(Object.keys(body as object)).not.toContain('input');
    expect(Object.keys(body as object)).not.toContain('outputs');
  });

  it.each(['a.b', '-rf', '$SYS', '_INBOX', 'x'.repeat(129)])(
    'INVALID_TASK_ID or a refused path: %s is no task id',
    async (taskId) => {
      const answer = await world.ask(`/api/tasks/${taskId}`);
      expect(answer.status).toBe(400);
      expect(['INVALID_TASK_ID', 'INVALID_ARGUMENT']).toContain(answer.errorCode);
      expect(world.client.calls).toEqual([]);
    },
  );

  it('TASK_NOT_FOUND: says so', async () => {
    world.client.answers['get'] = () => {
      throw new EngineError('TASK_NOT_FOUND', 'no task t-9');
    };
    expect(await world.ask('/api/tasks/t-9')).toMatchObject({ status: 404, errorCode: 'TASK_NOT_FOUND' });
  });

  it('shows a payload when it is within the bound asked for, and only its size when it is not', async () => {
    const blob = { key: 't-1/print/abc', sizeBytes: 13, sha256: 'abc' };
    world.client.answers['get'] = () => aTaskView('t-1', { input: { sku: 'A' }, outputs: { print: { $blob: blob } } });
    const payloads = '/api/tasks/t-1/payloads';
    expect((await world.ask(payloads)).body).toEqual({
      name: 'input',
      sizeBytes: 11,
      isShown: true,
      value: { sku: 'A' },
    });
    expect((await world.ask(`${payloads}?maxBytes=10`)).body).toEqual({ name: 'input', sizeBytes: 11, isShown: false });
    expect((await world.ask(`${payloads}?stage=print`)).body).toMatchObject({ isShown: true, value: { photo: 'x' } });
    expect((await world.ask(`${payloads}?stage=print&maxBytes=12`)).body).toEqual({
      name: 'print',
      sizeBytes: 13,
      isShown: false,
    });
    expect((await world.ask(`${payloads}?stage=parse`)).errorCode).toBe('NOT_FOUND');
    expect((await world.ask(`${payloads}?maxBytes=2000000`)).errorCode).toBe('INVALID_ARGUMENT');
  });

  it('I57 FORBIDDEN: shows values of payloads to operators; a viewer is told their size and hash', async () => {
    const record = {
      seq: 1,
      event: { type: 'task.submitted', input: { json: { card: '4111' } }, origin: { commandId: 'c-1' } },
    };
    world.client.answers['history'] = () => ({
      taskId: 't-1',
      shard: 0,
      records: [{ sequence: 1, record }],
      isComplete: true,
      missingCount: 0,
      through: 1,
    });
    const { viewer, operator } = world.tokens;
    expect(JSON.stringify((await world.ask('/api/tasks/t-1/history', { token: operator })).body)).toContain('4111');
    const shown = await world.ask('/api/tasks/t-1/history', { token: viewer });
    expect(JSON.stringify(shown.body)).not.toContain('4111');
    expect(shown.body).toMatchObject({
      records: [
        {
          sequence: 1,
          record: {
            seq: 1,
            event: {
              input: { kind: 'inline', sizeBytes: 15, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
            },
          },
        },
      ],
    });
    expect((await world.ask('/api/tasks/t-1/payloads', { token: viewer })).errorCode).toBe('FORBIDDEN');
  });

  it('gives its history in pages', async () => {
    const records = Array.from({ length: 5 }, (_, index) => ({ sequence: index, record: { seq: index + 2 } }));
    world.client.answers['history'] = () => ({
      taskId: 't-1',
      shard: 0,
      records,
      isComplete: false,
      missingCount: 1,
      through: 9,
    });
    const first = await world.ask('/api/tasks/t-1/history?limit=2');
    expect(first.body).toMatchObject({
      recordCount: 5,
      missingCount: 1,
      next: 3,
      records: [{ sequence: 0 }, { sequence: 1 }],
    });
    const last = await world.ask('/api/tasks/t-1/history?after=5');
    expect(last.body).toMatchObject({ next: null, records: [{ record: { seq: 6 } }] });
    world.client.answers['history'] = () => ({
      taskId: 't-1',
      shard: 0,
      records: [],
      isComplete: false,
      missingCount: 0,
      through: 9,
    });
    expect((await world.ask('/api/tasks/t-1/history')).errorCode).toBe('TASK_NOT_FOUND');
  });

  it('explains itself by its owner, and by the index when it has none', async () => {
    world.client.answers['get'] = () => aTaskView('t-1', { status: 'running', state: 'print.running' });
    expect((await world.ask('/api/tasks/t-1/why')).body).toMatchObject({
      holds: [{ kind: 'driver', timeoutMs: 1_000 }],
      movers: ['driver', 'operator'],
      legalEvents: expect.arrayContaining(['stage.completed', 'stage.failed', 'task.canceled']),
    });
    world.client.answers['get'] = () => {
      throw new EngineError('NO_OWNER', 'nobody serves shard 0');
    };
    world.index.put(anIndexedTask('t-1', { status: 'queued', state: 'print.queued' }));
    expect((await world.ask('/api/tasks/t-1/why')).body).toMatchObject({
      sentence: expect.stringContaining('Nobody serves shard 0'),
      movers: ['cluster', 'itself'],
      legalCommands: [],
    });
    expect((await world.ask('/api/tasks/t-2/why')).errorCode).toBe('NO_OWNER');
  });
});

describe('dead letters', () => {
  it('are listed and grouped by cause, with what their messages share', async () => {
    world.index.put(
      anIndexedTask('t-1', { failure: { class: 'fatal', message: 'card 17: no paper', code: 'PAPER' }, updatedAt: 5 }),
      anIndexedTask('t-2', { failure: { class: 'fatal', message: 'card 18: no paper', code: 'PAPER' }, updatedAt: 9 }),
      anIndexedTask('t-3', { failureFingerprint: 'ffff' }),
      anIndexedTask('t-4', { status: 'completed' }),
    );
    const list = await world.ask('/api/dead-letters');
    const ids = (list.body as { tasks: { taskId: string }[] }).tasks.map(({ taskId }) => taskId);
    expect(ids).toEqual(['t-3', 't-2', 't-1']);
    const groups = await world.ask('/api/dead-letters/groups');
    expect(groups.body).toMatchObject({
      groups: [
        { fingerprint: 'abcdef0123456789', count: 2, message: 'card <id>: no paper', sample: { taskId: 't-2' } },
        { fingerprint: 'ffff', count: 1 },
      ],
    });
    expect((await world.ask('/api/dead-letters?statuses=running')).errorCode).toBe('INVALID_ARGUMENT');
  });

  it('are redriven one by one', async () => {
    expect((await world.ask('/api/dead-letters/t-1/redrive', { method: 'POST', body: {} })).status).toBe(200);
    expect(world.client.named('redrive')).toHaveLength(1);
  });
});

describe('pipelines', () => {
  it('are listed as the engine has them, and shown with what this process knows', async () => {
    expect((await world.ask('/api/pipelines')).body).toEqual({
      pipelines: [{ name: 'card', version: 1, fingerprint: 'f', stages: ['print'] }],
    });
    expect((await world.ask('/api/pipelines/card')).body).toMatchObject({
      versions: [1],
      definition: [{ name: 'print', timeoutMs: 1_000, port: 'printer', skip: null, hasClassify: false }],
    });
    expect((await world.ask('/api/pipelines/nothing')).errorCode).toBe('PIPELINE_UNKNOWN');
    expect((await world.ask('/api/pipelines/card?version=2')).errorCode).toBe('PIPELINE_VERSION_UNKNOWN');
  });

  it('give their machine for XState and for Mermaid, and their input as JSON Schema', async () => {
    expect((await world.ask('/api/pipelines/card/machine')).body).toMatchObject({
      format: 'xstate',
      machine: { initial: expect.any(String) },
    });
    const drawn = (await world.ask('/api/pipelines/card/machine?format=mermaid')).body as { machine: string };
    expect(drawn.machine).toMatch(/^stateDiagram-v2/);
    expect((await world.ask('/api/pipelines/card/form')).body).toMatchObject({
      inputSchema: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] },
    });
  });

  it('count their tasks by status and stage', async () => {
    world.index.put(
      anIndexedTask('t-1'),
      anIndexedTask('t-2', { status: 'running' }),
      anIndexedTask('t-3', { status: 'completed', stage: null }),
      anIndexedTask('t-4', { pipeline: 'other' as never }),
    );
    expect((await world.ask('/api/pipelines/card/counts')).body).toMatchObject({
      statuses: expect.arrayContaining([{ key: 'completed', count: 1 }]),
      stages: [{ stage: 'print', active: 1, deadLettered: 1 }],
    });
  });
});

describe('the cluster', () => {
  it('is ordered by admins, with the order in the audit log', async () => {
    const body = { reason: 'new disk' };
    expect(
      (await world.ask('/api/cluster/nodes/n-1/drain', { method: 'POST', token: world.tokens.operator, body })).status,
    ).toBe(403);
    expect((await world.ask('/api/cluster/nodes/n-1/drain', { method: 'POST', body })).status).toBe(200);
    expect(world.client.calls).toMatchObject([{ name: 'cluster.drain', args: ['n-1'] }]);
    expect(world.audit.entries).toMatchObject([
      { outcome: 'refused', code: 'FORBIDDEN' },
      { outcome: 'allowed', action: 'node.drain', target: 'n-1', reason: 'new disk' },
      { outcome: 'done', after: { nodeId: 'n-1', order: 'cordoned' } },
    ]);
    expect((await world.ask('/api/cluster/shards/0/move', { method: 'POST', body: { nodeId: 'n-1' } })).status).toBe(
      200,
    );
    expect((await world.ask('/api/cluster/shards/x/move', { method: 'POST', body: { nodeId: 'n-1' } })).errorCode).toBe(
      'INVALID_ARGUMENT',
    );
    expect((await world.ask('/api/cluster/rebalance')).body).toMatchObject({ shards: [], isBalanced: true });
  });
});

describe('the audit log', () => {
  it('INVALID_ARGUMENT: is asked for at most 31 days, literally', async () => {
    const day = 24 * 3_600_000;
    expect((await world.ask(`/api/audit?from=0&before=${32 * day}`)).errorCode).toBe('INVALID_ARGUMENT');
    expect((await world.ask('/api/audit?target=t-1')).status).toBe(200);
    expect((await world.ask('/api/audit', { token: world.tokens.operator })).errorCode).toBe('FORBIDDEN');
  });
});

describe('metrics and health', () => {
  it('are given as text, and by check, to whoever has a credential', async () => {
    const metrics = await world.ask('/metrics', { token: world.tokens.viewer });
    expect(metrics).toMatchObject({ status: 200, text: expect.stringContaining('up 1') });
    expect(metrics.headers['content-type']).toContain('text/plain; version=0.0.4');
    expect((await world.ask('/api/health')).body).toEqual({
      ok: true,
      checks: [
        { name: 'loop', isGood: true },
        { name: 'nats', isGood: true },
      ],
    });
  });

  it('say 503 without a reason on the open paths when something is wrong', async () => {
    const bad = await startAdminWorld({
      health: {
        live: () => [],
        ready: () => [{ name: 'nats', isGood: false, detail: 'secret-canary' }],
        started: () => true,
      },
    });
    expect(await bad.ask('/readyz', { token: null })).toMatchObject({ status: 503, body: { ok: false } });
    expect((await bad.ask('/readyz', { token: null })).text).not.toContain('canary');
    expect((await bad.ask('/livez', { token: null })).status).toBe(200);
    expect((await bad.ask('/api/health')).body).toMatchObject({ ok: false, checks: [{ detail: 'secret-canary' }] });
    await bad.stop();
  });
});
