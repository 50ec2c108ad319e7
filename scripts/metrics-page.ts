import { join, resolve } from 'node:path';

import { format, resolveConfig } from 'prettier';

import { metricCatalog } from '../src/ports/metric-catalog.ts';

/** Where the page lies. */
export const metricsPageFile = join(resolve(import.meta.dirname, '..'), 'docs/METRICS.md');

/** The page of all metrics, from `metricCatalog`. */
export async function formatMetricsPage(): Promise<string> {
  const rows = Object.values(metricCatalog)
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .map(({ name, kind, labels, help, look }) => {
      const labelText = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`cabinet_${name}\` | ${kind} | ${labelText} | ${help} | ${look} |`;
    });
  const page = [
    '# Metrics',
    '',
    '<!-- Written by `npx tsx scripts/write-metrics.ts` from src/ports/metric-catalog.ts; a test holds it to that. -->',
    '',
    'Prometheus metrics of a node, and of a supervisor that joins those of its processes. Units are seconds, bytes and counts. No label',
    'holds a task, a node or any other id; user-made names (pipelines, stages, ports) beyond 2,000 series of a metric are counted as `other`.',
    'A supervisor sums counters and histograms over its processes, also over those that have ended, so that no sum goes back; gauges are',
    'summed, or the worst or newest one is shown. Beside these there are the numbers of Node itself (`cabinet_process_*`, `cabinet_nodejs_*`).',
    '',
    'A dashboard (`ops/grafana-dashboard.json`) and alert rules (`ops/alerts.yaml`, explained in [OPERATING.md](OPERATING.md)) use them.',
    '',
    '| Metric | Type | Labels | What it is | When to look at it |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  return format(page, { ...(await resolveConfig(metricsPageFile)), parser: 'markdown' });
}
