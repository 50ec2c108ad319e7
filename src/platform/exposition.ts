import type { Labels } from '../ports/metrics.ts';
import type { MetricSeries, MetricSnapshot } from './metric-family.ts';

/** Media type of {@link writeExposition}. */
export const expositionContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics in the text format of Prometheus. A metric without a series has no value to show and is left out. */
export function writeExposition(families: Iterable<MetricSnapshot>): string {
  const lines: string[] = [];
  for (const { name, help, kind, series } of families) {
    if (series.length === 0) continue;
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${kind}`);
    for (const one of series) writeSeries(lines, name, one);
  }
  return `${lines.join('\n')}\n`;
}

function writeSeries(lines: string[], name: string, series: MetricSeries): void {
  const { labels } = series;
  if ('value' in series) {
    lines.push(`${name}${formatLabels(labels)} ${formatValue(series.value)}`);
    return;
  }
  for (const { upTo, count } of series.buckets) {
    lines.push(`${name}_bucket${formatLabels(labels, formatValue(upTo))} ${count}`);
  }
  lines.push(
    `${name}_bucket${formatLabels(labels, '+Inf')} ${series.count}`,
    `${name}_sum${formatLabels(labels)} ${formatValue(series.sum)}`,
    `${name}_count${formatLabels(labels)} ${series.count}`,
  );
}

function formatLabels(labels: Labels, upTo?: string): string {
  const parts = Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`);
  if (upTo !== undefined) parts.push(`le="${upTo}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function formatValue(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
