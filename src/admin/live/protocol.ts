/**
 * The words of the console's WebSocket, for both of its ends: types and pure functions without a single import, so that a page can
 * take them as they are.
 *
 * JSON text frames. A client subscribes to topics; each subscription gets first a `snapshot` (or `resumed`), then `delta` frames
 * whose `seq` rises by one from 1. A subscription that ends with an `error` gets nothing more; its id may be used again.
 *
 * ```
 *            subscribe            snapshot | resumed          error
 *   (none) ───────────► opening ───────────────────► open ──────────► (none)
 *                          │ error                    │ ▲ delta, gap
 *                          ▼                          └─┘
 *                        (none)     unsubscribe: ends from any state; answered by `unsubscribed`
 * ```
 */

/** The path of the socket. */
export const livePath = '/api/live';
/** The subprotocol, which names the protocol's version. */
export const liveProtocol = 'cabinet.v1';
/** Before a ticket that is offered as a second subprotocol. A browser can send no header of its own, and a URL ends in logs. */
export const ticketPrefix = 'ticket.';

/** The subprotocols to offer with a ticket of `POST /api/session/ticket`. */
export function protocolsWithTicket(ticket: string): readonly [string, string] {
  return [liveProtocol, `${ticketPrefix}${ticket}`];
}

/** Why the server ends a connection: the close frame's code; its reason is the error's code, for all but the first two. */
export const liveCloseCodes = {
  /** The server stops; come again. */
  goingAway: 1001,
  /** A frame that is not text. */
  notText: 1003,
  /** `SLOW_CONSUMER`: more waits to be sent than may, or nothing was taken for too long. Come again and resume. */
  slowConsumer: 4008,
  /** `UNAUTHENTICATED`: the credential has ended. */
  unauthenticated: 4401,
  /** `REQUEST_TIMEOUT`: nothing was heard since the ping before. */
  silent: 4409,
  /** `RATE_LIMITED`: too many messages a second. */
  rateLimited: 4429,
} as const;

/** What a client says. */
export type LiveMessage =
  /**
   * - `id`: the client's name for the subscription, on this connection
   * - `topic`: `events`, `tasks`, `overview`, `cluster`, `dead-letters`, `audit`, `task:<task id>` or `bulk:<bulk id>`
   * - `filter`: of `events` {@link LiveEventFilter}; of `tasks` the filter of `GET /api/tasks`
   * - `resumeFrom`: the last `position` that was dealt with, for `events` and `task:`
   * - `allowGap`: what is trimmed or cannot be read is told as a `gap` and passed over; else it ends the subscription
   */
  | {
      readonly type: 'subscribe';
      readonly id: string;
      readonly topic: string;
      readonly filter?: LiveEventFilter | Readonly<Record<string, unknown>>;
      readonly resumeFrom?: string;
      readonly allowGap?: boolean;
    }
  | { readonly type: 'unsubscribe'; readonly id: string }
  /** The answer to `ping`, for clients that do not answer the ping of the socket itself. */
  | { readonly type: 'pong' };

/** Which events are wanted; all when a part is left out. */
export interface LiveEventFilter {
  readonly pipelines?: readonly string[];
  readonly types?: readonly string[];
  readonly taskIds?: readonly string[];
}

/** What the server says. */
export type LiveFrame<Data = unknown> =
  /** First on every connection. */
  | { readonly type: 'hello'; readonly version: 1; readonly name: string; readonly role: string }
  /** Every 20 seconds; also what tells a page that the connection is alive. */
  | { readonly type: 'ping' }
  | {
      readonly type: 'snapshot';
      readonly id: string;
      readonly topic: string;
      /** Of the event feed; null for topics that have no place in it. */
      readonly position: string | null;
      readonly data: Data;
    }
  /** The deltas go on after `from`. */
  | { readonly type: 'resumed'; readonly id: string; readonly from: string }
  /** `data`: of `events` and `task:` a list of CloudEvents, perhaps empty; of others what is so now. `position`: resume from here. */
  | {
      readonly type: 'delta';
      readonly id: string;
      readonly seq: number;
      readonly position: string | null;
      readonly data: Data;
    }
  /** What lies after `from` and before `to` is not told: it is gone, or cannot be read. Only with `allowGap`. */
  | { readonly type: 'gap'; readonly id: string; readonly from: string; readonly to: string }
  /**
   * With an `id`: that subscription has ended. `oldest`, with `RESUME_TOO_OLD`: the place to resume from that has all that is left.
   * Null: a message was not understood.
   */
  | {
      readonly type: 'error';
      readonly id: string | null;
      readonly code: string;
      readonly message: string;
      /** The part of the message at fault, and what is allowed there. */
      readonly field?: string;
      readonly limit?: string;
      readonly oldest?: string;
    }
  | { readonly type: 'unsubscribed'; readonly id: string };

/** What a client keeps of a subscription. */
export interface LiveSubscription {
  readonly phase: 'opening' | 'open' | 'ended';
  /** Of the last delta. */
  readonly seq: number;
  /** Where to resume; null: subscribe anew. */
  readonly position: string | null;
  /** The error that ended it. */
  readonly error: { readonly code: string; readonly message: string; readonly oldest?: string } | null;
}

/** A subscription that has just been asked for, after a position or anew. */
export function beginSubscription(position: string | null = null): LiveSubscription {
  return { phase: 'opening', seq: 0, position, error: null };
}

/**
 * The subscription after a frame that is for it. Pure.
 *
 * @throws Error for a frame that cannot come now: the connection is broken, and must be left
 */
export function afterFrame(subscription: LiveSubscription, frame: LiveFrame): LiveSubscription {
  switch (frame.type) {
    case 'snapshot':
      expectPhase(subscription, 'opening', frame.type);
      return { phase: 'open', seq: 0, position: frame.position, error: null };
    case 'resumed':
      expectPhase(subscription, 'opening', frame.type);
      return { phase: 'open', seq: 0, position: frame.from, error: null };
    case 'delta':
      expectPhase(subscription, 'open', frame.type);
      if (frame.seq !== subscription.seq + 1) {
        throw new Error(`delta ${frame.seq} came after delta ${subscription.seq}`);
      }
      return { ...subscription, seq: frame.seq, position: frame.position };
    case 'gap':
      return { ...subscription, position: frame.to };
    case 'error': {
      const { code, message, oldest } = frame;
      return { ...subscription, phase: 'ended', error: { code, message, ...(oldest === undefined ? {} : { oldest }) } };
    }
    case 'unsubscribed':
      return { ...subscription, phase: 'ended' };
    default:
      return subscription;
  }
}

function expectPhase({ phase }: LiveSubscription, needed: LiveSubscription['phase'], type: string): void {
  if (phase !== needed) throw new Error(`${type} came while the subscription was ${phase}`);
}
