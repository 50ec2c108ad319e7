import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { describe, expect, it } from 'vitest';

import { formatMetricsPage, metricsPageFile } from '../../scripts/metrics-page.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import { metricCatalog, type CatalogMetric } from '../../src/ports/metric-catalog.ts';
import { TestEngine } from '../../src/testing.ts';
import { aPipeline } from '../support/shard-kit.ts';

const repository = resolve(import.meta.dirname, '../..');
const catalog = new Map<string, CatalogMetric>(Object.values(metricCatalog).map((metric) => [metric.name, metric]));

async function readSources(): Promise<ReadonlyMap<string, string>> {
  const folder = join(repository, 'src');
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'));
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(join(folder, file), 'utf8')] as const)),
  );
}

/** The metrics of the catalog that a text names, and the names in it that the catalog does not have. */
function namesIn(text: string): { readonly known: ReadonlySet<string>; readonly unknown: readonly string[] } {
  const known = new Set<string>();
  const unknown: string[] = [];
  for (const [, name = ''] of text.matchAll(/\bcabinet_([a-z0-9_]+)/g)) {
    const family = catalog.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    const metric = catalog.get(family);
    if (metric !== undefined && (family === name || metric.kind === 'histogram')) known.add(family);
    else unknown.push(name);
  }
  return { known, unknown };
}

describe('the metrics', () => {
  it('are listed in docs/METRICS.md as the catalog has them (npx tsx scripts/write-metrics.ts)', async () => {
    expect(await readFile(metricsPageFile, 'utf8')).toBe(await formatMetricsPage());
  });

  it('have one entry a name, and words for people', () => {
    expect(catalog.size).toBe(Object.keys(metricCatalog).length);
    for (const { name, help, look } of catalog.values())
      expect([name, help.length > 10, look.length > 5]).toEqual([name, true, true]);
  });

  it('have no label that could be an id of a task, node, shard or process', () => {
    const labels = new Set([...catalog.values()].flatMap((metric) => metric.labels));
    for (const label of ['task', 'taskId', 'node', 'shard', 'instance', 'pid', 'incarnation'])
      expect(labels).not.toContain(label);
  });

  it('that the code makes are all in the catalog, as it makes them', async () => {
    const strangers: string[] = [];
    for (const [file, text] of await readSources()) {
      if (file === 'ports/metric-catalog.ts') continue;
      for (const [, kind, name = ''] of text.matchAll(/\.(counter|gauge|histogram)\(\{\s*name: '([a-z0-9_]+)'/g)) {
        if (catalog.get(name)?.kind !== kind) strangers.push(`${file}: ${name}`);
      }
    }
    expect(strangers).toEqual([]);
  });

  it('of the catalog are all made by the code', async () => {
    const text = [...(await readSources())]
      .map(([file, source]) => (file === 'ports/metric-catalog.ts' ? '' : source))
      .join('\n');
    const unused = Object.entries(metricCatalog).filter(
      ([key, { name }]) =>
        !new RegExp(`atalog\\.${key}\\b`).test(text) &&
        !text.includes(`name: '${name}'`) &&
        !['workerUp', 'snapshotAge'].includes(key),
    );
    expect(unused.map(([key]) => key)).toEqual([]);
  });

  it('that a running engine shows are those of the catalog, of the same kind, with those labels', async () => {
    const metrics = new PrometheusMetrics();
    const card = aPipeline();
    const test = TestEngine.create({ pipelines: [card], config: { shardCount: 2 } });
    await test.run(test.createEngine('node-1', [card], { metrics }).start());
    const { taskId } = await test.submit(card, 'x');
    await test.result(card, taskId);
    const families = await metrics.snapshot();
    for (const { name, kind, help, series } of families) {
      const entry = catalog.get(name.slice('cabinet_'.length));
      expect([name, entry?.kind, entry?.help]).toEqual([name, kind, help]);
      for (const { labels } of series) expect(Object.keys(labels)).toEqual(entry?.labels);
    }
    const valueOf = (name: string, labels: Readonly<Record<string, string>> = {}): number | undefined => {
      const family = families.find((one) => one.name === `cabinet_${name}`);
      const found = family?.series.find((one) =>
        Object.entries(labels).every(([label, value]) => one.labels[label] === value),
      );
      return found === undefined || 'count' in found ? found?.count : found.value;
    };
    expect(valueOf('shards')).toBe(2);
    expect(valueOf('shards_owned')).toBe(2);
    expect(valueOf('tasks_accepted_total', { pipeline: 'card' })).toBe(1);
    expect(valueOf('tasks_total', { pipeline: 'card', outcome: 'completed' })).toBe(1);
    expect(valueOf('stage_queue_seconds', { stage: 'parse' })).toBe(1);
    expect(valueOf('recovery_duration_seconds')).toBe(2);
    expect(valueOf('live_tasks', { status: 'running' })).toBe(0);
  });
});

describe('what operators are given', () => {
  it('the dashboard names only metrics that exist', async () => {
    const text = await readFile(join(repository, 'ops/grafana-dashboard.json'), 'utf8');
    const { known, unknown } = namesIn(text);
    expect(unknown).toEqual([]);
    expect(known.size).toBeGreaterThan(25);
    const { panels } = JSON.parse(text) as { panels: readonly { id: number; targets?: readonly { expr: string }[] }[] };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('the alerts and their tests name only metrics that exist', async () => {
    for (const file of ['ops/alerts.yaml', 'ops/alerts.test.yaml']) {
      const { known, unknown } = namesIn(await readFile(join(repository, file), 'utf8'));
      expect([file, unknown]).toEqual([file, []]);
      expect(known.size).toBeGreaterThan(5);
    }
  });

  it('docs/OPERATING.md has a part on each alert, where the alert points to', async () => {
    const rules = await readFile(join(repository, 'ops/alerts.yaml'), 'utf8');
    const page = await readFile(join(repository, 'docs/OPERATING.md'), 'utf8');
    const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
    const anchors = [...rules.matchAll(/runbook_url: docs\/OPERATING\.md#(\w+)/g)].map(([, anchor = '']) => anchor);
    expect(anchors).toEqual(alerts.map((name) => name.toLowerCase()));
    expect([...page.matchAll(/^### (Cabinet\w+)$/gm)].map(([, name]) => name)).toEqual(alerts);
    for (const [, anchor = ''] of page.matchAll(/\]\(#(cabinet\w+)\)/g)) expect(anchors).toContain(anchor);
    expect(namesIn(page).unknown).toEqual([]);
  });
});
