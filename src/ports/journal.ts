import type { ErrorCode } from '../core/errors.ts';
import type { Millis, Sequence, ShardId } from '../core/ids.ts';

/**
 * What an append came to (DESIGN §5.3). Only `committed` lets effects out; only `conflict` may mean "fenced"; `unknown`
 * must be resolved before anything else is written to the shard.
 */
export type AppendOutcome =
  /** Stored. `duplicate`: an earlier try with the same message id had stored it. */
  | { readonly kind: 'committed'; readonly sequence: Sequence; readonly duplicate: boolean }
  /** Not written now, for the subject's last sequence differs; an earlier try may have been written. */
  | { readonly kind: 'conflict' }
  /** Another write of the subject, or this message id, is still in process: ask again in some milliseconds. */
  | { readonly kind: 'busy' }
  /** Timeout, disconnect, no responders, storage trouble or anything else: it may be stored now, later or never. */
  | { readonly kind: 'unknown'; readonly code: ErrorCode; readonly detail: string }
  /** The server will never take these bytes (too large, malformed): a bug on our side, found before any effect. */
  | { readonly kind: 'refused'; readonly detail: string };

/** One message of a shard's journal. */
export interface JournalEntry {
  readonly shard: ShardId;
  readonly sequence: Sequence;
  /** When the server stored it, by the server's clock. */
  readonly storedAt: Millis;
  readonly body: Uint8Array;
  /**
   * Sequence of the shard's message before this one, 0 for its first; the append's own condition, which the server keeps as
   * a header. A follower sees by it that messages were trimmed away under it. Left out when an adapter cannot tell.
   */
  readonly previous?: Sequence;
}

/** The shards' journals: one ordered, conditional-append log a shard, all in one stream of sequences. */
export interface Journal {
  /** Largest body of one append in bytes, from the server's limits. */
  readonly maximumBodyBytes: number;

  /**
   * Appends one message if the shard's last sequence is `expectedLast` (0: nothing yet). Never rejects.
   *
   * @param messageId - the same on every repeat of this append, so that the server can see a duplicate
   */
  append(request: {
    readonly shard: ShardId;
    readonly body: Uint8Array;
    readonly expectedLast: Sequence;
    readonly messageId: string;
  }): Promise<AppendOutcome>;

  /**
   * The shard's last message as the stream's leader has it, or null when the shard has none.
   *
   * @throws EngineError `UNAVAILABLE` when the leader does not answer
   */
  readLast(shard: ShardId): Promise<JournalEntry | null>;

  /**
   * The shard's messages after sequence `after` in order, up to and including sequence `through`; ends there, whichever
   * replica serves it and however far that replica lags.
   *
   * @throws EngineError `UNAVAILABLE` when the store is lost on the way, `LOG_REGRESSED` when `through` cannot be reached
   */
  read(range: {
    readonly shard: ShardId;
    readonly after: Sequence;
    readonly through: Sequence;
  }): AsyncIterable<JournalEntry>;

  /**
   * All shards' messages (or one shard's) after sequence `after`, in order and without gaps, for ever: at the end it waits
   * for more. Survives reconnects. Ends when `signal` aborts.
   *
   * @throws EngineError `LOG_REGRESSED` when the stream ends before `after`: what is waited for was lost
   */
  follow(from: {
    readonly after: Sequence;
    readonly shard?: ShardId;
    readonly signal: AbortSignal;
  }): AsyncIterable<JournalEntry>;

  /** First and last sequence of the whole stream, both 0 when it is empty. @throws EngineError `UNAVAILABLE` */
  bounds(): Promise<{ readonly first: Sequence; readonly last: Sequence }>;

  /** Removes the shard's messages up to and including `through`, but never its last one: its sequence is the fence. */
  trim(shard: ShardId, through: Sequence): Promise<void>;
}
