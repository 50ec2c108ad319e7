import type { FaultKind } from '../checking/history-events.ts';
import type { Random } from '../ports/random.ts';
import type { NetworkQuality } from './network.ts';

/** A fault that a seed has drawn: what, where, when, for how long. */
export type PlannedFault = {
  /** Its place in the seed's draw, which masking others does not change. */
  readonly id: number;
  readonly atMs: number;
  readonly forMs: number;
} & (
  | { readonly kind: 'crash'; readonly node: number; readonly tellsExit: boolean }
  | { readonly kind: 'pause'; readonly node: number }
  | { readonly kind: 'drain'; readonly node: number; readonly graceMs: number }
  /** Nothing comes through from one machine to another; `isOneWay` false: in neither direction. */
  | {
      readonly kind: 'partition';
      readonly node: number;
      readonly server: 'bus' | 'store' | 'both';
      readonly way: 'out' | 'in' | 'bothWays';
    }
  /** A connection breaks and comes back. */
  | { readonly kind: 'disconnect'; readonly node: number; readonly server: 'bus' | 'store' }
  | { readonly kind: 'clockJump'; readonly node: number | null; readonly byMs: number }
  | { readonly kind: 'storeDown' }
  | { readonly kind: 'storeFailover' }
  | { readonly kind: 'storeSlow'; readonly slowMs: number }
  | { readonly kind: 'storeFull' }
  | { readonly kind: 'staleReads'; readonly lagMs: number }
  | { readonly kind: 'network'; readonly quality: Partial<NetworkQuality> }
  | { readonly kind: 'outside'; readonly failureRate: number }
);

/** The kinds of planned faults. */
export type PlannedKind = PlannedFault['kind'];

/** All kinds, in the order of the draw. */
export const plannedKinds = [
  'crash',
  'pause',
  'drain',
  'partition',
  'disconnect',
  'clockJump',
  'storeDown',
  'storeFailover',
  'storeSlow',
  'storeFull',
  'staleReads',
  'network',
  'outside',
] as const satisfies readonly PlannedKind[];

/**
 * How close together faults are. `dense`: each kind that a seed has comes every 6 to 60 s, and in most seeds heartbeats are rarer than
 * they really are, so that more else happens. `sparse`: a cluster's every day; each kind comes every 1 to 10 minutes, and heartbeats are
 * as a node sends them.
 */
export type FaultMix = 'dense' | 'sparse';

/** Chance of a kind to be in a seed's draw at all: a swarm of few at a time finds more than all at once. */
const presence = 0.45;
/** From one fault of a kind to the next, when they are dense; sparse ones are so many times further apart. */
const leastIntervalMs = 6_000;
const mostIntervalMs = 60_000;
const sparseness = 10;
/** Before the first fault: the cluster has come up, or is about to. */
const firstAtMs = 500;

/** What a plan is drawn for. */
export interface PlanOptions {
  readonly nodes: number;
  /** No fault begins or lasts beyond. */
  readonly untilMs: number;
  readonly kinds: readonly PlannedKind[];
  readonly leaseTtlMs: number;
  readonly mix: FaultMix;
}

/** Draws which faults a seed has and how strong they are. Pure but for its random. */
export function drawFaults(random: Random, options: PlanOptions): readonly PlannedFault[] {
  const faults: PlannedFault[] = [];
  for (const kind of plannedKinds) {
    const isPresent = random.next() < presence;
    const scale = options.mix === 'sparse' ? sparseness : 1;
    const intervalMs = scale * leastIntervalMs * (mostIntervalMs / leastIntervalMs) ** random.next();
    if (!isPresent || !options.kinds.includes(kind)) continue;
    for (
      let atMs = firstAtMs + random.next() * intervalMs;
      atMs < options.untilMs;
      atMs += random.next() * 2 * intervalMs
    ) {
      const fault = drawFault(kind, { id: faults.length, atMs }, random, options);
      faults.push({ ...fault, forMs: Math.min(fault.forMs, options.untilMs - atMs) });
    }
  }
  return faults.toSorted((left, right) => left.atMs - right.atMs);
}

function drawFault(
  kind: PlannedKind,
  head: { readonly id: number; readonly atMs: number },
  random: Random,
  { nodes, leaseTtlMs }: PlanOptions,
): PlannedFault {
  const node = Math.floor(random.next() * nodes);
  const between = (least: number, most: number): number => least + random.next() * (most - least);
  const pick = <Item>(items: readonly [Item, ...Item[]]): Item =>
    items[Math.floor(random.next() * items.length)] ?? items[0];
  switch (kind) {
    case 'crash':
      return { ...head, kind, node, tellsExit: random.next() < 0.5, forMs: between(0, 15_000) };
    case 'pause':
      // Up to beyond the lease and its margins.
      return { ...head, kind, node, forMs: random.next() < 0.5 ? between(10, 3_000) : between(1_000, leaseTtlMs * 2) };
    case 'drain':
      return { ...head, kind, node, graceMs: pick([0, 500, 5_000]), forMs: between(1_000, 15_000) };
    case 'partition':
      return {
        ...head,
        kind,
        node,
        server: pick(['bus', 'store', 'both']),
        way: pick(['out', 'in', 'bothWays']),
        forMs: between(50, random.next() < 0.5 ? 5_000 : leaseTtlMs * 1.5),
      };
    case 'disconnect':
      return { ...head, kind, node, server: pick(['bus', 'store']), forMs: between(1, 5_000) };
    case 'clockJump':
      return {
        ...head,
        kind,
        node: random.next() < 0.2 ? null : node,
        byMs: (random.next() < 0.5 ? -1 : 1) * 300_000 ** random.next(),
        forMs: 0,
      };
    case 'storeDown':
      return { ...head, kind, forMs: between(200, 12_000) };
    case 'storeFailover':
      return { ...head, kind, forMs: between(200, 9_000) };
    case 'storeSlow':
      return { ...head, kind, slowMs: between(5, 3_000), forMs: between(1_000, 20_000) };
    case 'storeFull':
      return { ...head, kind, forMs: between(200, 15_000) };
    case 'staleReads':
      return { ...head, kind, lagMs: between(10, 10_000), forMs: between(1_000, 60_000) };
    case 'network':
      return { ...head, kind, quality: drawQuality(random), forMs: between(1_000, 40_000) };
    case 'outside':
      return { ...head, kind, failureRate: between(0.05, 0.6), forMs: between(1_000, 40_000) };
    default:
      return kind satisfies never;
  }
}

function drawQuality(random: Random): Partial<NetworkQuality> {
  const rate = (most: number): number => (random.next() < 0.5 ? 0 : random.next() ** 2 * most);
  return {
    lossRate: rate(0.3),
    duplicateRate: rate(0.5),
    spikeRate: rate(0.3),
    spikeMs: 10 * 1_000 ** random.next(),
    reorders: random.next() < 0.5,
  };
}

/** How a history names a planned fault. */
export function historyKindOf(fault: PlannedFault): FaultKind {
  switch (fault.kind) {
    case 'partition':
      return fault.way === 'bothWays' ? 'partition' : 'partitionOneWay';
    case 'disconnect':
      return 'partition';
    case 'staleReads':
      return 'delay';
    case 'storeFull':
      // What was proposed before is stored, and some of what is refused too: not the fault in which nothing is.
      return 'storeSlow';
    case 'outside':
      return 'poison';
    case 'network':
      return (fault.quality.lossRate ?? 0) > 0 ? 'loss' : 'delay';
    default:
      return fault.kind;
  }
}

/** A planned fault as one line. */
export function formatFault({ id, kind, atMs, forMs, ...rest }: PlannedFault): string {
  return `#${id} ${kind} at ${seconds(atMs)} for ${seconds(forMs)} ${JSON.stringify(rest)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`;
}
