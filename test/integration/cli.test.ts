import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readState } from '../../src/platform/embedded-nats-state.ts';
import { identifyProcess } from '../../src/platform/process-identity.ts';
import { CliFolder, type RunningDev, until } from '../support/cli.ts';
import { startNats } from '../support/nats-server.ts';

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

function submit(pipeline: string, input: unknown, ...more: readonly string[]): ReturnType<CliFolder['run']> {
  return folder.run(['task', 'submit', pipeline, '--input', JSON.stringify(input), ...more]);
}

async function stateOf(taskId: string): Promise<unknown> {
  const run = await folder.run(['task', 'get', taskId, '--json']);
  return (run.json() as { readonly state: unknown }).state;
}

describe('cabinet dev', () => {
  it('tells in one line of JSON that it is ready, and where; logs go to stderr', () => {
    expect(dev.ready).toMatchObject({
      ready: true,
      namespace: 'cabinet',
      dataDir: join(folder.path, '.cabinet'),
      pipelines: [{ name: 'demo' }, { name: 'gated' }, { name: 'failing' }],
    });
    expect(dev.stderr).toContain('the node is ready');
  });

  it('CONFIG_INVALID: a second engine on the data folder is refused with the way to join, exit 7', async () => {
    const second = await folder.run(['dev']);
    expect(second.code).toBe(7);
    expect(second.stderr).toMatch(
      /error CONFIG_INVALID: the data folder is in use by process \d+ .*NATS_URL=nats:\/\//,
    );
    expect(await folder.run(['status', '--json'])).toMatchObject({ code: 0 });
  });
});

describe('cabinet task', () => {
  it('submits a task, and the same one again is existing', async () => {
    const first = await submit('demo', { n: 1 }, '--id', 'one', '--json');
    expect(first.json()).toMatchObject({ kind: 'accepted', taskId: 'one' });
    expect((await submit('demo', { n: 1 }, '--id', 'one', '--json')).json()).toMatchObject({ kind: 'existing' });
  });

  it('TASK_CONFLICT: the same id with another input exits 7', async () => {
    await submit('demo', { n: 1 }, '--id', 'taken');
    expect(await submit('demo', { n: 2 }, '--id', 'taken')).toMatchObject({
      code: 7,
      stderr: expect.stringContaining('error TASK_CONFLICT: ') as string,
    });
  });

  it('waits for the results of a submit from stdin', async () => {
    const run = await folder.run(['task', 'submit', 'demo', '--input-file', '-', '--wait', '--json'], {
      stdin: '{"n": 21}',
    });
    expect(run.json()).toMatchObject({
      status: 'completed',
      outputs: { double: { value: 42 }, report: { text: 'value 42' } },
    });
    expect(run.code).toBe(0);
  });

  it('shows a task, its list entry, its history and its events', async () => {
    await submit('demo', { n: 0 }, '--id', 'shown', '--wait');
    expect((await folder.run(['task', 'get', 'shown', '--payloads', '--json'])).json()).toMatchObject({
      state: 'completed',
      input: { n: 0 },
      outputs: { double: { value: 0 } },
    });
    const list = await folder.run(['task', 'list', '--pipeline', 'demo', '--status', 'completed', '-o', 'jsonl']);
    expect(list.lines()).toContainEqual(expect.objectContaining({ taskId: 'shown' }));
    const history = await folder.run(['task', 'history', 'shown']);
    expect(history.stdout).toMatch(/task\.submitted[^]*stage\.completed .*skips report \(nothing to report\)/);
    const events = await folder.run(['task', 'watch', 'shown', '-o', 'jsonl']);
    expect(events.lines().map((event) => (event as { readonly type: string }).type)).toEqual([
      'io.cabinet.task.submitted',
      'io.cabinet.stage.started',
      'io.cabinet.stage.completed',
      'io.cabinet.stage.skipped',
      'io.cabinet.task.completed',
    ]);
  });

  it('pauses, resumes and ends a task; NOT_ALLOWED exits 7', async () => {
    await submit('gated', { gate: 'pause' }, '--id', 'paused');
    expect(await folder.run(['task', 'pause', 'paused', '--by', 'tester'])).toMatchObject({ code: 0 });
    await folder.write('pause', '');
    await until('the task is held', async () => (await stateOf('paused')) === 'finish.held');
    expect(await folder.run(['task', 'resume', 'paused'])).toMatchObject({ code: 0 });
    expect(await folder.run(['task', 'wait', 'paused'])).toMatchObject({ code: 0 });
    expect(await folder.run(['task', 'resume', 'paused'])).toMatchObject({
      code: 7,
      stderr: expect.stringContaining('error NOT_ALLOWED: ') as string,
    });
  });

  it('cancels several tasks and tells of each that refuses; the exit code is 1', async () => {
    await submit('gated', { gate: 'never' }, '--id', 'cancel-1');
    await submit('demo', { n: 1 }, '--id', 'cancel-2', '--wait');
    const run = await folder.run(['task', 'cancel', 'cancel-1', 'cancel-2', 'no-such-task', '--json']);
    expect(run.code).toBe(1);
    expect(run.json()).toMatchObject([
      { taskId: 'cancel-1', state: 'canceled' },
      { taskId: 'cancel-2', error: { code: 'NOT_ALLOWED' } },
      { taskId: 'no-such-task', error: { code: 'TASK_NOT_FOUND' } },
    ]);
    expect(await folder.run(['task', 'wait', 'cancel-1'])).toMatchObject({ code: 4 });
  });

  it('submits each line of a file and names the lines that were refused; the exit code is 1', async () => {
    await folder.write('lines.jsonl', '{"n":1}\n\nno json\n{"n":"text"}\n{"n":2}\n');
    const args = ['task', 'submit', 'demo', '--jsonl', 'lines.jsonl', '--key-field', 'n'];
    const run = await folder.run([...args, '--json']);
    expect(run.code).toBe(1);
    expect(run.json()).toMatchObject({
      accepted: 2,
      failed: 2,
      errors: [
        { line: 3, error: { code: 'INVALID_ARGUMENT', message: expect.stringContaining('at byte 0') as string } },
        { line: 4, error: { code: 'INPUT_INVALID' } },
      ],
    });
    expect(run.stderr).toContain('line 4: error INPUT_INVALID: ');
    const again = await folder.run([...args, '-o', 'jsonl']);
    expect(again.lines()).toMatchObject(
      [{ line: 3 }, { line: 4 }, { line: 1, kind: 'existing' }, { line: 5 }].toSorted((a, b) => a.line - b.line),
    );
  });

  it('TASK_NOT_FOUND and PIPELINE_UNKNOWN exit 3, in JSON as { error }', async () => {
    const run = await folder.run(['task', 'get', 'no-such-task', '--json']);
    expect(run.code).toBe(3);
    expect(run.json()).toMatchObject({ error: { code: 'TASK_NOT_FOUND', retryable: false } });
    for (const command of ['history', 'wait', 'watch', 'pause']) {
      expect(await folder.run(['task', command, 'no-such-task'])).toMatchObject({ code: 3 });
    }
    expect(await submit('no-such-pipeline', {})).toMatchObject({ code: 3 });
  });

  it('DEADLINE_EXCEEDED exits 5: a wait, and a watch, that last too long', async () => {
    await submit('gated', { gate: 'late' }, '--id', 'late');
    for (const command of ['wait', 'watch']) {
      const run = await folder.run(['task', command, 'late', '--timeout', '300ms']);
      expect(run).toMatchObject({ code: 5, stderr: expect.stringContaining('error DEADLINE_EXCEEDED: ') as string });
    }
    await folder.run(['task', 'cancel', 'late']);
  });

  it('an interrupted wait exits 130 without a word', async () => {
    await submit('gated', { gate: 'interrupted' }, '--id', 'interrupted');
    const child = folder.spawn(['task', 'watch', 'interrupted']);
    const exit = once(child, 'exit');
    let errors = '';
    child.stderr?.on('data', (text: Buffer) => {
      errors += text.toString();
    });
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    child.kill('SIGINT');
    expect(await exit).toEqual([130, null]);
    expect(errors).toBe('');
    await folder.run(['task', 'cancel', 'interrupted']);
  });
});

describe('cabinet dlq', () => {
  it('TASK_FAILED exits 4; the dead letter is listed, grouped, and redriven once its cause is mended', async () => {
    const failed = await submit('failing', { n: 7 }, '--id', 'dead', '--wait');
    expect(failed).toMatchObject({ code: 4, stderr: expect.stringContaining('error TASK_FAILED: ') as string });
    const list = (await folder.run(['dlq', 'list', '--code', 'SHOP_CLOSED', '--json'])).json() as {
      readonly tasks: readonly { readonly taskId: string; readonly fingerprint: string }[];
    };
    expect(list.tasks.map((task) => task.taskId)).toEqual(['dead']);
    await submit('failing', { n: 8 }, '--id', 'dead-2');
    await until('both are dead letters', async () => {
      const { groups } = (await folder.run(['dlq', 'groups', '--json'])).json() as { groups: { count: number }[] };
      return groups[0]?.count === 2;
    });

    const fingerprint = list.tasks[0]?.fingerprint ?? '';
    const dry = await folder.run(['dlq', 'redrive', '--fingerprint', fingerprint, '--dry-run', '--json']);
    expect(dry.json()).toEqual({ dryRun: true, count: 2, taskIds: ['dead', 'dead-2'] });
    const unconfirmed = await folder.run(['dlq', 'redrive', '--fingerprint', fingerprint]);
    expect(unconfirmed).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') as string });

    await folder.write('mended', '');
    const redriven = await folder.run(['dlq', 'redrive', '--fingerprint', fingerprint, '--yes', '--json']);
    expect(redriven.json()).toMatchObject([{ taskId: 'dead' }, { taskId: 'dead-2' }]);
    expect((await folder.run(['task', 'wait', 'dead', '--json'])).json()).toMatchObject({
      outputs: { publish: { n: 7 } },
    });
    expect(await folder.run(['dlq', 'redrive', 'dead'])).toMatchObject({ code: 7 });
    expect((await folder.run(['dlq', 'list', '-o', 'jsonl'])).stdout).toBe('');
  });
});

describe('cabinet pipeline, doctor and config', () => {
  it('shows the pipelines of the engine and the machines of the file', async () => {
    expect((await folder.run(['pipeline', 'show', 'demo', '--json'])).json()).toMatchObject({
      version: 1,
      stages: ['double', 'report'],
    });
    const machine = await folder.run(['pipeline', 'machine', 'demo', '--format', 'xstate']);
    expect(machine.json()).toMatchObject({ id: expect.stringContaining('demo') as string });
    expect((await folder.run(['pipeline', 'machine', 'demo'])).stdout).toMatch(/^stateDiagram-v2\n/);
    expect(await folder.run(['pipeline', 'machine', 'nope'])).toMatchObject({ code: 3 });
  });

  it('R-WRK-2: shows the cluster, its node and shards, and cordons and uncordons the node', async () => {
    const status = (await folder.run(['cluster', 'status', '--json'])).json() as {
      readonly nodes: readonly { readonly nodeId: string; readonly owned: number }[];
      readonly shards: readonly unknown[];
    };
    expect(status).toMatchObject({ isBalanced: true, nodes: [{ status: 'up', failing: 0 }] });
    const { nodeId, owned } = status.nodes[0] as { readonly nodeId: string; readonly owned: number };
    expect(owned).toBe(status.shards.length);
    expect((await folder.run(['node', 'cordon', nodeId, '--json'])).json()).toMatchObject({
      nodeId,
      order: 'cordoned',
      status: { cordoned: true, loopLagMs: expect.any(Number) as number },
    });
    expect((await folder.run(['node', 'list', '-o', 'jsonl'])).lines()).toMatchObject([{ nodeId, status: 'cordoned' }]);
    expect((await folder.run(['node', 'uncordon', nodeId])).stdout).toMatch(/cordoned +no/);
    expect((await folder.run(['shard', 'list', '--node', nodeId, '-o', 'jsonl'])).lines()).toHaveLength(owned);
    expect(await folder.run(['rebalance', '--dry-run'])).toMatchObject({ code: 0, stdout: 'nothing to move\n' });
  });

  it('NODE_NOT_FOUND: an order for a node that is not there exits 3', async () => {
    expect(await folder.run(['node', 'drain', 'nobody'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('error NODE_NOT_FOUND: no node nobody is there'),
    });
  });

  it('the doctor finds this engine in good health', async () => {
    const run = await folder.run(['doctor', '--json']);
    expect(run).toMatchObject({ code: 0 });
    expect(run.json()).toMatchObject({ ok: true });
    expect((run.json() as { readonly checks: unknown[] }).checks).toContainEqual(
      expect.objectContaining({ name: 'jetstream', status: 'ok' }),
    );
  });

  it('NATS_UNREACHABLE: the doctor exits 1 when the named server is not there', async () => {
    const run = await folder.run(['doctor', '--nats', 'nats://127.0.0.1:1', '--timeout', '500ms']);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/nats server +fail +NATS_UNREACHABLE/);
  });

  it('prints each setting with its source, without secrets', async () => {
    const run = await folder.run(['config', 'print', '--sources', '--namespace', 'other', '-o', 'jsonl'], {
      env: { NATS_URL: 'nats://me:hunter2@127.0.0.1:4222' },
    });
    expect(run.stdout).not.toContain('hunter2');
    expect(run.lines()).toContainEqual({
      name: 'nats.servers',
      value: 'nats://[redacted]@127.0.0.1:4222',
      source: { kind: 'env', name: 'NATS_URL' },
    });
    expect(run.lines()).toContainEqual({
      name: 'engine.namespace',
      value: 'other',
      source: { kind: 'flag', name: '--namespace' },
    });
    expect(run.lines()).toContainEqual({
      name: 'engine.shardCount',
      value: 4,
      source: { kind: 'file', name: join(folder.path, 'cabinet.config.mjs') },
    });
  });
});

describe('the command line', () => {
  it('a reader that goes away is no error (EPIPE)', async () => {
    await submit('demo', { n: 3 }, '--wait');
    const child = folder.spawn(['task', 'list', '--finished', '--watch=100ms', '-o', 'json']);
    const exit = once(child, 'exit');
    let errors = '';
    child.stderr?.on('data', (text: Buffer) => {
      errors += text.toString();
    });
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    child.stdout?.destroy();
    // What it writes next has no reader.
    await submit('demo', { n: 4 }, '--wait');
    expect(await exit).toEqual([0, null]);
    expect(errors).toBe('');
  });

  it('NATS_UNREACHABLE exits 6: no server at the address, none on the folder; NO_OWNER: no engine behind it', async () => {
    const runs = [
      await folder.run(['task', 'list', '--nats', 'nats://127.0.0.1:1', '--timeout', '500ms']),
      await folder.run(['task', 'list', '--data-dir', 'nowhere']),
      await folder.run(['task', 'list', '--namespace', 'nobody', '--timeout', '500ms']),
    ];
    expect(runs.map((run) => run.code)).toEqual([6, 6, 6]);
    expect(runs[1]?.stderr).toContain('`cabinet dev`');
    expect(runs[2]?.stderr).toContain('error NO_OWNER: ');
  });

  it('INVALID_ARGUMENT exits 2 and says what to do: unknown commands and options, missing and wrong values', async () => {
    const wrong = [
      [['task', 'lst'], 'did you mean list?'],
      [['task', 'list', '--statsu', 'held'], 'did you mean --status?'],
      [['task', 'get'], "missing required argument 'task-id'"],
      [['task', 'list', '--timeout', '-5'], "'-5' is invalid"],
      [['task', 'submit', 'demo'], "give one of --input '<json>'"],
      [['task', 'submit', 'demo', '--input', '{"n":}'], 'invalid JSON at byte 5'],
      [['task', 'submit', 'demo', '--input-file', 'no-such-file'], 'no-such-file cannot be read'],
      [['task', 'submit', 'demo', '--jsonl', 'no-such-file'], 'no-such-file cannot be read'],
      [['task', 'get', 'a.b'], "found '.' at 1"],
      [['dlq', 'redrive'], 'give task ids, a filter'],
    ] as const;
    for (const [args, says] of wrong) {
      const run = await folder.run(args);
      expect(run).toMatchObject({ code: 2, stdout: '' });
      expect(run.stderr).toContain(says);
      expect(run.stderr.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  it('CONFIG_INVALID exits 2 and names the file: it throws, lacks pipelines, or has what is no definition', async () => {
    const broken = [
      ['throws.mjs', "throw new Error('no luck')", /throws\.mjs could not be loaded: Error: no luck/],
      ['lacks.mjs', 'export default {}', /lacks\.mjs: pipelines is missing/],
      ['other.mjs', 'export default { pipelines: [{}] }', /other\.mjs: pipelines\[0\] is not a pipeline definition/],
      ['bad.json', '{', /bad\.json could not be loaded/],
    ] as const;
    for (const [name, text, says] of broken) {
      await folder.write(name, text);
      const run = await folder.run(['start', '--config', name]);
      expect(run.code).toBe(2);
      expect(run.stderr).toMatch(says);
    }
  });

  it('CONFIG_INVALID: a TypeScript file needs a loader, and says so; under one it is read', async () => {
    await folder.write('typed.ts', 'const value: object = { pipelines: 1 };\nexport default value;\n');
    const run = await folder.run(['config', 'print', '--config', 'typed.ts']);
    expect(run.code).toBe(2);
    // Node itself reads plain TypeScript from 22.18 on.
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const isReadable = folder.isLoadingTypeScript || major > 22 || (major === 22 && minor >= 18);
    expect(run.stderr).toMatch(
      isReadable ? /typed\.ts: pipelines must be a list/ : /cannot import TypeScript .*--import tsx/,
    );
  });
});

describe('a node that is stopped', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s: drains, exits 0 and leaves no nats-server', async (signal) => {
    const own = await CliFolder.create();
    try {
      const node = await own.startDev();
      const nats = readState(join(own.path, '.cabinet'));
      expect(identifyProcess(nats?.pid ?? 0)).toBeDefined();
      node.signal(signal);
      expect(await node.ended()).toBe(0);
      expect(identifyProcess(nats?.pid ?? 0)).toBeUndefined();
      expect(existsSync(join(own.path, '.cabinet', 'nats.state.json'))).toBe(false);
    } finally {
      await own.remove();
    }
  });

  it('a second SIGINT ends the drain at once with 130, and its nats-server with it', async () => {
    const own = await CliFolder.create();
    try {
      const node = await own.startDev(['--grace', '1h']);
      const nats = readState(join(own.path, '.cabinet'));
      await own.run(['task', 'submit', 'gated', '--input', '{"gate":"never"}']);
      node.signal('SIGINT');
      await until('the node drains', () => node.stderr.includes('the node drains'));
      node.signal('SIGINT');
      expect(await node.ended()).toBe(130);
      await until('its nats-server has ended', () => identifyProcess(nats?.pid ?? 0) === undefined);
    } finally {
      await own.remove();
    }
  });

  it('OWNERSHIP_LOST: a node whose id another process takes stops itself and exits 1', async () => {
    const nats = await startNats();
    const own = await CliFolder.create();
    try {
      const args = ['--nats', nats.url, '--node-id', 'twin'];
      const older = await own.startDev(args);
      const newer = await own.startDev(args);
      expect(await older.ended()).toBe(1);
      expect(older.stderr).toContain('error OWNERSHIP_LOST: another process runs as node twin');
      expect(await newer.stop()).toBe(0);
    } finally {
      await own.remove();
      await nats.stop();
    }
  });

  it('an error that nobody catches is logged and exits 1', async () => {
    const own = await CliFolder.create();
    try {
      const config = await own.read('cabinet.config.mjs');
      await own.write(
        'cabinet.config.mjs',
        `${config}\nimport { existsSync } from 'node:fs';\nsetInterval(() => { if (existsSync('crash')) throw new Error('out of the blue'); }, 20);\n`,
      );
      const node = await own.startDev(['--log-format', 'json']);
      const nats = readState(join(own.path, '.cabinet'));
      await own.write('crash', '');
      expect(await node.ended()).toBe(1);
      expect(node.stderr).toContain('error INTERNAL: Error: out of the blue');
      // It is left for the next engine, as after a kill; here none comes.
      process.kill(nats?.pid ?? 0, 'SIGTERM');
      await until('the nats-server has ended', () => identifyProcess(nats?.pid ?? 0) === undefined);
    } finally {
      await own.remove();
    }
  });
});
