import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';

import { findPromtool, type PromtoolFinding } from '../../scripts/promtool.ts';
import { RetryableError, startNode, type RunningNode } from '../../src/index.ts';
import { MetricJoin } from '../../src/platform/metric-join.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import { aPipeline } from '../support/shard-kit.ts';

const run = promisify(execFile);
const ops = resolve(import.meta.dirname, '../../ops');

/** What promtool said, with its exit code. */
interface Verdict {
  readonly code: number | null;
  readonly text: string;
}

let finding: PromtoolFinding;

/** The path of promtool. Where its own package manager should have given it, a missing one is a failure; elsewhere the test does not run. */
function promtoolOf(context: TestContext): string {
  if (finding.kind === 'found') return finding.path;
  if (finding.isExpected) throw new Error(`promtool is needed: ${finding.reason}`);
  return context.skip(`not checked by promtool: ${finding.reason}`);
}

function checkMetrics(promtool: string, text: string): Promise<Verdict> {
  return new Promise((done, reject) => {
    const child = spawn(promtool, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => done({ code, text: output }));
    child.stdin.end(text);
  });
}

async function promtoolWith(promtool: string, args: readonly string[]): Promise<Verdict> {
  try {
    const { stdout, stderr } = await run(promtool, [...args], { cwd: ops });
    return { code: 0, text: `${stdout}${stderr}` };
  } catch (thrown) {
    const { code, stdout, stderr } = thrown as { code: number; stdout: string; stderr: string };
    return { code, text: `${stdout}${stderr}` };
  }
}

beforeAll(async () => {
  finding = await findPromtool();
});

describe('promtool', () => {
  let folder: string;
  let node: RunningNode;
  const metrics = new PrometheusMetrics({ processMetrics: true });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cabinet-promtool-'));
    const failing = aPipeline({
      delayMs: 10,
      run: ({ attempt }) => {
        if (attempt === 1) throw new RetryableError('once more');
        return null;
      },
    });
    node = await startNode({ pipelines: [failing], nats: { dataDir: folder }, config: { shardCount: 2 }, metrics });
    const { taskId } = await node.client.submit('card', 'x');
    await node.client.result('card', taskId);
  });

  afterAll(async () => {
    await node.stop({ graceMs: 0 });
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  it('finds nothing wrong with the metrics of a node', async (context) => {
    const promtool = promtoolOf(context);
    const text = await metrics.text();
    expect(text).toContain('cabinet_tasks_total{pipeline="card",outcome="completed"} 1');
    expect(await checkMetrics(promtool, text)).toEqual({ code: 0, text: '' });
  });

  it('finds nothing wrong with the joined metrics of processes, one of which has died', async (context) => {
    const promtool = promtoolOf(context);
    const joined = new MetricJoin();
    joined.update(0, 1, await metrics.snapshot(), 0);
    joined.ended(0, 1);
    joined.update(0, 2, await metrics.snapshot(), 0);
    joined.update(1, 1, await metrics.snapshot(), 0);
    const text = joined.render(1_500);
    expect(text).toContain('cabinet_tasks_total{pipeline="card",outcome="completed"} 3');
    expect(await checkMetrics(promtool, text)).toEqual({ code: 0, text: '' });
  });

  it('refuses a text that is wrong, so that the checks above can fail', async (context) => {
    const promtool = promtoolOf(context);
    const { code, text } = await checkMetrics(promtool, '# TYPE cabinet_tasks counter\ncabinet_tasks 1\n');
    expect([code === 0, text]).toEqual([false, expect.stringContaining('_total')]);
  });

  it('finds nothing wrong with the alert rules', async (context) => {
    const promtool = promtoolOf(context);
    expect(await promtoolWith(promtool, ['check', 'rules', 'alerts.yaml'])).toMatchObject({ code: 0 });
  });

  it('has for each alert a case in which it fires and one, with its own series there, in which it does not', async () => {
    const rules = await readFile(join(ops, 'alerts.yaml'), 'utf8');
    const cases = await readFile(join(ops, 'alerts.test.yaml'), 'utf8');
    const expressions = new Map(
      [...rules.matchAll(/- alert: (\w+)\n +expr: >-\n +(.+)/g)].map(([, name = '', expression = '']) => [
        name,
        expression.match(/cabinet_\w+/)?.[0] ?? '',
      ]),
    );
    expect(expressions.size).toBe(rules.split('- alert:').length - 1);
    const groups = cases.split('  - interval:').slice(1);
    for (const [name, metric] of expressions) {
      const withSeries = groups.filter((group) => group.includes(`- series: '${metric}{`));
      const has = (expected: string): boolean =>
        withSeries.some((group) => group.includes(`alertname: ${name}\n        exp_alerts:${expected}`));
      expect([name, has('\n          - exp_labels'), has(' []')]).toEqual([name, true, true]);
    }
  });

  it('sees each alert fire on bad series and stay silent on good ones', async (context) => {
    const promtool = promtoolOf(context);
    expect(await promtoolWith(promtool, ['test', 'rules', 'alerts.test.yaml'])).toMatchObject({ code: 0 });
  });

  it('sees a rule that would never fire, so that the check above can fail', async (context) => {
    const promtool = promtoolOf(context);
    const rules = await readFile(join(ops, 'alerts.yaml'), 'utf8');
    const broken = rules.replace('cabinet_lease_lost_total[10m]', 'cabinet_lease_kept_total[10m]');
    await writeFile(join(folder, 'alerts.yaml'), broken);
    await writeFile(join(folder, 'alerts.test.yaml'), await readFile(join(ops, 'alerts.test.yaml')));
    const verdict = await promtoolWith(promtool, ['test', 'rules', join(folder, 'alerts.test.yaml')]);
    expect(verdict).toMatchObject({ code: 1, text: expect.stringContaining('CabinetLeaseLost') as string });
  });
});
