import type { ForbiddenOperation } from '../core/forbidden.ts';

/** What a request came to. `no-responders`: nobody serves the subject, so nothing was received. */
export type RequestOutcome =
  | { readonly kind: 'reply'; readonly body: Uint8Array; readonly headers: ReadonlyMap<string, string> }
  | { readonly kind: 'no-responders' }
  /** No answer in time: it may have been received and done. */
  | { readonly kind: 'timeout' }
  /** The link broke, or was down: as unknown as a timeout, but known at once. */
  | { readonly kind: 'disconnected' }
  /**
   * This user lacks a permission, known at once. `publish`: nothing was received. `subscription`: no answer can reach this user; a
   * request that was under way when that came out may have been received and done.
   */
  | ({ readonly kind: 'forbidden' } & ForbiddenOperation);

/** What a request is sent with. */
export interface BusRequestOptions {
  /** How long to wait for the answer, ≥ 1. */
  readonly timeoutMs: number;
  /** Few and small: they count against the largest message. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Called with each answer that comes before the last one, which the request resolves with; who answers may answer in parts then. Not
   * called any more when the request has resolved.
   */
  readonly onPart?: ((body: Uint8Array) => void) | undefined;
}

/** A request as its handler sees it. */
export interface BusRequest {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
  /** False for a message without a reply subject: nobody would hear the answer. */
  readonly canReply: boolean;
  /** Answers and ends the request; a second call does nothing. The last of several parts has no headers. */
  reply(body: Uint8Array, headers?: Readonly<Record<string, string>>): void;
  /** Whether {@link replyPart} reaches the asker; otherwise there is one answer. */
  readonly takesParts?: boolean;
  /** Answers and leaves the request open. Parts arrive in their order, or not at all. */
  replyPart?(body: Uint8Array): void;
}

/** A served subject. After `stop` resolves no new request reaches the handler and senders get `no-responders`. */
export interface BusService {
  stop(): Promise<void>;
}

/** Request and reply between clients and shard owners. The bus is the routing table: only the owner serves a shard's subject. */
export interface Bus {
  /** Never rejects. */
  request(subject: string, body: Uint8Array, options: BusRequestOptions): Promise<RequestOutcome>;
  /**
   * Hands every request of the subject (NATS wildcards allowed) to `handler`. With `queue`, members of the queue share them.
   * Resolves when the server knows of it. A throwing handler is caught and logged by the bus.
   */
  serve(
    subject: string,
    handler: (request: BusRequest) => void,
    options?: { readonly queue?: string },
  ): Promise<BusService>;
}
