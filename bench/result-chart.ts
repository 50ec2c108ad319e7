import type { Chart } from './chart.ts';
import type { ResultLine } from './result-file.ts';

/** What of the results is drawn. */
export interface ChartRequest {
  /** Of each line, such as `pipelinesPerSecond`. */
  readonly figure: string;
  readonly title: string;
  readonly unit: string;
}

/** The lines of a results file. @throws Error with the number of a line that is no result */
export function parseResults(text: string): readonly ResultLine[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      const result = JSON.parse(line) as Partial<ResultLine>;
      // Lines that an earlier bench wrote have no figures.
      return result.figures === undefined ? [] : [result as ResultLine];
    } catch (error) {
      throw new Error(`line ${index + 1} of the results is not JSON`, { cause: error });
    }
  });
}

/**
 * A bar for the last result of each command that has the figure, in the order in which the commands first came. Pure.
 *
 * @throws Error when no result has it
 */
export function resultChart(results: readonly ResultLine[], { figure, title, unit }: ChartRequest): Chart {
  const latest = new Map<string, ResultLine>();
  for (const result of results) {
    if (result.figures[figure] !== undefined) latest.set(labelOf(result), result);
  }
  const last = [...latest.values()].at(-1);
  if (last === undefined) throw new Error(`no result has the figure ${figure}`);
  const bars = [...latest].map(([label, { figures }]) => {
    const { median, least, most } = figures[figure] ?? { median: 0, least: 0, most: 0 };
    return { label, median, least, most };
  });
  const { at, runs, machine, node, natsServer, commit } = last;
  const software = [`Node ${node}`, ...(natsServer === null ? [] : [`nats-server ${natsServer}`])].join(', ');
  const note = `Medians of ${runs.length} runs, least and most. ${machine}, ${software}, commit ${commit}, ${at.slice(0, 10)}.`;
  return { title, unit, note, bars };
}

function labelOf({ mode, settings }: ResultLine): string {
  const { sync, replicas, nodes, shards } = settings;
  const parts = [
    mode,
    ...(sync === undefined ? [] : [sync === 'always' ? 'sync always' : 'default sync']),
    ...(replicas === 3 ? ['3 replicas'] : []),
    ...(typeof nodes === 'number' && nodes > 1 ? [`${nodes} nodes`] : []),
    ...(typeof shards === 'number' && shards !== 8 ? [`${shards} shards`] : []),
  ];
  return parts.join(', ');
}
