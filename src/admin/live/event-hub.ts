import { asError, assert, EngineError } from '../../core/errors.ts';
import type { Sequence } from '../../core/ids.ts';
import type { Clock, TimerHandle } from '../../ports/clock.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Logger } from '../../ports/logger.ts';
import { pause } from '../../projections/pause.ts';
import { partsOfPosition, startPosition, type Position } from '../../projections/position.ts';
import type { EventFilter } from './event-filter.ts';
import { EventRing } from './event-ring.ts';
import { readTape, type TapeItem } from './event-tape.ts';
import { sharedDelta, type SharedDelta } from './feed.ts';

/** Bounds of an {@link EventHub}. */
export interface EventHubLimits {
  /** Events kept for those who come back soon. */
  readonly ringBytes: number;
  /** Entries read back at the start, so that who comes back after a restart is served from memory. */
  readonly warmEntries: number;
  /** Events of so long make one delta. */
  readonly flushMs: number;
  /** A delta is sent at once when it has so much. */
  readonly flushBytes: number;
  /** A subscriber whose filter matches nothing is told this often how far the feed is, so that its place does not grow old. */
  readonly progressMs: number;
  /** How long after its last user the hub goes on to follow the journal. */
  readonly idleMs: number;
}

/** The bounds when nothing else is said. */
export const eventHubDefaults: EventHubLimits = {
  ringBytes: 8 * 1024 * 1024,
  warmEntries: 256,
  flushMs: 25,
  flushBytes: 64 * 1024,
  progressMs: 5_000,
  idleMs: 30_000,
};

const retryMs = 500;

/** Who is told what comes next. */
export interface HubMember {
  delta(delta: SharedDelta, position: Position): void;
  gap(item: Extract<TapeItem, { readonly kind: 'gap' }>): void;
  /** The feed has broken: what was told may not be the journal any more. */
  lost(error: EngineError): void;
}

interface Group {
  readonly filter: EventFilter;
  readonly members: Set<HubMember>;
  texts: string[];
  bytes: number;
  told: Position;
  toldAtMs: number;
}

/**
 * The one follower of the journal for all subscribers: what comes is encoded once, kept for a while and handed on to all whose filter
 * matches, without ever waiting for one of them. It reads while somebody uses it, and a little longer.
 */
export class EventHub {
  readonly #deps: {
    readonly journal: Journal;
    readonly namespace: string;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly limits: EventHubLimits;
  };
  readonly #groups = new Map<string, Group>();
  readonly #listeners = new Set<(item: TapeItem) => void>();
  #ring: EventRing | null = null;
  /** The journal's end when following began: once it is read the head is a true one. */
  #goal = 0 as Sequence;
  #users = 0;
  #following: AbortController | null = null;
  #running: Promise<void> = Promise.resolve();
  #flushTimer: TimerHandle | null = null;
  #idleTimer: TimerHandle | null = null;
  #isStopped = false;
  readonly #waiting = new Set<() => void>();

  constructor(deps: {
    readonly journal: Journal;
    readonly namespace: string;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly limits?: Partial<EventHubLimits> | undefined;
  }) {
    this.#deps = { ...deps, limits: { ...eventHubDefaults, ...deps.limits } };
  }

  /** What is kept; null until the journal's end has been reached. */
  get ring(): EventRing | null {
    const ring = this.#ring;
    return ring !== null && partsOfPosition(ring.head).sequence >= this.#goal ? ring : null;
  }

  /** Follows the journal until the returned function is called. */
  use(): () => void {
    this.#users += 1;
    this.#idleTimer?.cancel();
    this.#idleTimer = null;
    if (this.#following === null && !this.#isStopped) this.#start();
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#users -= 1;
      if (this.#users > 0 || this.#isStopped) return;
      this.#idleTimer = this.#deps.clock.setTimer(this.#deps.limits.idleMs, () => this.#rest());
    };
  }

  /** Calls `listener` with every piece that comes, until the returned function is called. Call {@link use} too. */
  listen(listener: (item: TapeItem) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The ring, once it holds that sequence. @throws EngineError `CANCELED` when the signal aborts */
  async reached(sequence: Sequence, signal: AbortSignal): Promise<EventRing> {
    for (;;) {
      if (signal.aborted || this.#isStopped) throw new EngineError('CANCELED', 'the subscription has ended');
      const { ring } = this;
      if (ring !== null && partsOfPosition(ring.head).sequence >= sequence) return ring;
      await this.#nextItem(signal);
    }
  }

  /** From now on the member is told what comes. All up to the head of the ring is taken as told. */
  join(filter: EventFilter, member: HubMember): void {
    const { ring } = this;
    assert(ring !== null, () => 'a subscriber joins a hub that has no head');
    const group = this.#groups.get(filter.key) ?? this.#newGroup(filter, ring.head);
    // What waits is of before the head.
    this.#flush(group, true);
    group.members.add(member);
  }

  leave(filter: EventFilter, member: HubMember): void {
    const group = this.#groups.get(filter.key);
    if (group === undefined) return;
    group.members.delete(member);
    if (group.members.size === 0) this.#groups.delete(filter.key);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#rest();
    this.#wake();
    await this.#running;
  }

  #rest(): void {
    this.#idleTimer?.cancel();
    this.#flushTimer?.cancel();
    this.#idleTimer = null;
    this.#flushTimer = null;
    this.#following?.abort();
    this.#following = null;
    this.#ring = null;
    this.#groups.clear();
  }

  #start(): void {
    const following = new AbortController();
    this.#following = following;
    const before = this.#running;
    this.#running = before.then(() => this.#follow(following.signal));
    this.#armFlush();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { journal, namespace, logger, limits } = this.#deps;
    while (!signal.aborted) {
      try {
        const ring = this.#ring ?? (await this.#open(limits));
        if (signal.aborted) return;
        this.#ring = ring;
        if (this.#goal === 0) this.#wake();
        const after = this.#readThrough(ring);
        for await (const item of readTape({ journal, namespace, after, signal })) {
          if (signal.aborted) return;
          this.#take(ring, item);
        }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asError(thrown);
        logger.warn({ err: error }, 'the console cannot follow the journal now; it is tried again');
        if (error instanceof EngineError && error.code === 'LOG_REGRESSED') this.#lose(error);
      }
      if (!signal.aborted) await pause(this.#deps.clock, retryMs, signal);
    }
  }

  #warmStart = 0 as Sequence;

  async #open(limits: EventHubLimits): Promise<EventRing> {
    const { first, last } = await this.#deps.journal.bounds();
    const after = (last === 0 ? 0 : Math.max(first - 1, last - limits.warmEntries, 0)) as Sequence;
    this.#goal = last;
    this.#warmStart = after;
    return new EventRing({ maximumBytes: limits.ringBytes, after, head: startPosition });
  }

  #readThrough(ring: EventRing): Sequence {
    return Math.max(this.#warmStart, partsOfPosition(ring.head).sequence) as Sequence;
  }

  #take(ring: EventRing, item: TapeItem): void {
    // What waits is of before the gap.
    if (item.kind === 'gap') for (const group of this.#groups.values()) this.#flush(group, true);
    ring.add(item);
    for (const listener of this.#listeners) listener(item);
    for (const group of this.#groups.values()) {
      if (item.kind === 'gap') {
        group.told = item.end;
        for (const member of group.members) member.gap(item);
        continue;
      }
      for (const event of item.events) {
        if (!group.filter.matches(event)) continue;
        group.texts.push(event.json);
        group.bytes += event.json.length;
      }
      if (group.bytes >= this.#deps.limits.flushBytes) this.#flush(group, false);
    }
    if (this.#waiting.size > 0) this.#wake();
  }

  #lose(error: EngineError): void {
    const members = [...this.#groups.values()].flatMap((group) => [...group.members]);
    this.#groups.clear();
    this.#ring = null;
    for (const member of members) member.lost(error);
  }

  #newGroup(filter: EventFilter, told: Position): Group {
    const toldAtMs = this.#deps.clock.monotonicMs();
    const group: Group = { filter, members: new Set(), texts: [], bytes: 0, told, toldAtMs };
    this.#groups.set(filter.key, group);
    return group;
  }

  #armFlush(): void {
    const { clock, limits } = this.#deps;
    this.#flushTimer = clock.setTimer(limits.flushMs, () => {
      for (const group of this.#groups.values()) this.#flush(group, false);
      if (this.#following !== null) this.#armFlush();
    });
  }

  /** @param isFull - also tell of a place without events */
  #flush(group: Group, isFull: boolean): void {
    const ring = this.#ring;
    if (ring === null || group.told === ring.head) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const isDue = nowMs - group.toldAtMs >= this.#deps.limits.progressMs;
    if (group.texts.length === 0 && !isFull && !isDue) return;
    const position = ring.head;
    const delta = sharedDelta(position, `[${group.texts.join(',')}]`);
    group.texts = [];
    group.bytes = 0;
    group.told = position;
    group.toldAtMs = nowMs;
    for (const member of group.members) member.delta(delta, position);
  }

  #nextItem(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  #wake(): void {
    for (const done of this.#waiting) done();
  }
}
