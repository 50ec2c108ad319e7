import { messageOf, startChild, stopChild } from './child-process.ts';
import type { Watched } from './load-run.ts';
import { usageOfAll } from './process-usage.ts';

/** Where somebody looks on, and how many do. */
export interface WatchPlace {
  readonly servers: readonly string[];
  readonly namespace: string;
  readonly clients: number;
}

/** A process that follows all shards for as many inspections. */
export async function startInspector(place: WatchPlace): Promise<Watched> {
  const reader = startChild('inspect-process.js', place);
  await messageOf(reader);
  return {
    usage: () => ({ inspector: usageOfAll([reader.pid ?? 0]) }),
    during: async () => undefined,
    mark: async () => undefined,
    figures: async () => ({}),
    stop: () => stopChild(reader),
  };
}
