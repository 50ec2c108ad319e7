import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';

import { SeedPool } from './seed-pool.ts';

const withTypes = ['--import', 'tsx'];
const child = { program: join(import.meta.dirname, '../support/seed-process.ts'), argv: [], execArgv: withTypes };

describe('processes that run seeds', () => {
  it('run every seed once, and one that dies is told as a crash of the seed it was at', async () => {
    let next = 1;
    const done: number[] = [];
    const crashes = new Map<number, string>();
    const pool = new SeedPool({
      ...child,
      jobs: 2,
      nextSeed: () => (next > 12 ? null : next++),
      onResult: ({ seed }) => void done.push(seed),
      onCrash: (seed, how) => void crashes.set(seed, how),
    });
    await pool.run();
    expect(done.toSorted((left, right) => left - right)).toEqual([1, 2, 4, 6, 7, 8, 9, 10, 11, 12]);
    expect([...crashes].toSorted(([left], [right]) => left - right)).toEqual([
      [3, 'its process ended with 7'],
      [5, 'it threw'],
    ]);
  });

  it('end when they are stopped, though there are more seeds', async () => {
    let next = 100;
    let count = 0;
    const pool: SeedPool = new SeedPool({
      ...child,
      jobs: 2,
      nextSeed: () => next++,
      onResult: () => {
        count += 1;
        if (count === 20) pool.stop();
      },
      onCrash: (seed, how) => expect.unreachable(`seed ${seed}: ${how}`),
    });
    await pool.run();
    expect(count).toBeGreaterThanOrEqual(20);
  });
});

/** `npm run sim` without its build. */
async function run(argv: readonly string[], onStart: (kill: () => void) => void = () => {}) {
  const program = join(import.meta.dirname, 'main.ts');
  const started = spawn(process.execPath, [...withTypes, program, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.stderr.once('data', () => onStart(() => void started.kill('SIGTERM')));
  const [out, error, [code]] = await Promise.all([text(started.stdout), text(started.stderr), once(started, 'exit')]);
  return { lines: out.trimEnd().split('\n'), error, code: code as number | null };
}

describe('npm run sim', () => {
  it('ends with its totals as JSON', async () => {
    const { lines, code } = await run(['--seeds', '3', '--minutes', '0.2', '--tasks', '3', '--jobs', '2']);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ seeds: 3, violations: 0 });
    expect(code).toBe(0);
  });

  it('ends with the totals so far when its time is over or it gets SIGTERM', async () => {
    const endless = ['--for', '60', '--minutes', '0.2', '--tasks', '3', '--jobs', '2'];
    const killed = await run(endless, (kill) => kill());
    expect(JSON.parse(killed.lines.at(-1) ?? '')).toMatchObject({ violations: 0 });
    expect(killed.code).toBe(0);
    const timed = await run(['--for', '0.05', ...endless.slice(2)]);
    expect(JSON.parse(timed.lines.at(-1) ?? '')).toMatchObject({ violations: 0 });
    expect(timed.code).toBe(0);
  });

  it('names the seeds that fail, with what is broken and the command that runs one again', async () => {
    const { lines, code } = await run(['--seeds', '1', '--minutes', '0.2', '--tasks', '3', '--nodes', '0']);
    expect(lines.join('\n')).toContain('not every shard has an owner');
    expect(lines.join('\n')).toContain('again: npm run sim -- --seeds 1 --seed 1 --minutes 0.2 --mix dense --nodes 0');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ seeds: 1 });
    expect(code).toBe(1);
  });

  it('refuses a number that is none', async () => {
    const { error, code } = await run(['--seeds', 'many']);
    expect(error).toContain('--seeds must be a number from 1, not many');
    expect(code).toBe(1);
  });
});
