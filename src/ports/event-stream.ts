/** Most events of one publish. */
export const maximumPublishedEvents = 256;

/** The newest message of the stream, as its leader has it. */
export interface EventStreamEnd {
  /** Position of the event that was published last; null: none was ever. */
  readonly position: string | null;
  /** The stream's last sequence; 0 before the first. */
  readonly sequence: number;
}

/** One event to publish. */
export interface PublishableEvent {
  /** Its position in the event feed: what consumers dedupe by. */
  readonly position: string;
  readonly subject: string;
  /** CloudEvents 1.0 in structured JSON. */
  readonly body: Uint8Array;
}

/** What a publish came to. */
export type EventPublishOutcome =
  /** All are stored; `sequence` is the last one's. */
  | { readonly kind: 'published'; readonly sequence: number }
  /** Nothing is stored: the stream's end is another one, somebody else has published. */
  | { readonly kind: 'conflict' }
  /** What is stored of them is not known; the stream's end tells. */
  | { readonly kind: 'unknown'; readonly detail: string };

/**
 * The events as messages that anybody may consume: a stream that holds the newest, up to a bound, and never loses its last one,
 * which says where to go on. Several may try to publish; each publish is conditional on the stream's end, so that events are
 * neither published twice nor out of their order.
 */
export interface EventStream {
  /** @throws EngineError `UNAVAILABLE` */
  end(): Promise<EventStreamEnd>;
  /** Publishes all of these in order, or none, if the stream ends at `expectedLast`. At most {@link maximumPublishedEvents}. Never rejects. */
  publish(events: readonly PublishableEvent[], expectedLast: number): Promise<EventPublishOutcome>;
}
