import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BulkView } from '../../../src/cli/bulk-answers.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { recordConsole } from '../../../src/platform/console-place.ts';
import { anIndexedTask, startAdminWorld, type AdminWorld } from '../../support/admin-kit.ts';
import { runInProcess, type InProcessRun } from './cli-context.ts';

let folder: string;
let world: AdminWorld;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-admin-commands-'));
});

beforeEach(async () => {
  world = await startAdminWorld();
});

afterEach(() => world.stop());

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a command that finds the world's API and a token by its environment. */
function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<InProcessRun> {
  return runInProcess([...args, '--no-config'], {
    folder,
    environment: { CABINET_ADMIN_URL: world.admin.url, CABINET_ADMIN_TOKEN: world.tokens.admin, ...environment },
  });
}

function asJson({ stdout }: InProcessRun): unknown {
  return JSON.parse(stdout) as unknown;
}

interface MadeToken {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly expiresAt: number | null;
  readonly token: string;
}

describe('cabinet token', () => {
  it('create prints the token alone on stdout, once, and it is good for its role and no more', async () => {
    const made = await run(['token', 'create', 'anna', '--role', 'operator', '--reason', 'joins the team']);
    expect(made.code).toBe(0);
    expect(made.stdout).toMatch(/^cbt_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n$/);
    expect(made.stderr).toMatch(/^token of anna, operator, until \d{4}-.*; it is shown this once/);
    const token = made.stdout.trim();
    expect((await world.ask('/api/bulk', { token })).status).toBe(200);
    expect((await world.ask('/api/tokens', { token })).errorCode).toBe('FORBIDDEN');
    expect(world.audit.entries[0]).toMatchObject({
      action: 'token.create',
      target: 'anna',
      reason: 'joins the team',
      principal: 'first-admin',
      outcome: 'allowed',
    });
    const listed = await run(['token', 'list']);
    expect(listed.stdout).toContain('anna');
    expect(listed.stdout + listed.stderr).not.toContain(token);
  });

  it('create lets it live for thirty days, as long as is asked, or without an end', async () => {
    const dayMs = 86_400_000;
    const lifeOf = async (name: string, ...args: readonly string[]): Promise<number | null> => {
      const before = Date.now();
      const { expiresAt } = asJson(
        await run(['token', 'create', name, '--role', 'viewer', '--json', ...args]),
      ) as MadeToken;
      return expiresAt === null ? null : Math.round((expiresAt - before) / dayMs);
    };
    expect(await lifeOf('a')).toBe(30);
    expect(await lifeOf('b', '--expires', '90d')).toBe(90);
    expect(await lifeOf('c', '--expires', 'never')).toBeNull();
  });

  it('create --out writes it for its owner alone, shows it nowhere, and never over a file that is there', async () => {
    const args = ['token', 'create', 'ci', '--role', 'viewer', '--out', 'ci.token', '--json'];
    const made = await run(args);
    const file = join(folder, 'ci.token');
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(/^cbt_\S+\n$/);
    expect(made.stdout + made.stderr).not.toContain(text.trim());
    expect(asJson(made)).toMatchObject({ name: 'ci', role: 'viewer', file: 'ci.token' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    // Nothing is made that could not be written.
    const again = await run(['token', 'create', 'ci-2', '--role', 'viewer', '--out', 'ci.token']);
    expect([again.code, again.stderr]).toEqual([
      2,
      expect.stringMatching(/^error INVALID_ARGUMENT: --out cannot be written: EEXIST/) as string,
    ]);
    expect(await readFile(file, 'utf8')).toBe(text);
    expect((await run(['token', 'list'])).stdout).not.toContain('ci-2');
    // And of one that could not be made, no file is left.
    const refused = await run(['token', 'create', 'ci', '--role', 'viewer', '--out', 'other.token']);
    expect(refused.code).toBe(7);
    await expect(stat(join(folder, 'other.token'))).rejects.toThrow('ENOENT');
  });

  it('a token in a file is taken as well, and a file that the command line names goes before the environment', async () => {
    await writeFile(join(folder, 'admin.token'), `${world.tokens.admin}\n`);
    const environment = { CABINET_ADMIN_TOKEN: 'cbt_of-another-console' };
    expect((await run(['token', 'list', '--admin-token-file', 'admin.token'], environment)).code).toBe(0);
    expect((await run(['token', 'list'], environment)).stderr).toMatch(/^error UNAUTHENTICATED: /);
    expect(
      (await run(['token', 'list'], { CABINET_ADMIN_TOKEN: '', CABINET_ADMIN_TOKEN_FILE: 'admin.token' })).code,
    ).toBe(0);
  });

  it('revoke takes an id or a name, and the token is out at once; a second time it is NOT_FOUND, exit code 3', async () => {
    const anna = asJson(await run(['token', 'create', 'anna', '--role', 'viewer', '--json'])) as MadeToken;
    const bert = asJson(await run(['token', 'create', 'bert', '--role', 'viewer', '--json'])) as MadeToken;
    const revoked = await run(['token', 'revoke', 'anna', '--reason', 'has left', '--json']);
    expect(asJson(revoked)).toMatchObject({ id: anna.id, name: 'anna', revoked: true });
    expect((await run(['token', 'revoke', bert.id])).stdout).toBe(`token of bert (viewer, ${bert.id}) is revoked\n`);
    for (const { token } of [anna, bert]) expect((await world.ask('/api/tasks', { token })).status).toBe(401);
    const again = await run(['token', 'revoke', 'anna', '--json']);
    expect(again.code).toBe(3);
    expect(asJson(again)).toMatchObject({ error: { code: 'NOT_FOUND', hint: 'see `cabinet token list`' } });
    expect(world.audit.entries.filter(({ action }) => action === 'token.revoke')[0]).toMatchObject({
      target: anna.id,
      reason: 'has left',
    });
  });

  it.each<[string, number, readonly string[], RegExp]>([
    [
      'NOT_ALLOWED: a name that is taken',
      7,
      ['token', 'create', 'a-viewer', '--role', 'viewer'],
      /a token named a-viewer exists/,
    ],
    ['NOT_ALLOWED: the last token of an admin', 7, ['token', 'revoke', 'first-admin'], /the last admin token/],
    ['INVALID_ARGUMENT: a name that is none', 2, ['token', 'create', '../x', '--role', 'viewer'], /name must be/],
  ])('%s is refused with exit code %i', async (name, code, args, says) => {
    const { code: got, stderr } = await run(args);
    expect([got, stderr]).toEqual([code, expect.stringMatching(says) as string]);
    expect(stderr).toContain(`error ${name.split(':', 1)[0]}: `);
  });

  it('FORBIDDEN: needs the token of an admin, exit code 6', async () => {
    const { code, stderr } = await run(['token', 'list'], { CABINET_ADMIN_TOKEN: world.tokens.operator });
    expect([code, stderr]).toEqual([6, expect.stringMatching(/^error FORBIDDEN: .*admin/) as string]);
  });
});

describe('cabinet bulk', () => {
  const short = ['--watch-first', '0', '--rate', '1000'];

  beforeEach(() => {
    for (let n = 0; n < 30; n += 1) world.index.put(anIndexedTask(`card-${n}`));
    world.index.put(anIndexedTask('other-1', { pipeline: 'other' as never }));
    // What is redriven completes at once.
    world.client.answers['redrive'] = (taskId: string) => {
      const task = world.index.tasks.get(taskId);
      if (task !== undefined) world.index.put({ ...task, status: 'completed', seq: task.seq + 3 });
      return { taskId, state: 'completed', repeated: false };
    };
  });

  /** A bulk action that takes its time. */
  async function beginSlow(): Promise<BulkView> {
    const pace = ['--rate', '1', '--first-batch', '1', '--watch-first', '1h'];
    return asJson(
      await run(['bulk', 'start', 'redrive', '--pipeline', 'card', ...pace, '--yes', '--json']),
    ) as BulkView;
  }

  it('start --dry-run counts, shows some, and changes nothing', async () => {
    const dry = await run(['bulk', 'start', 'redrive', '--pipeline', 'card', '--dry-run']);
    expect(dry.code).toBe(0);
    expect(dry.stdout.trimEnd().split('\n')).toHaveLength(21);
    expect(dry.stderr).toBe('30 tasks match, 20 are shown; nothing was changed\n');
    expect(asJson(await run(['bulk', 'start', 'redrive', '--id', 'card-1', '--dry-run', '--json']))).toMatchObject({
      dryRun: true,
      action: 'redrive',
      count: 1,
      sample: [{ taskId: 'card-1', status: 'deadLettered', stage: 'print' }],
      run: null,
    });
    expect(world.client.calls).toEqual([]);
    expect(asJson(await run(['bulk', 'list', '--json']))).toEqual({ runs: [] });
  });

  it('start --wait sends all tasks of the filter once, each with its reason, and exits 0', async () => {
    const args = ['bulk', 'start', 'redrive', '--pipeline', 'card', '--bulk-id', 'b-1', '--reason', 'mended', '--yes'];
    const started = await run([...args, ...short, '--wait']);
    expect(started.code).toBe(0);
    expect(started.stderr).toMatch(
      /^redrive \w+: \d+ (?:of \d+ sent|found so far)\n(?:.*\n)*redrive completed: 30 of 30 sent\n$/,
    );
    const calls = world.client.named('redrive');
    expect(new Set(calls.map(({ args: [taskId] }) => taskId)).size).toBe(30);
    expect(calls[0]?.args[1]).toMatchObject({ by: 'first-admin', reason: 'mended' });
    expect(asJson(await run(['bulk', 'show', 'b-1', '--json']))).toMatchObject({
      bulkId: 'b-1',
      action: 'redrive',
      phase: 'ended',
      end: 'completed',
      done: 30,
      pace: { firstBatch: 10, ratePerSecond: 1_000, watchMs: 0, stopAtFailurePercent: 2 },
    });
    // The answer of a start that was lost: its repeat is the same action, though no task is left for it.
    const again = await run([...args, '--wait', '--json']);
    expect(asJson(again)).toMatchObject({ bulkId: 'b-1', done: 30 });
    expect(world.client.named('redrive')).toHaveLength(30);
    expect(world.audit.entries.map(({ action }) => action)).toContain('bulk.redrive');
  });

  it('start ends the action when too many of the first fail, shows them, and exits 1', async () => {
    world.client.answers['redrive'] = () => {
      throw new EngineError('INTERNAL', 'no paper');
    };
    const started = await run([
      'bulk',
      'start',
      'redrive',
      '--all',
      '--first-batch',
      '5',
      '--stop-at',
      '20',
      '--yes',
      '--wait',
      ...short,
    ]);
    expect(started.code).toBe(1);
    expect(started.stdout).toMatch(/^state +stopped$/m);
    expect(started.stdout).toMatch(/^card-0 +INTERNAL +no paper$/m);
    expect(started.stderr).toContain('redrive stopped: 5 of 31 sent, 5 failed');
  });

  it('pause, resume and abort hold it, let it go on and end it; NOT_ALLOWED once it has ended', async () => {
    const begun = await beginSlow();
    const order = (name: string, ...more: readonly string[]): Promise<InProcessRun> =>
      run(['bulk', name, begun.bulkId, ...more]);
    expect(asJson(await order('pause', '--json'))).toMatchObject({ isPaused: true });
    expect((await order('show')).stdout).toMatch(/^state +paused$/m);
    expect((await run(['bulk', 'list'])).stdout).toMatch(/redrive +paused/);
    expect(asJson(await order('resume', '--json'))).toMatchObject({ isPaused: false });
    expect(asJson(await order('abort', '--reason', 'enough', '--json'))).toMatchObject({
      phase: 'ended',
      end: 'aborted',
    });
    expect(world.audit.entries.findLast(({ action }) => action === 'bulk.abort')).toMatchObject({
      target: begun.bulkId,
      reason: 'enough',
    });
    const late = await order('pause');
    expect([late.code, late.stderr]).toEqual([7, expect.stringMatching(/^error NOT_ALLOWED: .*has ended/) as string]);
    expect((await order('wait')).code).toBe(1);
  });

  it('wait gives up at its --timeout with DEADLINE_EXCEEDED, exit code 5, and the action goes on', async () => {
    const { bulkId } = await beginSlow();
    const waited = await run(['bulk', 'wait', bulkId, '--timeout', '50ms']);
    expect([waited.code, waited.stderr]).toEqual([
      5,
      expect.stringMatching(
        new RegExp(`error DEADLINE_EXCEEDED: bulk action ${bulkId} has not ended within 50 ms`),
      ) as string,
    ]);
    expect(asJson(await run(['bulk', 'show', bulkId, '--json']))).not.toMatchObject({ phase: 'ended' });
  });

  it('refuses to change more than one without --yes or CI, and takes one', async () => {
    const refused = await run(['bulk', 'start', 'redrive', '--pipeline', 'card']);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      'error INVALID_ARGUMENT: this would redrive 30 tasks (hint: repeat it with --yes, or look first with --dry-run)\n',
    ]);
    expect(world.client.calls).toEqual([]);
    expect((await run(['bulk', 'start', 'redrive', '--id', 'card-1', '--wait', ...short])).code).toBe(0);
    expect((await run(['bulk', 'start', 'redrive', '--pipeline', 'card', ...short], { CI: 'true' })).code).toBe(0);
  });

  it('CONFIRMATION_REQUIRED: very many need their number, exit code 2, and the hint names the option', async () => {
    world.index.count = async () => 12_345;
    const refused = await run(['bulk', 'start', 'redrive', '--all', '--yes']);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      'error CONFIRMATION_REQUIRED: the filter means 12345 tasks (hint: repeat it with --confirm-count and that number)\n',
    ]);
    expect((await run(['bulk', 'start', 'redrive', '--all', '--yes', '--confirm-count', '12345'])).code).toBe(0);
  });

  it('asks with every part of a filter, lists by repeated options, times as instants or as so long ago', async () => {
    const before = Date.now();
    const args =
      'bulk start pause --dry-run --status queued --status running --pipeline a --pipeline b --pipeline-version 2';
    const more = '--stage s --shard 0 --shard 7 --class timeout --fingerprint ab12 --id x --id y --id-prefix card-';
    const times = [
      '--submitted-since',
      '2026-01-02T03:04:05+01:00',
      '--updated-before',
      '1h',
      '--submitted-before',
      '0',
    ];
    expect((await run([...args.split(' '), ...more.split(' '), ...times])).code).toBe(0);
    const filter = world.index.queries.at(-1)?.filter;
    expect(filter).toMatchObject({
      statuses: ['queued', 'running'],
      pipelines: ['a', 'b'],
      versions: [2],
      stages: ['s'],
      shards: [0, 7],
      failureClasses: ['timeout'],
      failureFingerprints: ['ab12'],
      taskIds: ['x', 'y'],
      taskIdPrefix: 'card-',
      submittedFrom: Date.UTC(2026, 0, 2, 2, 4, 5),
    });
    expect(filter?.updatedBefore).toBeGreaterThanOrEqual(before - 3_600_000);
    expect(filter?.updatedBefore).toBeLessThanOrEqual(Date.now() - 3_600_000);
  });

  it('no task that the action can do anything to is said, and is no failure', async () => {
    const none = await run(['bulk', 'start', 'pause', '--pipeline', 'card', '--json']);
    expect(none.code).toBe(0);
    expect(asJson(none)).toMatchObject({ dryRun: false, count: 0, run: null });
    expect(none.stderr).toBe('no task that pause can do anything to matches; nothing was changed\n');
  });

  it('wait goes on over a restart of the console, also on another port', async () => {
    const place = join(folder, '.cabinet', 'admin');
    await mkdir(place, { recursive: true });
    await recordConsole(place, world.admin.url);
    const { bulkId } = await beginSlow();
    await run(['bulk', 'pause', bulkId]);
    const byFolder = { CABINET_ADMIN_URL: '' };
    const waiting = run(['bulk', 'wait', bulkId, '--json'], byFolder);
    const before = world;
    await before.stop();
    world = await startAdminWorld({ documents: before.documents, port: 0 });
    expect(world.admin.url).not.toBe(before.admin.url);
    await recordConsole(place, world.admin.url);
    const token = before.tokens.admin;
    expect((await run(['bulk', 'abort', bulkId], { ...byFolder, CABINET_ADMIN_TOKEN: token })).code).toBe(0);
    expect(asJson(await waiting)).toMatchObject({ bulkId, end: 'aborted' });
  });

  it('NOT_FOUND: an action that is not there, exit code 3', async () => {
    for (const name of ['show', 'wait', 'pause', 'resume', 'abort']) {
      const { code, stderr } = await run(['bulk', name, 'gone']);
      expect([name, code, stderr]).toEqual([name, 3, 'error NOT_FOUND: there is no such bulk action\n']);
    }
  });
});
