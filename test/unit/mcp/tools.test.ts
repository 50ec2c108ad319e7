import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { maximumAnswerBytes, maximumCallsInFlight } from '../../../src/mcp/limits.ts';
import { outputSchemaOf } from '../../../src/mcp/tool-answer.ts';
import { tools } from '../../../src/mcp/tools.ts';
import { aTaskView } from '../../support/admin-kit.ts';
import { McpWorld } from '../../support/mcp-kit.ts';

const writes = tools.filter(({ effect }) => effect.kind === 'write');

describe('the tools', () => {
  it('have names of their own, and what an agent must know of each', () => {
    expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length);
    for (const { name, title, description } of tools) {
      expect(name).toMatch(/^[a-z][a-z_]{2,40}$/);
      expect(title.length).toBeGreaterThan(4);
      expect(description.length).toBeGreaterThan(20);
    }
  });

  it.each(writes.map((one) => [one.name, one] as const))(
    '%s asks for a reason, and can only say what it would do',
    (_name, one) => {
      const { properties, required } = one.input.json as {
        readonly properties: Readonly<Record<string, { readonly description?: string }>>;
        readonly required: readonly string[];
      };
      expect(required).toContain('reason');
      const isDestructive = one.effect.kind === 'write' && one.effect.isDestructive;
      expect(properties['dryRun']?.description).toContain(`${isDestructive} when left out`);
    },
  );

  it('answer with their data or with an error, and with nothing else', () => {
    for (const one of tools) {
      const { type, properties, additionalProperties, anyOf } = outputSchemaOf(one);
      expect(type).toBe('object');
      expect(properties).toHaveProperty('error.properties.code');
      expect(additionalProperties).toBe(false);
      expect(anyOf).toContainEqual({ required: ['error'] });
    }
  });
});

describe('a call', () => {
  it('FORBIDDEN: of a tool that changes something is refused where only reading is allowed, before anything is asked', async () => {
    const world = new McpWorld({ allowsWrites: false });
    for (const { name } of writes) {
      expect((await world.call(name, { taskId: 't-1', reason: 'x' })).error).toMatchObject({
        code: 'FORBIDDEN',
        hint: expect.stringContaining('--allow-writes') as string,
      });
    }
    expect(world.client.calls).toEqual([]);
    expect((await world.call('get_task', { taskId: 't-1' })).isError).toBe(false);
  });

  it.each([
    ['INVALID_TASK_ID', { taskId: 'no/id' }, 'taskId'],
    ['INVALID_ARGUMENT', { taskId: 't-1', more: 1 }, 'more'],
    ['INVALID_TASK_ID', {}, 'taskId'],
    ['INVALID_ARGUMENT', ['t-1'], 'arguments'],
  ])('%s: with malformed arguments names the field', async (code, args, field) => {
    const world = new McpWorld();
    expect((await world.call('get_task', args)).error).toMatchObject({ code, field, retryable: false });
    expect(world.client.calls).toEqual([]);
  });

  it('INTERNAL: of a tool that breaks is an answer without the reason, which the log has', async () => {
    const world = new McpWorld();
    world.client.answers['get'] = () => {
      throw new TypeError('secret of the inside');
    };
    expect((await world.call('get_task', { taskId: 't-1' })).error).toMatchObject({
      code: 'INTERNAL',
      message: 'get_task failed unexpectedly',
    });
    expect(JSON.stringify(world.logger.lines)).toContain('a tool failed unexpectedly');
  });

  it('NATS_UNREACHABLE: of an engine that is not there says so with its code', async () => {
    const world = new McpWorld({
      engine: { use: () => Promise.reject(new EngineError('NATS_UNREACHABLE', 'no connection')) },
    });
    expect((await world.call('cluster_status')).error).toMatchObject({ code: 'NATS_UNREACHABLE', retryable: true });
  });

  it('OVERLOADED: is refused while as many run as may, and quiet waits for those', async () => {
    const world = new McpWorld();
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    world.client.answers['get'] = async () => {
      await gate;
      return aTaskView('t-1');
    };
    const running = Array.from({ length: maximumCallsInFlight }, () => world.call('get_task', { taskId: 't-1' }));
    expect((await world.call('get_task', { taskId: 't-1' })).error).toMatchObject({
      code: 'OVERLOADED',
      retryAfterMs: 200,
    });
    const ends: string[] = [];
    const quiet = world.caller.quiet().finally(() => ends.push('quiet'));
    await Promise.resolve();
    expect(ends).toEqual([]);
    release();
    await quiet;
    expect((await Promise.all(running)).every(({ isError }) => !isError)).toBe(true);
    expect((await world.call('get_task', { taskId: 't-1' })).isError).toBe(false);
  });

  it('PAYLOAD_TOO_LARGE: never answers with more than an agent may be made to read', async () => {
    const world = new McpWorld();
    const nodes = Array.from({ length: 500 }, (_, index) => ({ nodeId: `n-${index}`, padding: 'x'.repeat(1_000) }));
    world.client.answers['cluster.status'] = () => ({ nodes, shards: [], waitingOrders: [] });
    const { error } = await world.call('cluster_status');
    expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', limit: `${maximumAnswerBytes} bytes` });
  });
});

describe('what a tool shows', () => {
  it('has no value under the name of a secret', async () => {
    const world = new McpWorld();
    world.client.answers['get'] = () =>
      aTaskView('t-1', { input: { apiKey: 'canary-1', nested: [{ Authorization: 'canary-2' }], sku: 'a' } });
    const { data } = await world.call('get_task_payload', { taskId: 't-1' });
    expect(data['value']).toEqual({ apiKey: '[redacted]', nested: [{ Authorization: '[redacted]' }], sku: 'a' });
    expect(JSON.stringify(data)).not.toContain('canary');
  });

  it('has a payload over the bound by its size alone', async () => {
    const world = new McpWorld();
    world.client.answers['get'] = () => aTaskView('t-1', { input: { text: 'x'.repeat(20_000) } });
    expect((await world.call('get_task_payload', { taskId: 't-1' })).data).toEqual({
      name: 'input',
      sizeBytes: 20_011,
      isShown: false,
    });
    const { data } = await world.call('get_task_payload', { taskId: 't-1', maxBytes: 30_000 });
    expect(data).toMatchObject({ isShown: true });
  });

  it('has the machine of a definition at hand, and the states alone of one that is not', async () => {
    const world = new McpWorld();
    expect((await world.call('get_pipeline_machine', { pipeline: 'card' })).data).toMatchObject({
      format: 'mermaid',
      isOutline: false,
      machine: expect.stringContaining('stateDiagram-v2') as string,
    });
    const outlining = new McpWorld({ definitions: [] });
    expect((await outlining.call('get_pipeline_machine', { pipeline: 'card' })).data).toMatchObject({
      format: 'xstate',
      isOutline: true,
      machine: { states: { print: { states: { running: {} } } } },
    });
    expect((await outlining.call('get_pipeline_machine', { pipeline: 'card', format: 'mermaid' })).error).toMatchObject(
      {
        code: 'NOT_FOUND',
      },
    );
    expect((await outlining.call('get_pipeline_machine', { pipeline: 'none' })).error).toMatchObject({
      code: 'PIPELINE_UNKNOWN',
    });
  });

  it('TASK_NOT_FOUND: says that the journal has nothing of a task', async () => {
    const world = new McpWorld();
    expect((await world.call('get_task_history', { taskId: 't-9' })).error).toMatchObject({ code: 'TASK_NOT_FOUND' });
  });

  it('NOT_FOUND: explains no failure of a task that has none', async () => {
    const world = new McpWorld();
    expect((await world.call('explain_failure', { taskId: 't-1' })).error).toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('why_task') as string,
    });
  });
});
