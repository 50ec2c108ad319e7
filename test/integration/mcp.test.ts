import { once } from 'node:events';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliFolder, findCliEntry, type RunningDev, until } from '../support/cli.ts';

let folder: CliFolder;
let dev: RunningDev;

beforeAll(async () => {
  folder = await CliFolder.create();
  dev = await folder.startDev();
});

afterAll(async () => {
  await dev.stop();
  await folder.remove();
});

/** An agent's program, with `cabinet mcp` as its child. */
class Agent {
  readonly client = new Client({ name: 'test agent', version: '1' });
  readonly transport: StdioClientTransport;
  stderr = '';

  constructor(args: readonly string[] = []) {
    this.transport = new StdioClientTransport({
      command: process.execPath,
      args: [...findCliEntry().nodeArguments, 'mcp', ...args],
      cwd: folder.path,
      env: getDefaultEnvironment(),
      stderr: 'pipe',
    });
    this.transport.stderr?.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
  }

  static async start(args: readonly string[] = []): Promise<Agent> {
    const agent = new Agent(args);
    await agent.client.connect(agent.transport);
    // So that the client checks every answer against its tool's schema.
    await agent.client.listTools();
    return agent;
  }

  async call(name: string, args: Readonly<Record<string, unknown>> = {}) {
    const { structuredContent, content, isError = false } = await this.client.callTool({ name, arguments: args });
    const [part] = content as readonly { readonly type: string; readonly text: string }[];
    expect(JSON.parse(part?.text ?? '')).toEqual(structuredContent);
    const data = structuredContent as Readonly<Record<string, unknown>>;
    return { isError, data, error: data['error'] as { readonly code: string } | undefined };
  }

  async until(what: string, name: string, args: Readonly<Record<string, unknown>>, expected: object): Promise<void> {
    let data: unknown;
    await until(what, async () => {
      ({ data } = await this.call(name, args));
      return Object.entries(expected).every(([key, value]) => (data as Record<string, unknown>)[key] === value);
    });
  }
}

async function withAgent<Value>(args: readonly string[], use: (agent: Agent) => Promise<Value>): Promise<Value> {
  const agent = await Agent.start(args);
  try {
    return await use(agent);
  } finally {
    await agent.client.close();
  }
}

describe('cabinet mcp, which only reads', () => {
  it('offers tools that say so, each with schemas of what it takes and answers', async () => {
    await withAgent([], async ({ client }) => {
      expect(client.getServerVersion()).toMatchObject({ name: 'cabinet-pipeline' });
      expect(client.getInstructions()).toContain('why_task');
      const { tools } = await client.listTools();
      const names =
        'list_tasks get_task get_task_payload get_task_history why_task explain_failure list_dead_letters ' +
        'dead_letter_groups list_pipelines get_pipeline_machine cluster_status';
      expect(tools.map(({ name }) => name)).toEqual(names.split(' '));
      for (const { annotations, inputSchema, outputSchema } of tools) {
        expect(annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false, idempotentHint: true });
        expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
        expect(outputSchema).toMatchObject({ type: 'object' });
      }
    });
  });

  it('tells of tasks, pipelines, the cluster, dead letters and why', async () => {
    await folder.run(['task', 'submit', 'demo', '--input', '{"n":21}', '--id', 'seen', '--wait']);
    await folder.run(['task', 'submit', 'gated', '--input', '{"gate":"never"}', '--id', 'waits']);
    await folder.run(['task', 'submit', 'failing', '--input', '{"n":7}', '--id', 'dead', '--wait']);
    await withAgent([], async (agent) => {
      expect((await agent.call('list_tasks', { pipeline: 'demo', includeFinished: true })).data).toMatchObject({
        tasks: [{ taskId: 'seen', status: 'completed', failure: null, legalCommands: [] }],
        next: null,
      });
      expect((await agent.call('get_task', { taskId: 'seen' })).data).toMatchObject({
        state: 'completed',
        stages: [{ stage: 'double', attempts: 1 }, { stage: 'report' }],
      });
      expect((await agent.call('get_task_payload', { taskId: 'seen', stage: 'double' })).data).toMatchObject({
        value: { value: 42 },
      });
      const history = await agent.call('get_task_history', { taskId: 'seen', limit: 1 });
      expect(history.data).toMatchObject({
        isComplete: true,
        records: [{ seq: 1, facts: [{ type: 'io.cabinet.task.submitted' }, { type: 'io.cabinet.stage.started' }] }],
        next: 1,
      });
      expect((await agent.call('why_task', { taskId: 'waits' })).data).toMatchObject({
        source: 'owner',
        holds: [{ kind: 'driver', timeoutMs: 120_000 }],
        movers: ['driver', 'operator'],
        legalCommands: ['pause', 'cancel'],
        moves: [{ cli: 'cabinet task pause waits' }, { cli: 'cabinet task cancel waits' }],
      });
      expect((await agent.call('explain_failure', { taskId: 'dead' })).data).toMatchObject({
        stage: 'publish',
        failure: { class: 'fatal', code: 'SHOP_CLOSED' },
        attempts: [{ attempt: 1, decision: 'deadLetter', reason: 'notRetryable' }],
        alike: { count: 1, isAtLeast: false },
        moves: [{ command: 'redrive', cli: 'cabinet task redrive dead' }],
      });
      expect((await agent.call('list_dead_letters', { failureCode: 'SHOP_CLOSED' })).data).toMatchObject({
        tasks: [{ taskId: 'dead', failure: { code: 'SHOP_CLOSED' } }],
      });
      expect((await agent.call('dead_letter_groups')).data).toMatchObject({
        groups: [{ count: 1, code: 'SHOP_CLOSED', sampleTaskId: 'dead' }],
        hasMore: false,
      });
      expect((await agent.call('list_pipelines')).data).toMatchObject({
        pipelines: [{ name: 'demo' }, { name: 'failing' }, { name: 'gated' }].map(
          (one) => expect.objectContaining(one) as object,
        ),
      });
      expect((await agent.call('get_pipeline_machine', { pipeline: 'demo' })).data).toMatchObject({
        format: 'mermaid',
        machine: expect.stringContaining('nothing to report') as string,
      });
      expect((await agent.call('cluster_status')).data).toMatchObject({
        nodes: [{ status: 'up', stages: { running: 1, waiting: 0 }, openBreakers: [] }],
        shardCount: 4,
        isBalanced: true,
      });
    });
  });

  it('FORBIDDEN: refuses tools that change something, which it does not offer, and changes nothing', async () => {
    await withAgent([], async (agent) => {
      const cancel = { taskId: 'waits', reason: 'a test', dryRun: false };
      expect(await agent.call('cancel_task', cancel)).toMatchObject({
        isError: true,
        error: { code: 'FORBIDDEN', hint: expect.stringContaining('--allow-writes') as string },
      });
      expect((await agent.call('get_task', { taskId: 'waits' })).data).toMatchObject({ status: 'running' });
    });
  });

  it('says what is wrong with a call: a tool that is none, arguments that are malformed, a task that is not there', async () => {
    await withAgent([], async (agent) => {
      await expect(agent.client.callTool({ name: 'drop_all', arguments: {} })).rejects.toMatchObject({ code: -32_602 });
      expect(await agent.call('get_task', { taskId: 7 })).toMatchObject({
        isError: true,
        error: { code: 'INVALID_TASK_ID', field: 'taskId', retryable: false },
      });
      expect(await agent.call('list_tasks', { limit: 1_000 })).toMatchObject({
        error: { code: 'INVALID_ARGUMENT', field: 'limit', limit: 'an integer from 1 to 100' },
      });
      expect(await agent.call('why_task', { taskId: 'no-such-task' })).toMatchObject({
        error: { code: 'TASK_NOT_FOUND' },
      });
      // It goes on all the same.
      expect(await agent.call('cluster_status')).toMatchObject({ isError: false });
    });
  });
});

describe('cabinet mcp --allow-writes', () => {
  it('submits, and commands a task only where its state allows it; a repeat takes effect once', async () => {
    await withAgent(['--allow-writes'], async (agent) => {
      const { tools } = await agent.client.listTools();
      const hints = new Map(tools.map(({ name, annotations }) => [name, annotations]));
      expect(hints.get('cancel_task')).toMatchObject({
        readOnlyHint: false,
        destructiveHint: true,
        idempotentHint: true,
      });
      expect(hints.get('submit_task')).toMatchObject({
        readOnlyHint: false,
        destructiveHint: false,
        idempotentHint: false,
      });

      const submit = { pipeline: 'gated', input: { gate: 'mcp' }, taskId: 'by-agent', reason: 'a test' };
      expect((await agent.call('submit_task', { ...submit, dryRun: true })).data).toMatchObject({
        kind: 'wouldSubmit',
        inputIsChecked: true,
      });
      expect((await agent.call('submit_task', submit)).data).toMatchObject({ kind: 'accepted', taskId: 'by-agent' });
      expect((await agent.call('submit_task', submit)).data).toMatchObject({ kind: 'existing' });
      expect((await agent.call('submit_task', { ...submit, input: { gate: 1 }, taskId: 'bad' })).error).toMatchObject({
        code: 'INPUT_INVALID',
      });

      const illegal = await agent.call('resume_task', { taskId: 'by-agent', reason: 'a test' });
      expect(illegal).toMatchObject({
        isError: true,
        error: { code: 'NOT_ALLOWED', legalCommands: ['pause', 'cancel'] },
      });

      const cancel = { taskId: 'by-agent', reason: 'not needed' };
      const dry = await agent.call('cancel_task', cancel);
      expect(dry.data).toMatchObject({ dryRun: true, state: 'hold.running' });
      const { commandId } = dry.data;
      const sure = { ...cancel, commandId, dryRun: false };
      expect((await agent.call('cancel_task', sure)).data).toMatchObject({ state: 'canceled', repeated: false });
      expect((await agent.call('cancel_task', sure)).data).toMatchObject({ state: 'canceled', repeated: true });
      expect((await agent.call('cancel_task', { ...cancel, commandId: 'another', dryRun: false })).error).toMatchObject(
        {
          code: 'NOT_ALLOWED',
          legalCommands: [],
        },
      );
      const history = (await folder.run(['task', 'history', 'by-agent', '-o', 'jsonl'])).stdout;
      expect(history).toContain(`"commandId":"${String(commandId)}","by":"mcp:test-agent","reason":"not needed"`);
    });
  });

  it('redrives dead letters by filter, after it has said which', async () => {
    await withAgent(['--allow-writes', '--by', 'alice'], async (agent) => {
      const redrive = { failureCode: 'SHOP_CLOSED', reason: 'the shop is back' };
      expect((await agent.call('redrive_dead_letters', { reason: 'x' })).error).toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect((await agent.call('redrive_dead_letters', redrive)).data).toMatchObject({
        dryRun: true,
        count: 1,
        taskIds: ['dead'],
      });
      await folder.write('mended', '');
      expect((await agent.call('redrive_dead_letters', { ...redrive, dryRun: false })).data).toMatchObject({
        count: 1,
        failed: [],
      });
      await agent.until('the task has completed', 'get_task', { taskId: 'dead' }, { status: 'completed' });
      expect((await agent.call('redrive_dead_letters', { ...redrive, dryRun: false })).data).toMatchObject({
        count: 0,
      });
      expect((await folder.run(['task', 'history', 'dead', '-o', 'jsonl'])).stdout).toContain('"by":"alice"');
    });
  });

  it('cordons a node and takes it back', async () => {
    await withAgent(['--allow-writes'], async (agent) => {
      const { nodes } = (await agent.call('cluster_status')).data as { nodes: readonly { readonly nodeId: string }[] };
      const order = { nodeId: nodes[0]?.nodeId, reason: 'a test' };
      expect((await agent.call('drain_node', order)).data).toMatchObject({
        dryRun: true,
        order: 'draining',
        otherNodes: 0,
      });
      expect((await agent.call('cordon_node', order)).data).toMatchObject({ order: 'cordoned', isUp: true });
      expect((await agent.call('uncordon_node', order)).data).toMatchObject({ orderBefore: 'cordoned', order: null });
      expect((await agent.call('drain_node', { ...order, nodeId: 'nobody' })).error).toMatchObject({
        code: 'NODE_NOT_FOUND',
      });
    });
  });
});

describe('cabinet mcp as a process', () => {
  const initialize = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  });
  const ask = JSON.stringify({
    jsonrpc: '2.0',
    id: 2,
    method: 'tools/call',
    params: { name: 'list_pipelines', arguments: {} },
  });

  it('ends with 0 when its input ends, after what was asked is answered; nothing but the protocol is on stdout', async () => {
    const config = await folder.read('cabinet.config.mjs');
    await folder.write('loud.config.mjs', `${config}\nconsole.log('loud configuration');\n`);
    const run = await folder.run(['mcp', '--config', 'loud.config.mjs'], {
      stdin: `${initialize}\n{ this is no JSON\n{"jsonrpc":"2.0"}\n${ask}\n`,
    });
    expect(run.code).toBe(0);
    expect(run.lines()).toMatchObject([
      { jsonrpc: '2.0', id: 1, result: { serverInfo: { name: 'cabinet-pipeline' } } },
      { jsonrpc: '2.0', id: 2, result: { structuredContent: { hasMore: false } } },
    ]);
    expect(run.stderr).toContain('loud configuration');
    expect(run.stderr).toContain('a message cannot be read');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with 0 on %s', async (signal) => {
    const child = folder.spawn(['mcp']);
    const exit = once(child, 'exit');
    child.stdin?.write(`${initialize}\n`);
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    child.kill(signal);
    expect(await exit).toEqual([0, null]);
  });

  it('CONFIG_INVALID: with settings that are not right says so on stderr, exit 2', async () => {
    const run = await folder.run(['mcp', '--config', 'no-such.config.mjs']);
    expect(run).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('error CONFIG_INVALID: ') as string,
    });
  });
});

describe('cabinet mcp without its package', () => {
  const fixture = new URL('../support/fixtures/without-mcp-sdk.mjs', import.meta.url).href;
  const env = { NODE_OPTIONS: `--import=${fixture}` };

  it('CONFIG_INVALID: says in one line what to install, exit 2', async () => {
    expect(await folder.run(['mcp'], { env })).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /^error CONFIG_INVALID: .*is not installed \(hint: npm install @modelcontextprotocol\/sdk@\S+\)\n$/,
      ) as string,
    });
  });

  it('leaves every other command as it is', async () => {
    expect(await folder.run(['pipeline', 'list', '--json'], { env })).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('cabinet mcp without an engine', () => {
  it('NATS_UNREACHABLE: answers with the code, and finds the engine once it is there again', async () => {
    await withAgent([], async (agent) => {
      expect(await agent.call('list_pipelines')).toMatchObject({ isError: false });
      await dev.stop();
      const { isError, error } = await agent.call('list_pipelines');
      expect(isError).toBe(true);
      expect(['NATS_UNREACHABLE', 'DEADLINE_EXCEEDED']).toContain(error?.code);
      // Looked for anew, it is known not to be there.
      expect((await agent.call('why_task', { taskId: 'seen' })).error).toMatchObject({ code: 'NATS_UNREACHABLE' });
      dev = await folder.startDev();
      expect((await agent.call('why_task', { taskId: 'seen' })).data).toMatchObject({ holds: [{ kind: 'ended' }] });
    });
  });
});

describe('cabinet task why', () => {
  it('says what holds a task, for people and for programs', async () => {
    await folder.run(['task', 'submit', 'gated', '--input', '{"gate":"why"}', '--id', 'asked']);
    const text = await folder.run(['task', 'why', 'asked']);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toContain('The driver of stage hold works on attempt 1.');
    expect(text.stdout).toContain('cabinet task cancel asked');
    const { holds, moves, legalEvents } = (await folder.run(['task', 'why', 'asked', '--output', 'json'])).json() as {
      readonly [Name in 'holds' | 'moves' | 'legalEvents']: readonly unknown[];
    };
    expect(holds).toEqual([{ kind: 'driver', timeoutMs: 120_000 }]);
    expect(moves).toMatchObject([{ command: 'pause' }, { command: 'cancel' }]);
    expect(legalEvents).toContain('stage.completed');
    // It is what it says: typed as it is, the command moves the task.
    expect(await folder.run(['task', 'cancel', 'asked'])).toMatchObject({ code: 0 });
    expect((await folder.run(['task', 'why', 'asked', '--json'])).json()).toMatchObject({ holds: [{ kind: 'ended' }] });
  });

  it('TASK_NOT_FOUND exits 3, INVALID_TASK_ID exits 2', async () => {
    expect(await folder.run(['task', 'why', 'no-such-task'])).toMatchObject({ code: 3 });
    expect(await folder.run(['task', 'why', 'no/id'])).toMatchObject({ code: 2 });
  });
});
