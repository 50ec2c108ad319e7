import type { HistoryRecord } from '../api/types.ts';
import { placeOf } from './task-words.ts';

/** Which way a task went through its machine, up to one of its records. */
export interface MachinePath {
  /** The state after the record. */
  readonly active: string;
  /** How often each state was entered. */
  readonly visits: ReadonlyMap<string, number>;
  /** `from>to` of the stages that it went between; also `new` and `completed`. */
  readonly edges: ReadonlySet<string>;
  /** The stage of the record, for the edge that was taken last; null when it did not change stages. */
  readonly lastEdge: string | null;
}

/** The way up to and with the record at `index`. Records in one state after another count as one visit, unless an attempt began. */
export function machinePath(records: readonly HistoryRecord[], index: number): MachinePath {
  const visits = new Map<string, number>();
  const edges = new Set<string>();
  let active = 'new';
  let place = 'new';
  let lastEdge: string | null = null;
  for (const { record } of records.slice(0, index + 1)) {
    const isEntry = record.to !== active || record.event.type === 'retry.due' || record.event.type === 'stage.started';
    if (isEntry) visits.set(record.to, (visits.get(record.to) ?? 0) + 1);
    const { stage, status } = placeOf(record.to);
    const next = stage ?? status;
    lastEdge = null;
    if (next !== place) {
      lastEdge = edgeKey(place, next);
      edges.add(lastEdge);
    }
    place = next;
    active = record.to;
  }
  return { active, visits, edges, lastEdge };
}

/** The name of an edge in {@link MachinePath}. */
export function edgeKey(from: string, to: string): string {
  return `${from}>${to}`;
}
