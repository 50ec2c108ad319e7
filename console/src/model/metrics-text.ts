import type { HistogramValue } from '../../../src/core/histogram.ts';

/** A number of a metrics text. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const linePattern = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?$/;
const labelPattern = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a text in the format of Prometheus whose names begin so. */
export function readMetrics(text: string, prefix: string): readonly MetricSample[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith(prefix)) return [];
    const match = linePattern.exec(line);
    if (match === null) return [];
    const [, name = '', labels = '', value = ''] = match;
    return [{ name, labels: labelsOf(labels), value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) }];
  });
}

/** The histogram of that name, over the series with these labels. */
export function histogramOf(
  samples: readonly MetricSample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): HistogramValue {
  const own = samples.filter(
    (sample) =>
      sample.name.startsWith(name) && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  const buckets = new Map<number, number>();
  for (const sample of own) {
    if (sample.name !== `${name}_bucket`) continue;
    const { le } = sample.labels;
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + sample.value);
  }
  const total = (suffix: string): number =>
    own.reduce((sum, sample) => (sample.name === `${name}${suffix}` ? sum + sample.value : sum), 0);
  return {
    count: total('_count'),
    sum: total('_sum'),
    buckets: [...buckets].map(([upTo, count]) => ({ upTo, count })).toSorted((one, other) => one.upTo - other.upTo),
  };
}

function labelsOf(text: string): Readonly<Record<string, string>> {
  const pairs = [...text.matchAll(labelPattern)].map(([, name = '', value = '']) => [
    name,
    value.replaceAll(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character)),
  ]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
