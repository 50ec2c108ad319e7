import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { aTaskView } from '../../support/admin-kit.ts';
import { McpWorld } from '../../support/mcp-kit.ts';

const cancel = { taskId: 't-1', reason: 'asked by support' };

describe('a command to a task', () => {
  it('that is destructive only says what it would do until it is told otherwise', async () => {
    const world = new McpWorld();
    const dry = await world.call('cancel_task', cancel);
    expect(dry.data).toMatchObject({
      dryRun: true,
      command: 'cancel',
      state: 'print.running',
      legalCommands: ['pause', 'cancel'],
      cli: expect.stringMatching(/^cabinet task cancel t-1 --command-id \S+$/) as string,
    });
    expect(world.client.calls.map(({ name }) => name)).toEqual(['get']);

    const { commandId } = dry.data;
    expect((await world.call('cancel_task', { ...cancel, commandId, dryRun: false })).data).toMatchObject({
      dryRun: false,
      commandId,
      repeated: false,
      legalCommands: null,
    });
    expect(world.client.named('cancel')).toMatchObject([
      { args: ['t-1', { commandId, reason: 'asked by support', by: 'mcp:test', deadlineMs: 1_000 }] },
    ]);
  });

  it('that can be taken back is done at once, under a command id of its own', async () => {
    const world = new McpWorld();
    const { data } = await world.call('pause_task', cancel);
    expect(data).toMatchObject({ dryRun: false, command: 'pause' });
    expect(world.client.named('pause')).toMatchObject([{ args: ['t-1', { commandId: data['commandId'] }] }]);
    expect(world.client.named('get')).toEqual([]);
  });

  it('I56: is written down before it takes effect, and a dry run is not', async () => {
    const world = new McpWorld();
    await world.call('cancel_task', cancel);
    expect((await world.auditLog.list({ limit: 10 })).entries).toEqual([]);
    world.client.answers['cancel'] = async () => {
      expect((await world.auditLog.list({ limit: 10 })).entries).toMatchObject([{ outcome: 'allowed' }]);
      throw new EngineError('UNAVAILABLE', 'the shard moves');
    };
    await world.call('cancel_task', { ...cancel, dryRun: false });
    const line = { principal: 'mcp:test', address: 'mcp', action: 'task.cancel', target: 't-1', reason: cancel.reason };
    expect((await world.auditLog.list({ limit: 10 })).entries).toMatchObject([
      { ...line, outcome: 'failed', code: 'UNAVAILABLE' },
      { ...line, outcome: 'allowed' },
    ]);
  });

  it('NOT_ALLOWED: that the task does not take is refused with what it takes, dry or not', async () => {
    const world = new McpWorld();
    expect((await world.call('resume_task', { ...cancel, dryRun: true })).error).toMatchObject({
      code: 'NOT_ALLOWED',
      message: 'task t-1 takes no resume in print.running',
      legalCommands: ['pause', 'cancel'],
      hint: 'it takes now: pause, cancel',
    });
    world.client.answers['resume'] = () => {
      throw new EngineError('NOT_ALLOWED', 'the task is not held');
    };
    expect((await world.call('resume_task', cancel)).error).toMatchObject({
      code: 'NOT_ALLOWED',
      message: 'the task is not held',
      legalCommands: ['pause', 'cancel'],
    });
    world.client.answers['get'] = () =>
      aTaskView('t-1', { status: 'completed', state: 'completed', legalCommands: [] });
    expect((await world.call('resume_task', cancel)).error).toMatchObject({
      legalCommands: [],
      hint: 'it takes no command now',
    });
  });

  it('that had taken effect is answered as such, though its state takes it no more', async () => {
    const world = new McpWorld();
    world.client.answers['cancel'] = () => ({ taskId: 't-1', state: 'canceled', repeated: true });
    world.client.answers['get'] = () => aTaskView('t-1', { status: 'canceled', state: 'canceled', legalCommands: [] });
    const { data } = await world.call('cancel_task', { ...cancel, commandId: 'c-1', dryRun: false });
    expect(data).toMatchObject({ repeated: true, state: 'canceled', commandId: 'c-1' });
  });

  it.each(['redrive_task', 'resolve_task'])(
    '%s is for the state that was looked at, and for no later one',
    async (name) => {
      const world = new McpWorld();
      const command = name.replace('_task', '');
      const args = { ...cancel, ...(command === 'resolve' ? { outcome: 'notDone' } : {}) };
      const legalCommands = ['redrive', 'resolve'] as const;
      world.client.answers['get'] = () => aTaskView('t-1', { seq: 9, legalCommands });
      const dry = await world.call(name, args);
      expect(dry.data).toMatchObject({ dryRun: true, seq: 9 });
      await world.call(name, { ...args, expectedSeq: 9, dryRun: false });
      // Without one it looks itself: what is delayed on its way must not meet a later failure.
      await world.call(name, { ...args, dryRun: false });
      const options = world.client.named(command).map((call) => call.args.at(-1));
      expect(options).toMatchObject([{ expectedSeq: 9 }, { expectedSeq: 9 }]);
      expect((await world.call(name, { ...args, expectedSeq: 8 })).error).toMatchObject({
        code: 'NOT_ALLOWED',
        message: 'task t-1 has 9 records, and the command expects 8',
      });
    },
  );

  it('names the state that it is for in its command line', async () => {
    const world = new McpWorld();
    const { data } = await world.call('cancel_task', { ...cancel, expectedSeq: aTaskView('t-1').seq });
    expect(data['cli']).toMatch(/^cabinet task cancel t-1 --command-id \S+ --expected-seq \d+$/);
    expect(data['seq']).toBe(aTaskView('t-1').seq);
  });

  it('INVALID_ARGUMENT: without a reason is refused', async () => {
    const world = new McpWorld();
    expect((await world.call('pause_task', { taskId: 't-1' })).error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'reason',
    });
  });

  it.each([
    [{ outcome: 'completed' }, 'output'],
    [{ outcome: 'failed' }, 'message'],
    [{ outcome: 'notDone', output: {} }, 'output'],
    [{ outcome: 'notDone', message: 'x' }, 'message'],
    [{ outcome: 'maybe' }, 'outcome'],
  ])('INVALID_ARGUMENT: a resolution of %j is refused', async (outcome, field) => {
    const world = new McpWorld();
    const args = { ...cancel, ...outcome, dryRun: false };
    expect((await world.call('resolve_task', args)).error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
    expect(world.client.calls).toEqual([]);
  });

  it('resolves an unknown outcome with what is known of it', async () => {
    const world = new McpWorld();
    const args = { ...cancel, outcome: 'completed', output: { page: 1 }, dryRun: false };
    expect((await world.call('resolve_task', args)).data).toMatchObject({
      command: 'resolve',
      cli: expect.stringContaining('--completed') as string,
    });
    expect(world.client.named('resolve')).toMatchObject([
      { args: ['t-1', { kind: 'completed', output: { page: 1 } }, { reason: 'asked by support' }] },
    ]);
  });
});

describe('a submit', () => {
  it('INPUT_INVALID: that is dry checks the input where the schema is at hand, and creates nothing', async () => {
    const world = new McpWorld();
    const submit = { pipeline: 'card', input: { sku: 'a' }, reason: 'a test', dryRun: true, taskId: 't-7' };
    expect((await world.call('submit_task', submit)).data).toEqual({
      dryRun: true,
      taskId: 't-7',
      pipeline: 'card',
      version: 1,
      kind: 'wouldSubmit',
      state: null,
      inputIsChecked: true,
    });
    expect((await world.call('submit_task', { ...submit, input: { sku: 1 } })).error).toMatchObject({
      code: 'INPUT_INVALID',
    });
    expect(world.client.named('submit')).toEqual([]);
    const blind = new McpWorld({ definitions: [] });
    expect((await blind.call('submit_task', submit)).data).toMatchObject({ inputIsChecked: false });
  });

  it('is sent with who asks and why', async () => {
    const world = new McpWorld();
    const submit = { pipeline: 'card', input: { sku: 'a' }, reason: 'a test', idempotencyKey: 'order 7' };
    expect((await world.call('submit_task', submit)).data).toMatchObject({ kind: 'accepted', taskId: 't-1' });
    expect(world.client.named('submit')).toMatchObject([
      { args: ['card', { sku: 'a' }, { idempotencyKey: 'order 7', reason: 'a test', by: 'mcp:test' }] },
    ]);
  });
});

describe('an order to a node', () => {
  const nodes = [
    { nodeId: 'n-1', status: 'up', owned: 3, order: null },
    { nodeId: 'n-2', status: 'up', owned: 2, order: null },
  ];

  it('to drain only says what would move until it is told otherwise', async () => {
    const world = new McpWorld();
    world.client.answers['cluster.status'] = () => ({ nodes, shards: [], waitingOrders: [] });
    const drain = { nodeId: 'n-1', reason: 'new disk' };
    expect((await world.call('drain_node', drain)).data).toMatchObject({
      dryRun: true,
      orderBefore: null,
      order: 'draining',
      owned: 3,
      otherNodes: 1,
      isUp: true,
    });
    expect(world.client.named('cluster.drain')).toEqual([]);
    await world.call('drain_node', { ...drain, dryRun: false });
    expect(world.client.named('cluster.drain')).toMatchObject([{ args: ['n-1', { deadlineMs: 1_000 }] }]);
    // The orders hold no reason.
    expect(JSON.stringify(world.logger.lines)).toContain('new disk');
  });

  it('NODE_NOT_FOUND: to a node that nobody knows names those that are there', async () => {
    const world = new McpWorld();
    world.client.answers['cluster.status'] = () => ({ nodes, shards: [], waitingOrders: [] });
    expect((await world.call('cordon_node', { nodeId: 'n-9', reason: 'x' })).error).toMatchObject({
      code: 'NODE_NOT_FOUND',
      hint: 'there are n-1, n-2',
    });
  });
});
