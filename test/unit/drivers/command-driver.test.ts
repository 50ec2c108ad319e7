import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createCommandDriver, type CommandDriverOptions } from '../../../src/drivers/command-driver.ts';
import { LineSplitter } from '../../../src/drivers/line-splitter.ts';
import { clock, StageKit, until } from './stage-kit.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'command-driver-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A driver whose child is a Node program given as text. */
function program(source: string, options: Partial<CommandDriverOptions> = {}) {
  return createCommandDriver({
    command: process.execPath,
    args: ['--input-type=module', '-e', source],
    env: { PATH: process.env['PATH'] ?? '' },
    clock,
    ...options,
  });
}

/** A driver whose child is a shell script given as text. */
function shell(source: string, options: Partial<CommandDriverOptions> = {}) {
  return program('', { command: '/bin/sh', args: ['-c', source], ...options });
}

let lastFile = 0;
function newFile(): string {
  lastFile += 1;
  return join(folder, `file-${lastFile}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch {
    return false;
  }
}

/** A process that has ended, and whose parent has not asked for it yet. */
function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

describe('the command driver', () => {
  it('R-DRV-3: gives the child one stage on its input and takes the last line of its output', async () => {
    const driver = program(`
      let text = '';
      for await (const chunk of process.stdin) text += chunk;
      console.log('starting');
      console.log(JSON.stringify({ got: JSON.parse(text) }));
    `);
    const kit = new StageKit();
    expect(await kit.run(driver)).toEqual({
      got: {
        taskId: 'task-1',
        pipeline: 'cards',
        stage: 'export',
        attempt: 2,
        idempotencyKey: 'cabinet:task-1:export',
        fence: { shard: 3, epoch: 5, sequence: 77 },
        input: { url: 'https://example.test/1' },
        outputs: { parse: { title: 'Käse' } },
      },
    });
    expect(kit.logger.lines).toEqual([
      { level: 'debug', message: 'the command printed a line', fields: { line: 'starting' } },
    ]);
  });

  it('gives the child key and fence as variables, and of the own environment nothing that was not named', async () => {
    const driver = program('console.log(JSON.stringify(process.env))', { env: { ONE: '1' } });
    expect(await new StageKit().run(driver)).toEqual({
      ONE: '1',
      CABINET_TASK_ID: 'task-1',
      CABINET_PIPELINE: 'cards',
      CABINET_STAGE: 'export',
      CABINET_ATTEMPT: '2',
      CABINET_IDEMPOTENCY_KEY: 'cabinet:task-1:export',
      CABINET_FENCE_SHARD: '3',
      CABINET_FENCE_EPOCH: '5',
      CABINET_FENCE_SEQUENCE: '77',
    });
  });

  it('reads no shell syntax in its arguments', async () => {
    const driver = program('console.log(JSON.stringify(process.argv.slice(1)))');
    const args = [
      '--input-type=module',
      '-e',
      'console.log(JSON.stringify(process.argv.slice(1)))',
      '--',
      '$(id)',
      '; ls',
    ];
    expect(await new StageKit().run(program('', { args }))).toEqual(['$(id)', '; ls']);
    expect(await new StageKit().run(driver)).toEqual([]);
  });

  it('takes no output as null, and a child that does not read its input as it is', async () => {
    const kit = new StageKit({ input: 'x'.repeat(1_000_000) });
    expect(await kit.run(shell('exec true'))).toBeNull();
  });

  it('logs error output by line, and counts lines as heartbeats when told to', async () => {
    const kit = new StageKit();
    await kit.run(shell('echo one >&2; echo two >&2; echo 1', { heartbeatOnOutput: true }));
    expect(kit.logger.lines.map(({ level, fields }) => [level, fields['line']])).toEqual([
      ['info', 'one'],
      ['info', 'two'],
    ]);
    expect(kit.heartbeats).toBe(3);
    const quiet = new StageKit();
    await quiet.run(shell('echo one >&2'));
    expect(quiet.heartbeats).toBe(0);
  });

  it('logs so many lines and counts the rest', async () => {
    const kit = new StageKit();
    await kit.run(shell('for i in 1 2 3 4 5 6 7 8 9; do echo "line $i" >&2; done', { maximumLogLines: 3 }));
    expect(kit.logger.messages('info')).toHaveLength(3);
    expect(kit.logger.lines.at(-1)).toMatchObject({ level: 'warn', fields: { dropped: 6 } });
  });

  it.each([
    [75, 'retryable'],
    [64, 'fatal'],
    [65, 'fatal'],
    [78, 'fatal'],
    [127, 'fatal'],
    [1, 'unexpected'],
    [2, 'unexpected'],
    [255, 'unexpected'],
  ] as const)('R-FAIL-1: classifies exit code %i as %s, with the end of the error output', async (code, expected) => {
    const failure = await new StageKit().failure(shell(`echo "no such card" >&2; exit ${code}`));
    expect(failure).toMatchObject({ class: expected, code: `EXIT_${code}` });
    expect(failure.message).toBe(`command /bin/sh exited with ${code}: no such card`);
  });

  it('takes the exit codes that the user names', async () => {
    const options = { retryableExitCodes: [3], fatalExitCodes: [4] };
    expect(await new StageKit().failure(shell('exit 3', options))).toMatchObject({ class: 'retryable' });
    expect(await new StageKit().failure(shell('exit 4', options))).toMatchObject({ class: 'fatal' });
    expect(await new StageKit().failure(shell('exit 75', options))).toMatchObject({ class: 'unexpected' });
  });

  it('R-FAIL-1: is unexpected when somebody else kills the child: its effect may have happened', async () => {
    const failure = await new StageKit().failure(shell('kill -KILL $$'), 'atMostOnce');
    expect(failure).toMatchObject({ class: 'unexpected', code: 'SIGKILL' });
  });

  it('is unexpected when the program throws, with the error in the message', async () => {
    const failure = await new StageKit().failure(program('throw new TypeError("boom")'));
    expect(failure).toMatchObject({ class: 'unexpected', code: 'EXIT_1' });
    expect(failure.message).toContain('boom');
  });

  it.each(['not json', '{"half":', 'undefined'])('says contract when the last line is %j', async (line) => {
    const failure = await new StageKit().failure(shell(`echo '${line}'`));
    expect(failure).toMatchObject({ class: 'contract', code: 'INVALID_ARGUMENT' });
    expect(failure.message).toContain('is not JSON');
  });

  it('R-FAIL-1: is fatal when there is no such command, and when its folder is missing', async () => {
    const failure = await new StageKit().failure(shell('', { command: 'no-such-command-here' }));
    expect(failure).toMatchObject({ class: 'fatal', code: 'ENOENT' });
    expect(await new StageKit().failure(shell('', { cwd: join(folder, 'missing') }))).toMatchObject({ class: 'fatal' });
  });

  it('is fatal when the command may not be run, or an argument cannot be passed', async () => {
    expect(await new StageKit().failure(shell('', { command: folder }))).toMatchObject({
      class: 'fatal',
      code: 'EACCES',
    });
    expect(await new StageKit().failure(shell('a\0b'))).toMatchObject({ class: 'fatal' });
  });

  it('refuses an empty command when it is made, with INVALID_ARGUMENT', () => {
    expect(() => shell('', { command: '' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('ends a child that prints a line over the bound, with PAYLOAD_TOO_LARGE', async () => {
    const file = newFile();
    const failure = await new StageKit().failure(
      shell(`echo $$ > ${file}; exec cat /dev/zero`, { maximumOutputLength: 10_000, killGraceMs: 60_000 }),
    );
    expect(failure).toMatchObject({ class: 'contract', code: 'PAYLOAD_TOO_LARGE' });
    expect(isAlive(Number(readFileSync(file, 'utf8')))).toBe(false);
  });

  it('holds no more than the last of many lines', async () => {
    const source = 'for (let i = 0; i < 200000; i += 1) process.stdout.write(`"line ${i} ${"x".repeat(100)}"\\n`);';
    const kit = new StageKit();
    expect(await kit.run(program(source, { maximumOutputLength: 1_000 }))).toBe(`line 199999 ${'x'.repeat(100)}`);
    expect(kit.logger.lines.length).toBeLessThan(250);
  });

  it('ends on abort with the reason of the signal, when the child has ended at SIGTERM', async () => {
    const file = newFile();
    const kit = new StageKit();
    const running = kit.run(
      program(`
        import { writeFileSync } from 'node:fs';
        process.on('SIGTERM', () => { writeFileSync('${file}.end', 'cleaned'); process.exit(0); });
        writeFileSync('${file}', String(process.pid));
        setInterval(() => {}, 1000);
      `),
    );
    await until('the child is ready', () => existsSync(file));
    kit.abort.abort(new Error('the stage timed out'));
    await expect(running).rejects.toThrow('the stage timed out');
    expect(readFileSync(`${file}.end`, 'utf8')).toBe('cleaned');
  });

  it('R-FAIL-1: kills a child that ignores SIGTERM after the grace', async () => {
    const file = newFile();
    const kit = new StageKit();
    const running = kit.run(
      shell(`trap '' TERM; echo $$ > ${file}; while true; do sleep 1; done`, { killGraceMs: 200 }),
    );
    await until('the child is ready', () => existsSync(file) && readFileSync(file, 'utf8') !== '');
    const pid = Number(readFileSync(file, 'utf8'));
    kit.abort.abort(new Error('lease lost'));
    await expect(running).rejects.toThrow('lease lost');
    await until('the child is dead', () => !isAlive(pid));
  });

  it('kills what the child has started, on abort', async () => {
    const file = newFile();
    const kit = new StageKit();
    const running = kit.run(shell(`sleep 1000 & echo $! > ${file}; wait`, { killGraceMs: 5_000 }));
    await until('the grandchild runs', () => existsSync(file) && readFileSync(file, 'utf8').trim() !== '');
    const grandchild = Number(readFileSync(file, 'utf8'));
    expect(isAlive(grandchild)).toBe(true);
    kit.abort.abort(new Error('canceled'));
    await expect(running).rejects.toThrow('canceled');
    await until('the grandchild is dead', () => !isAlive(grandchild));
  });

  it('kills what the child leaves behind when it ends by itself, and does not wait for it', async () => {
    const file = newFile();
    const startedAt = performance.now();
    expect(await new StageKit().run(shell(`sleep 1000 & echo $! > ${file}; echo 7`))).toBe(7);
    const leftBehind = Number(readFileSync(file, 'utf8'));
    await until('what was left behind is dead', () => !isAlive(leftBehind));
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it('does not wait for ever for a process that left the group and holds the output', async () => {
    const file = newFile();
    const source = `
      import { spawn } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      const escaped = spawn('sleep', ['1000'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
      writeFileSync('${file}', String(escaped.pid));
      escaped.unref();
      console.log('8');
    `;
    expect(await new StageKit().run(program(source))).toBe(8);
    process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
  });

  it('starts no child when it is aborted before', async () => {
    const file = newFile();
    const kit = new StageKit();
    kit.abort.abort(new Error('too late'));
    await expect(kit.run(shell(`touch ${file}`))).rejects.toThrow('too late');
    expect(existsSync(file)).toBe(false);
  });
});

describe('the lookup of the command driver', () => {
  const lookup = (line: string) => shell('exit 1', { lookupArgs: ['-c', line] }).lookup?.(new StageKit().ctx);

  it('is there only when its arguments are given', () => {
    expect(shell('').lookup).toBeUndefined();
  });

  it.each([
    ['echo \'{"kind":"done","output":{"id":1}}\'', { kind: 'done', output: { id: 1 } }],
    ['echo \'{"kind":"notDone"}\'', { kind: 'notDone' }],
    ['echo \'{"kind":"unknown"}\'', { kind: 'unknown' }],
    ['echo \'{"kind":"perhaps"}\'', { kind: 'unknown' }],
    ['true', { kind: 'unknown' }],
  ])('takes %s for what it says', async (line, answer) => {
    expect(await lookup(line)).toEqual(answer);
  });

  it('throws when the child fails, so that the engine asks again', async () => {
    await expect(lookup('exit 3')).rejects.toThrow('exited with 3');
  });
});

describe('a line splitter', () => {
  const split = (chunks: readonly string[], maximumLength = 10): [string, boolean][] => {
    const lines: [string, boolean][] = [];
    const splitter = new LineSplitter(maximumLength, (line, isCut) => lines.push([line, isCut]));
    for (const chunk of chunks) splitter.push(Buffer.from(chunk, 'latin1'));
    splitter.end();
    return lines;
  };

  it('joins what came in pieces, also within a character', () => {
    const bytes = Buffer.from('Kä\nse').toString('latin1');
    expect(split(bytes.split(''))).toEqual([
      ['Kä', false],
      ['se', false],
    ]);
  });

  it('takes both line breaks, keeps empty lines, and makes none of an empty end', () => {
    expect(split(['a\r\n\nb\n'])).toEqual([
      ['a', false],
      ['', false],
      ['b', false],
    ]);
  });

  it('cuts a line at its bound, and starts anew at the next', () => {
    expect(split(['123456', '78901', '2\nnext'])).toEqual([
      ['1234567890', true],
      ['next', false],
    ]);
  });
});
