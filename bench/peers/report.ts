import type { PeerRun } from './measure.ts';
import type { System } from './systems.ts';

/** A figure's middle and its ends over the runs. */
interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** The table for people: a row a system, medians with the least and the most of the runs. */
export function formatTable(rows: readonly { readonly system: System; readonly runs: readonly PeerRun[] }[]): string {
  const head = [
    'system',
    'durability',
    'pipelines/s',
    'p50 ms',
    'p99 ms',
    'CPU µs: all (worker + server + client)',
    'alone p50 / p99 ms',
    'kill -9: all done after s',
  ];
  const lines = rows.map(({ system, runs }) => {
    const of = (name: NumberOf): Spread => spreadOf(runs.map((run) => run[name]));
    const version = runs[0]?.version ?? 'no run succeeded';
    return [
      `${system.title}, ${version}`,
      system.durability,
      format(of('pipelinesPerSecond')),
      format(of('p50Ms')),
      format(of('p99Ms')),
      `${textOf(of('cpuMicros').median)} (${(['workerCpuMicros', 'serverCpuMicros', 'clientCpuMicros'] as const)
        .map((name) => textOf(of(name).median))
        .join(' + ')})`,
      `${textOf(of('aloneP50Ms').median)} / ${textOf(of('aloneP99Ms').median)}`,
      formatRecovery(runs),
    ];
  });
  const widths = head.map((cell, column) =>
    Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0), cell.length),
  );
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return `${[row(head), rule, ...lines.map(row)].join('\n')}\n`;
}

/** Medians of all figures of a system; of a recovery only where every run finished. */
export function mediansOf(runs: readonly PeerRun[]): Readonly<Record<string, number | null>> {
  const medians = figureNames.map((name) => [name, round(spreadOf(runs.map((run) => run[name])).median)] as const);
  const recoveries = runs.map(({ recoverySeconds }) => recoverySeconds);
  const isFinished = recoveries.every((seconds) => seconds !== null);
  return {
    ...Object.fromEntries(medians),
    recoverySeconds: isFinished ? round(spreadOf(recoveries).median) : null,
  };
}

const figureNames = [
  'pipelinesPerSecond',
  'p50Ms',
  'p99Ms',
  'cpuMicros',
  'workerCpuMicros',
  'serverCpuMicros',
  'clientCpuMicros',
  'aloneP50Ms',
  'aloneP99Ms',
  'killTasksDone',
] as const;

type NumberOf = (typeof figureNames)[number];

function formatRecovery(runs: readonly PeerRun[]): string {
  if (runs.length === 0) return '–';
  const unfinished = runs.filter(({ recoverySeconds }) => recoverySeconds === null);
  if (unfinished.length > 0) {
    const done = Math.min(...unfinished.map(({ killTasksDone }) => killTasksDone));
    return `not in time in ${unfinished.length} of ${runs.length} (${done} done)`;
  }
  return format(spreadOf(runs.flatMap(({ recoverySeconds }) => recoverySeconds ?? [])));
}

function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((left, right) => left - right);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  };
}

function format({ median, least, most }: Spread): string {
  if (Number.isNaN(median)) return '–';
  return `${round(median)} (${round(least)}–${round(most)})`;
}

/** As figures are printed: three digits or so; a dash for what was not measured. */
function textOf(value: number): string {
  return Number.isNaN(value) ? '–' : String(round(value));
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
