import type { EngineError } from '../../core/errors.ts';
import type { Topic } from './topic.ts';

/** A delta's place and data, encoded once for all that get the same. */
export interface SharedDelta {
  readonly position: string | null;
  /** `"position":…,"data":…}`: what follows the subscription's id and number. */
  readonly body: Buffer;
}

/** The delta of a position and data that are JSON already. */
export function sharedDelta(position: string | null, dataText: string): SharedDelta {
  return { position, body: Buffer.from(`"position":${JSON.stringify(position)},"data":${dataText}}`) };
}

/** Where a feed puts what it has for one subscription. Nothing here waits but {@link FeedSink.drained}. */
export interface FeedSink {
  /** The first state, as JSON text. */
  snapshot(position: string | null, dataText: string): void;
  resumed(from: string): void;
  delta(delta: SharedDelta): void;
  gap(from: string, to: string): void;
  /** Ends the subscription. */
  failed(error: EngineError): void;
  /** Resolves when little waits to be sent, for what may be read at the client's pace; also when the connection is over. */
  drained(): Promise<void>;
}

/** What a subscription asks for. */
export interface FeedRequest {
  readonly topic: Topic;
  /** A position, not looked at yet. */
  readonly resumeFrom: string | null;
  readonly allowsGap: boolean;
}
