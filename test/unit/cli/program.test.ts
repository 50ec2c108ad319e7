import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import type { CliContext } from '../../../src/cli/context.ts';
import { buildProgram } from '../../../src/cli/program.ts';
import { Terminal } from '../../../src/cli/terminal.ts';
import { engineVersion } from '../../../src/platform/package-version.ts';
import { runInProcess } from './cli-context.ts';

const silent = { write: () => true };
const context = {
  terminal: new Terminal({ stdout: silent, stderr: silent, environment: {} }),
} as unknown as CliContext;

function pathsOf(command: Command, path: readonly string[] = []): (readonly string[])[] {
  return [path, ...command.commands.flatMap((child) => pathsOf(child, [...path, child.name()]))];
}

const paths = pathsOf(buildProgram(context));

describe('the program', () => {
  it('has the commands that are documented', () => {
    const ofTask = 'submit get list history wait watch why pause resume cancel redrive resolve'.split(' ');
    expect(paths.filter((path) => path.length > 0).map((path) => path.join(' '))).toEqual([
      'dev',
      'start',
      'admin',
      'status',
      'task',
      ...ofTask.map((name) => `task ${name}`),
      'pipeline',
      ...['list', 'show', 'machine'].map((name) => `pipeline ${name}`),
      'dlq',
      ...['list', 'groups', 'redrive'].map((name) => `dlq ${name}`),
      'bulk',
      ...['start', 'list', 'show', 'wait', 'pause', 'resume', 'abort'].map((name) => `bulk ${name}`),
      'cluster',
      'cluster status',
      'node',
      ...['list', 'cordon', 'uncordon', 'drain'].map((name) => `node ${name}`),
      'shard',
      ...['list', 'move', 'unpin'].map((name) => `shard ${name}`),
      'rebalance',
      'token',
      ...['create', 'list', 'revoke'].map((name) => `token ${name}`),
      'inspect',
      'mcp',
      'doctor',
      'nats-config',
      'config',
      'config print',
    ]);
  });

  it.each(paths.map((path) => [path.join(' ')]))("'%s --help' has an example, on stdout, and exits 0", async (path) => {
    const run = await runInProcess([...path.split(' ').filter((word) => word !== ''), '--help']);
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(new RegExp(`Examples?:\\n  (?:\\w+=\\S+ )?cabinet ${path}`));
    expect(run.stderr).toBe('');
  });

  it('prints its version', async () => {
    expect(await runInProcess(['--version'])).toEqual({ code: 0, stdout: `${engineVersion}\n`, stderr: '' });
  });

  it('shows its help on stderr and exits 2 when no command is named', async () => {
    for (const args of [[], ['task']]) {
      const run = await runInProcess(args);
      expect(run).toMatchObject({ code: 2, stdout: '' });
      expect(run.stderr).toContain('Usage: cabinet');
    }
  });

  it('INVALID_ARGUMENT: what is wrong is said in one line that says what to do', async () => {
    const run = await runInProcess(['task', 'get']);
    expect(run).toEqual({
      code: 2,
      stdout: '',
      stderr: "error INVALID_ARGUMENT: missing required argument 'task-id' (hint: see `cabinet task get --help`)\n",
    });
  });

  it.each([
    [['task', 'list', '--frob', '--json']],
    [['task', 'list', '--frob', '-o', 'jsonl']],
    [['task', 'list', '--output=json', 'too', 'many']],
  ])('INVALID_ARGUMENT: with JSON output %s is an { error } on stdout too', async (args) => {
    const run = await runInProcess(args);
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code: 'INVALID_ARGUMENT', retryable: false } });
    expect(run.stderr).toMatch(/^error INVALID_ARGUMENT: .*\n$/);
  });

  it.each([
    ['a negative timeout', ['task', 'get', 'a', '--timeout', '-1']],
    ['a timeout of nothing', ['task', 'get', 'a', '--timeout', '0']],
    ['a limit out of range', ['task', 'list', '--limit', '1001']],
    ['a limit that is no number', ['task', 'list', '--limit', '1e2']],
    ['an unknown status', ['task', 'list', '--status', 'done']],
    ['an unknown output', ['task', 'list', '-o', 'yaml']],
    ['an unknown machine format', ['pipeline', 'machine', 'card', '--format', 'dot']],
    ['a watch that is too quick', ['task', 'list', '--watch=1ms']],
    ['two inputs', ['task', 'submit', 'card', '--input', '{}', '--jsonl', '-']],
    ['an id and a key', ['task', 'submit', 'card', '--input', '{}', '--id', 'a', '--idempotency-key', 'b']],
    ['a wait for many', ['task', 'submit', 'card', '--jsonl', '-', '--wait']],
    ['an id for many', ['task', 'submit', 'card', '--jsonl', '-', '--id', 'a']],
    ['an envelope for one', ['task', 'submit', 'card', '--input', '{}', '--envelope']],
    ['input that is no JSON', ['task', 'submit', 'card', '--input', '{n: 1}']],
    ['a duplicate key', ['task', 'submit', 'card', '--input', '{"n":1,"n":2}']],
    ['no resolution', ['task', 'resolve', 'a']],
    ['two resolutions', ['task', 'resolve', 'a', '--not-done', '--failed', 'why']],
    ['ids and a filter', ['dlq', 'redrive', 'a', '--code', 'X']],
    ['a rebalance that is not dry', ['rebalance']],
    ['a drain of no node', ['node', 'drain']],
    ['a dry run of ids', ['dlq', 'redrive', 'a', '--dry-run']],
  ])('INVALID_ARGUMENT: %s exits 2', async (_what, args) => {
    const run = await runInProcess(args);
    expect(run).toMatchObject({ code: 2, stdout: '' });
    expect(run.stderr).toMatch(/^error INVALID_ARGUMENT: [^\n]+\n$/);
  });

  it('CONFIG_INVALID: a node without a configuration file exits 2 with how to write one', async () => {
    const run = await runInProcess(['start']);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(
      /error CONFIG_INVALID: no cabinet\.config\.\{js,mjs,ts,json\} is in \/nowhere .*defineConfig/,
    );
  });

  it('CONFIG_INVALID: a variable that is no number exits 2 and is named', async () => {
    const run = await runInProcess(['config', 'print'], { environment: { CABINET_LEASE_TTL_MS: 'long' } });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('CABINET_LEASE_TTL_MS must be an integer');
  });

  it('warns of CABINET_ variables that mean nothing', async () => {
    const run = await runInProcess(['config', 'print', '--json'], { environment: { CABINET_NAMESPCAE: 'x' } });
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({ 'engine.namespace': 'cabinet' });
    expect(run.stderr).toContain('warning: CABINET_NAMESPCAE has no meaning here');
  });
});
