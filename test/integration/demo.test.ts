import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listSamples } from '../../examples/cabinet/sample-listing.ts';
import { SeededRandom } from '../../src/testing.ts';

const repository = new URL('../../', import.meta.url);

/** Moments of the kill, from the start of the process: between nothing submitted and nearly all done. */
const kills = { count: 5, earliestMs: 1_200, latestMs: 6_000 };

let folder: string;
const running = new Set<ChildProcess>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-demo-'));
});

afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

function startDemo(): {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
} {
  const args = ['--import', 'tsx', 'examples/cabinet/demo.ts', '--json', '--data-dir', folder];
  const child = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.resume();
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, output });
    });
  });
  return { child, ended };
}

describe('npm run demo', () => {
  it('R-WRK-2: killed again and again, it ends every card once it is left alone, and no effect is applied twice', async () => {
    const seed = Date.now() % 1_000_000;
    console.log(`demo kill seed ${seed}`);
    const random = new SeededRandom(seed);
    for (let round = 0; round < kills.count; round += 1) {
      const { child, ended } = startDemo();
      await sleep(kills.earliestMs + random.next() * (kills.latestMs - kills.earliestMs));
      child.kill('SIGKILL');
      await ended;
    }
    const { code, output } = await startDemo().ended;
    const summary = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Record<string, number>;
    const samples = await listSamples();
    const expected = samples.filter(({ expect: { outcome } }) => outcome === 'completed').length;
    expect(summary).toMatchObject({
      tasks: samples.length,
      completed: expected,
      deadLettered: samples.length - expected,
      duplicateEffects: 0,
    });
    expect(code).toBe(0);
    const lines = (await readFile(join(folder, 'feed/feed.ndjson'), 'utf8')).trim().split('\n');
    const cards = lines.map((line) => (JSON.parse(line) as { cardId: string }).cardId);
    expect(cards).toHaveLength(expected);
    expect(new Set(cards).size).toBe(expected);
  });
});
