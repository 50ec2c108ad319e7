import type { EventPublishOutcome, EventStream, EventStreamEnd, PublishableEvent } from '../ports/event-stream.ts';

/** What goes wrong with a publish: nothing; its answer is lost; or it is not received. */
export type EventStreamFault = 'none' | 'lostAnswer' | 'lostRequest';

/** Published events in memory, all of them, for tests. */
export class MemoryEventStream implements EventStream {
  readonly #events: PublishableEvent[] = [];
  readonly #faults: () => EventStreamFault;

  constructor(options: { readonly faults?: () => EventStreamFault } = {}) {
    this.#faults = options.faults ?? (() => 'none');
  }

  /** What was published, in order. */
  get events(): readonly PublishableEvent[] {
    return this.#events;
  }

  async end(): Promise<EventStreamEnd> {
    return { position: this.#events.at(-1)?.position ?? null, sequence: this.#events.length };
  }

  async publish(events: readonly PublishableEvent[], expectedLast: number): Promise<EventPublishOutcome> {
    const fault = this.#faults();
    if (fault === 'lostRequest') return { kind: 'unknown', detail: 'no answer in time' };
    if (this.#events.length !== expectedLast) return { kind: 'conflict' };
    this.#events.push(...events);
    if (fault !== 'none') return { kind: 'unknown', detail: 'no answer in time' };
    return { kind: 'published', sequence: this.#events.length };
  }
}
