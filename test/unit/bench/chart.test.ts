import { describe, expect, it } from 'vitest';
import { chartSvg } from '../../../bench/chart.ts';
import type { ResultLine } from '../../../bench/result-file.ts';
import { parseResults, resultChart } from '../../../bench/result-chart.ts';

const request = { figure: 'pipelinesPerSecond', title: 'Pipelines a second', unit: '/s' };

function aResult(median: number, settings: Readonly<Record<string, unknown>> = { sync: 'default' }): ResultLine {
  const figures = { pipelinesPerSecond: { median, least: median - 10, most: median + 10 } };
  return {
    at: '2026-01-02T03:04:05.000Z',
    mode: 'throughput',
    command: 'npm run bench -- throughput',
    engine: '0.1.0',
    commit: 'abc',
    node: 'v20.0.0',
    machine: '2 × CPU',
    loadAverage: 0,
    natsServer: '2.15.1',
    settings,
    runs: [{}, {}, {}],
    figures,
  };
}

describe('the chart of results', () => {
  it('has a bar for the last result of each setting, in the order in which they first came', () => {
    const { bars } = resultChart([aResult(100), aResult(50, { sync: 'always' }), aResult(120)], request);
    expect(bars).toEqual([
      { label: 'throughput, default sync', median: 120, least: 110, most: 130 },
      { label: 'throughput, sync always', median: 50, least: 40, most: 60 },
    ]);
  });

  it('says how it was measured', () => {
    expect(resultChart([aResult(100)], request).note).toBe(
      'Medians of 3 runs, least and most. 2 × CPU, Node v20.0.0, nats-server 2.15.1, commit abc, 2026-01-02.',
    );
  });

  it('is refused where no result has the figure', () => {
    expect(() => resultChart([aResult(100)], { ...request, figure: 'p50Ms' })).toThrow(
      'no result has the figure p50Ms',
    );
  });

  it('leaves out lines of an earlier bench, and names a line that is no JSON', () => {
    expect(parseResults(`{"kind":"throughput","medians":{}}\n\n${JSON.stringify(aResult(1))}\n`)).toEqual([aResult(1)]);
    expect(() => parseResults('{}\n{"at":')).toThrow('line 2 of the results is not JSON');
  });

  it('is the same for the same results, with a title and a description for those who cannot see it', () => {
    const chart = resultChart([aResult(1_234.5)], request);
    const svg = chartSvg(chart);
    expect(chartSvg(chart)).toBe(svg);
    expect(svg).toContain('role="img" aria-labelledby="title desc"');
    expect(svg).toContain('<title id="title">Pipelines a second</title>');
    expect(svg).toContain('throughput, default sync: 1,235 /s (1,225 to 1,245)');
  });

  it('escapes what would be markup', () => {
    const svg = chartSvg({ title: 'a < b & "c"', unit: '', note: '<script>', bars: [] });
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg).not.toContain('<script>');
  });

  it('draws no bar longer than the largest one, and none for nothing', () => {
    const bar = (median: number) => ({ label: 'x', median, least: median, most: median });
    const widths = (values: readonly number[]): readonly number[] =>
      [
        ...chartSvg({ title: '', unit: '', note: '', bars: values.map(bar) }).matchAll(
          /class="bar".*? width="([\d.]+)"/g,
        ),
      ].map((match) => Number(match[1]));
    expect(widths([10, 5, 0])).toEqual([400, 200, 0]);
    expect(widths([0])).toEqual([0]);
  });
});
