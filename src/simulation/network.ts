import type { Random } from '../ports/random.ts';
import type { Scheduler } from './scheduler.ts';

/** How the network treats messages. Rates are parts of 1. */
export interface NetworkQuality {
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** How often a message takes up to `spikeMs`. */
  readonly spikeRate: number;
  readonly spikeMs: number;
  /** Whether messages of one link may overtake each other. */
  readonly reorders: boolean;
}

/** A network in order. */
export const goodNetwork: NetworkQuality = {
  lossRate: 0,
  duplicateRate: 0,
  spikeRate: 0,
  spikeMs: 0,
  reorders: false,
};

/** What the network has done to messages. */
export interface NetworkCounts {
  lost: number;
  duplicated: number;
  delayed: number;
  overtaken: number;
  /** Kept back by a blocked link and delivered when it was open again. */
  late: number;
}

/** Way of a message when nothing is wrong. */
const leastWayMs = 0.1;
const usualWayMs = 1.5;
/** Part of the messages into a blocked link that is kept and comes when the link is open again, as buffers do; the rest is lost. */
const keptRate = 0.3;
/** Between two messages of one link that keep their order. */
const leastGapMs = 0.000_1;
/** Most messages that a blocked link keeps. */
const maximumKept = 64;

interface Kept {
  readonly deliver: () => void;
  readonly isReliable: boolean;
}

interface Link {
  readonly name: string;
  /** Blocks in force. */
  blocks: number;
  readonly kept: Kept[];
  lastArrivalMs: number;
  /** The same of those that are never lost: they keep their order even where others overtake each other. */
  lastReliableMs: number;
}

/** The ways between machines: each direction of each pair is a link of its own, with its delays, losses and blocks. */
export class Network {
  readonly counts: NetworkCounts = { lost: 0, duplicated: 0, delayed: 0, overtaken: 0, late: 0 };
  quality: NetworkQuality = goodNetwork;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  /** By sender, then by receiver. */
  readonly #links = new Map<string, Map<string, Link>>();

  constructor(deps: { readonly scheduler: Scheduler; readonly random: Random }) {
    this.#scheduler = deps.scheduler;
    this.#random = deps.random;
  }

  /** Brings a message to the other side, or not. @param isReliable - its connection sees to it that it is not lost, while the link is open */
  send(from: string, to: string, deliver: () => void, isReliable = false): void {
    const link = this.#linkOf(from, to);
    if (link.blocks > 0) {
      this.#keep(link, { deliver, isReliable });
      return;
    }
    const { lossRate, duplicateRate } = this.quality;
    if (!isReliable && lossRate > 0 && this.#random.next() < lossRate) {
      this.counts.lost += 1;
      return;
    }
    this.#transmit(link, { deliver, isReliable });
    if (isReliable || duplicateRate === 0 || this.#random.next() >= duplicateRate) return;
    this.counts.duplicated += 1;
    this.#transmit(link, { deliver, isReliable });
  }

  /** Blocks one direction until the returned function is called. */
  block(from: string, to: string): () => void {
    const link = this.#linkOf(from, to);
    link.blocks += 1;
    let isBlocked = true;
    return () => {
      if (!isBlocked) return;
      isBlocked = false;
      link.blocks -= 1;
      if (link.blocks > 0) return;
      for (const kept of link.kept.splice(0)) {
        this.counts.late += 1;
        this.#transmit(link, kept);
      }
    };
  }

  isBlocked(from: string, to: string): boolean {
    return this.#linkOf(from, to).blocks > 0;
  }

  #keep(link: Link, message: Kept): void {
    const isKept = message.isReliable || (link.kept.length < maximumKept && this.#random.next() < keptRate);
    if (isKept) link.kept.push(message);
    else this.counts.lost += 1;
  }

  #transmit(link: Link, { deliver, isReliable }: Kept): void {
    const { reorders } = this.quality;
    let arrivalMs = this.#scheduler.nowMs + this.#wayMs();
    // In the order of sending where two arrive at once: the queue has none of its own.
    const leastMs = (reorders ? link.lastReliableMs : link.lastArrivalMs) + leastGapMs;
    if (arrivalMs < leastMs && (!reorders || isReliable)) arrivalMs = leastMs;
    if (arrivalMs < link.lastArrivalMs) this.counts.overtaken += 1;
    link.lastArrivalMs = Math.max(link.lastArrivalMs, arrivalMs);
    if (isReliable) link.lastReliableMs = arrivalMs;
    this.#scheduler.at(arrivalMs, link.name, deliver);
  }

  #wayMs(): number {
    const { spikeRate, spikeMs } = this.quality;
    const usual = leastWayMs + this.#random.next() * usualWayMs;
    if (spikeRate === 0 || this.#random.next() >= spikeRate) return usual;
    this.counts.delayed += 1;
    return usual + this.#random.next() * spikeMs;
  }

  #linkOf(from: string, to: string): Link {
    const ofSender = this.#links.get(from) ?? new Map<string, Link>();
    this.#links.set(from, ofSender);
    const known = ofSender.get(to);
    if (known !== undefined) return known;
    const name = `${from} > ${to}`;
    const link: Link = { name, blocks: 0, kept: [], lastArrivalMs: 0, lastReliableMs: 0 };
    ofSender.set(to, link);
    return link;
  }
}
