// Writes a chart of the figures in results files of `npm run bench`:
// npm run docs:chart -- [--figure NAME] [--title TEXT] [--unit TEXT] [--out FILE] [bench/results/throughput.jsonl …]
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { chartSvg } from '../bench/chart.ts';
import { parseResults, resultChart } from '../bench/result-chart.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    figure: { type: 'string', default: 'pipelinesPerSecond' },
    title: { type: 'string', default: 'Completed pipelines a second, five durable stages' },
    unit: { type: 'string', default: '/s' },
    out: { type: 'string', default: 'docs/bench.svg' },
  },
});
const files = positionals.length > 0 ? positionals : ['bench/results/throughput.jsonl'];
const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
await writeFile(values.out, chartSvg(resultChart(texts.flatMap(parseResults), values)));
process.stdout.write(`${values.out}\n`);
