import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const repository = resolve(import.meta.dirname, '../..');
const entry = resolve(repository, 'chaos/dist/chaos/main.js');
const run = promisify(execFile);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a chaos script to its end, whatever its exit code. */
async function chaos(...args: readonly string[]): Promise<Ended> {
  try {
    return { code: 0, ...(await run(process.execPath, [entry, ...args], { cwd: repository })) };
  } catch (error) {
    const { code, stdout, stderr } = error as Ended;
    return { code, stdout, stderr };
  }
}

/** A short run of each scenario: the seeds are such that their first rounds already bite. */
const smokes = [
  {
    name: 'zombie',
    rounds: 2,
    seed: 2,
    rule: 'R-LOCK-1 R-WRK-2',
    promise: 'an owner that slept too long writes nothing',
  },
  {
    name: 'churn',
    rounds: 2,
    seed: 3,
    rule: 'R-WRK-2 R-LOCK-2',
    promise: 'nodes come and go and no shard stays alone',
  },
  {
    name: 'nats',
    rounds: 1,
    seed: 3,
    rule: 'R-CORE-3',
    promise: 'servers die and nothing that was accepted is missing',
  },
  {
    name: 'kill',
    rounds: 2,
    seed: 1,
    rule: 'R-WRK-2 R-FAIL-1',
    promise: 'a node process is killed, then a machine freezes, and what ran there runs again soon',
  },
  {
    name: 'rolling',
    rounds: 1,
    seed: 3,
    rule: 'R-WRK-2',
    promise: 'nodes start anew in good order and no stage is cut off within its grace',
  },
  {
    name: 'poison',
    rounds: 5,
    seed: 4,
    rule: 'R-FAIL-1',
    promise: 'bad drivers end as dead letters of their class, and nobody else is hurt',
  },
] as const;

describe('npm run chaos', () => {
  beforeAll(() =>
    run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.chaos.json'], { cwd: repository }),
  );

  it.each(smokes)('$rule $name: $promise', async ({ name, rounds, seed }) => {
    const { code, stdout, stderr } = await chaos(name, '--rounds', String(rounds), '--seed', String(seed));
    const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, number>;
    expect(result, `${stdout}${stderr}`).toMatchObject({
      name,
      rounds,
      seed,
      lost: 0,
      repeated: 0,
      duplicateEffects: 0,
      violations: [],
      ok: true,
    });
    expect(result['completed']).toBe(result['tasks']);
    expect(result['tasks']).toBeGreaterThan(0);
    expect(result['faults']).toBeGreaterThanOrEqual(rounds);
    expect(code).toBe(0);
  });

  it.each([
    [[], "there is no scenario ''"],
    [['flood'], "there is no scenario 'flood', only"],
    [['zombie', 'churn'], "one scenario at a time: 'churn' is too much"],
    [['zombie', '--rounds', '0'], '--rounds must be a whole number from 1'],
    [['zombie', '--seed', 'x'], "--seed must be a whole number from 0 to 4294967295, not 'x'"],
    [['zombie', '--speed', '2'], "Unknown option '--speed'"],
  ])('refuses %j with a clear line and exit code 2', async (args, line) => {
    const { code, stdout, stderr } = await chaos(...args);
    expect(stderr).toContain(line);
    expect(stderr).toContain('npm run chaos -- ');
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
