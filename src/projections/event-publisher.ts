import { asError, EngineError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import { eventSubject } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import {
  maximumPublishedEvents,
  type EventStream,
  type EventStreamEnd,
  type PublishableEvent,
} from '../ports/event-stream.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { Random } from '../ports/random.ts';
import { eventsOfEntry, type PipelineEvent } from './cloud-event.ts';
import { EndlessRun } from './endless-run.ts';
import { JournalLag } from './journal-lag.ts';
import { comparePositions, parsePosition, partsOfPosition, startPosition, type Position } from './position.ts';
import { ShardChain } from './shard-chain.ts';

/** What an {@link EventPublisher} works with. */
export interface EventPublisherDeps {
  readonly journal: Journal;
  readonly stream: EventStream;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly namespace: string;
}

/** How a publisher stands. */
export interface EventPublisherStatus {
  /** `standby`: another process publishes. */
  readonly role: 'publishing' | 'standby';
  /** Of the event that was published last, as far as this process knows. */
  readonly position: string | null;
  readonly lagMs: number;
  /** Events that this process has published. */
  readonly publishedCount: number;
  /** Why it does not go on now; null while it does. */
  readonly trouble: string | null;
}

/** How often a publisher that stands by looks whether the other one still publishes; half of it more by chance. */
export const standbyLookMs = 2_000;

/**
 * Publishes the journal's events to a stream, each one once and in order. Where it goes on is said by the stream's own last
 * message, and events are published on the condition that the stream still ends there: so a publisher may be killed at any point, and several may run at once. Who meets another's messages stands by until the
 * stream does not move any more. It reads the journal and changes nothing of it (R-EVT-2).
 */
export class EventPublisher {
  readonly #deps: EventPublisherDeps;
  readonly #lag: JournalLag;
  readonly #published: Counter;
  readonly #run: EndlessRun;
  #end: EventStreamEnd = { position: null, sequence: 0 };
  #reached = 0 as Sequence;
  #role: EventPublisherStatus['role'] = 'publishing';
  #publishedCount = 0;
  #stopMetrics: () => void = () => {};

  constructor(deps: EventPublisherDeps) {
    this.#deps = deps;
    this.#lag = new JournalLag(deps);
    this.#published = deps.metrics.counter(metricCatalog.eventsPublished);
    this.#run = new EndlessRun({
      clock: deps.clock,
      work: () => this.#takeTurn(),
      progress: () => this.#publishedCount,
      onFailure: (error) => this.#tellFailure(error),
    });
  }

  get status(): EventPublisherStatus {
    return {
      role: this.#role,
      position: this.#end.position,
      lagMs: this.#lag.lagMs(this.#reached),
      publishedCount: this.#publishedCount,
      trouble: this.#run.trouble,
    };
  }

  /** Begins to publish; returns at once. */
  start(): void {
    if (!this.#run.start()) return;
    const { metrics } = this.#deps;
    const lag = metrics.gauge(metricCatalog.eventPublisherLag);
    this.#stopMetrics = metrics.beforeRead(() => lag.set(this.#lag.lagMs(this.#reached) / 1_000));
    this.#lag.start();
  }

  /** Resolves when it publishes no more. */
  async stop(): Promise<void> {
    this.#lag.stop();
    this.#stopMetrics();
    await this.#run.stop();
  }

  /** Publishes on from where the stream ends, or stands by while another one does. */
  async #takeTurn(): Promise<void> {
    this.#noteEnd(await this.#deps.stream.end());
    if ((await this.#publishOn()) === 'other') await this.#standBy();
  }

  #tellFailure(error: Error): void {
    const { logger } = this.#deps;
    const fields = { err: error, position: this.#end.position };
    if (error instanceof EngineError && error.code === 'LOG_REGRESSED') {
      logger.error(fields, 'the journal ends before what was published of it: no events until it is put right');
      return;
    }
    logger.warn(fields, 'events cannot be published now; it is tried again');
  }

  /** Publishes until it is stopped or meets another publisher's message. */
  async #publishOn(): Promise<'other' | 'stopped'> {
    const { journal, logger } = this.#deps;
    const after = this.#end.position === null ? startPosition : parsePosition(this.#end.position, 'position');
    const { sequence } = partsOfPosition(after);
    const from = Math.max(0, sequence - 1) as Sequence;
    const chain = new ShardChain(sequence === 0 ? null : from);
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#run.signal]);
    const waiting: { readonly entry: JournalEntry; readonly events: readonly PipelineEvent[] }[] = [];
    let publishing: Promise<void> | null = null;
    let ending: { readonly failure: Error | null } | null = null;
    const publish = async (): Promise<void> => {
      try {
        while (waiting.length > 0 && !this.#run.isStopping && ending === null) {
          const taken = waiting.splice(0, entriesOf(waiting));
          const outcome = await this.#publishAll(taken.flatMap(({ events }) => events));
          if (outcome === 'other') ending = { failure: null };
          else this.#reached = taken.at(-1)?.entry.sequence ?? this.#reached;
        }
      } catch (thrown) {
        ending = { failure: asError(thrown) };
      }
      if (ending !== null) stop.abort();
      publishing = null;
    };
    try {
      for await (const entry of journal.follow({ after: from, signal })) {
        if (signal.aborted) break;
        const missed = chain.follow(entry);
        if (missed !== null) {
          const fields = { shard: entry.shard, sequence: missed };
          logger.error(fields, 'the journal was trimmed before its events were published; they are lost to consumers');
        }
        waiting.push({ entry, events: this.#eventsAfter(entry, after) });
        publishing ??= publish();
        if (waiting.length >= maximumWaitingEntries) await publishing;
      }
    } finally {
      stop.abort();
      await publishing;
    }
    const { failure } = (ending as { readonly failure: Error | null } | null) ?? { failure: null };
    if (failure !== null) throw failure;
    return ending === null ? 'stopped' : 'other';
  }

  #eventsAfter(entry: JournalEntry, after: Position): readonly PipelineEvent[] {
    const { namespace, logger } = this.#deps;
    try {
      return eventsOfEntry(entry, namespace).filter(({ id }) => comparePositions(id, after) > 0);
    } catch (thrown) {
      const { shard, sequence } = entry;
      logger.error({ err: asError(thrown), shard, sequence }, 'a journal entry cannot be read; it has no events');
      return [];
    }
  }

  async #publishAll(events: readonly PipelineEvent[]): Promise<'published' | 'other'> {
    for (let from = 0; from < events.length; from += maximumPublishedEvents) {
      const part = events.slice(from, from + maximumPublishedEvents).map((event) => this.#encoded(event));
      const outcome = await this.#deps.stream.publish(part, this.#end.sequence);
      if (outcome.kind === 'conflict') return 'other';
      if (outcome.kind === 'unknown') {
        throw new EngineError('UNAVAILABLE', `whether events were published is not known: ${outcome.detail}`);
      }
      this.#publishedCount += part.length;
      this.#published.add(part.length);
      this.#noteEnd({ position: part.at(-1)?.position ?? null, sequence: outcome.sequence });
    }
    this.#role = 'publishing';
    this.#run.clearTrouble();
    return 'published';
  }

  #encoded(event: PipelineEvent): PublishableEvent {
    const pipeline = 'pipeline' in event.data ? event.data.pipeline : null;
    return {
      position: event.id,
      subject: eventSubject(this.#deps.namespace, pipeline, event.type),
      body: Buffer.from(JSON.stringify(event)),
    };
  }

  /** Returns when nothing was published for a while: the other has nothing to do, or is gone. */
  async #standBy(): Promise<void> {
    const { stream, random, logger } = this.#deps;
    if (this.#role !== 'standby') logger.info({}, 'another process publishes the events; this one stands by');
    this.#role = 'standby';
    let known = (await stream.end()).sequence;
    while (!this.#run.isStopping) {
      // Two that stand by shall not come back at one time.
      await this.#run.pause(standbyLookMs * (1 + random.next() / 2));
      const end = await stream.end();
      this.#noteEnd(end);
      if (end.sequence === known) return;
      known = end.sequence;
    }
  }

  #noteEnd(end: EventStreamEnd): void {
    this.#end = end;
    const { position } = end;
    if (position === null) return;
    const { sequence } = partsOfPosition(parsePosition(position, 'position'));
    this.#reached = Math.max(this.#reached, sequence) as Sequence;
  }
}

/** Entries that wait to be published before reading waits for them. */
const maximumWaitingEntries = 256;

/** How many of the first entries have as many events as one publish takes, one entry at least. */
function entriesOf(waiting: readonly { readonly events: readonly PipelineEvent[] }[]): number {
  let eventCount = 0;
  let entryCount = 0;
  for (const { events } of waiting) {
    eventCount += events.length;
    if (entryCount > 0 && eventCount > maximumPublishedEvents) break;
    entryCount += 1;
  }
  return entryCount;
}
