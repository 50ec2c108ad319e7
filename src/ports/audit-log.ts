import type { Millis } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';

/**
 * What came, or will come, of an action.
 *
 * - `allowed`: written before the action takes effect
 * - `refused`: it has none
 * - `done`, `failed`: what came of an allowed one, with the same request id
 */
export type AuditOutcome = 'allowed' | 'refused' | 'done' | 'failed';

/** One line of the audit log: who asked for what, from where and why, and what came of it. No payload, no secret. */
export interface AuditEntry {
  readonly at: Millis;
  /** The credential's name; null: none, or none that is good. */
  readonly principal: string | null;
  readonly role: string | null;
  /** Where the request came from. */
  readonly address: string;
  /** Such as `task.cancel`. */
  readonly action: string;
  /** What it is about, such as a task's id; null: nothing single. */
  readonly target: string | null;
  /** What else the request said, such as a filter. */
  readonly parameters?: JsonValue;
  readonly reason: string | null;
  readonly commandId: string | null;
  readonly requestId: string;
  readonly outcome: AuditOutcome;
  /** The error's code, for `refused` and `failed`. */
  readonly code: string | null;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/** An entry in its place of the chain. */
export interface AuditRecord {
  /** Its place in the log; grows, and has no gaps while nothing is removed. */
  readonly position: number;
  readonly entry: AuditEntry;
  /** Over the entry and the hash before it, as 64 hexadecimal digits. Kept elsewhere, it proves the log up to here. */
  readonly hash: string;
}

/** Which entries are asked for: all that match every member given, literally. */
export interface AuditQuery {
  readonly principal?: string | undefined;
  readonly action?: string | undefined;
  readonly target?: string | undefined;
  readonly requestId?: string | undefined;
  readonly outcome?: AuditOutcome | undefined;
  /** Inclusive. */
  readonly from?: Millis | undefined;
  /** Exclusive. */
  readonly before?: Millis | undefined;
  /** 1 to {@link maximumAuditPageSize}. */
  readonly limit: number;
  /** `next` of the page before. */
  readonly cursor?: string | undefined;
}

/** Most entries of one page. */
export const maximumAuditPageSize = 1_000;

/** A page of the log, the newest first. */
export interface AuditPage {
  readonly entries: readonly (AuditEntry & Pick<AuditRecord, 'position' | 'hash'>)[];
  /** Null at the end. A page may have fewer entries than asked for, or none, and still have a next one. */
  readonly next: string | null;
}

/** What {@link AuditLog.verify} found. */
export type AuditVerdict =
  /** Each entry from `first` to `last` is as it was written, and none between is missing. Both 0: the log is empty. */
  | { readonly kind: 'intact'; readonly first: number; readonly last: number; readonly lastHash: string | null }
  /** The first place where it is not so. */
  | { readonly kind: 'broken'; readonly position: number; readonly problem: string };

/** A place that somebody has noted elsewhere. */
export type AuditAnchor = Pick<AuditRecord, 'position' | 'hash'>;

/**
 * What was asked of the engine, for ever as it was written: each entry carries a hash over itself and the entry before. So an entry
 * that was changed, taken out or put in breaks the chain. That the newest were cut off shows only against an anchor.
 *
 * Every method throws EngineError `UNAVAILABLE` when the log cannot be used.
 */
export interface AuditLog {
  /**
   * Resolves when the entry is durable, in its place behind all others, also of other writers. An action may take effect only
   * after it.
   *
   * @throws EngineError `PAYLOAD_TOO_LARGE`, `STORAGE_FULL`
   */
  append(entry: AuditEntry): Promise<AuditRecord>;
  /** @throws EngineError `INVALID_ARGUMENT` for a bad cursor or limit, `RECORD_CORRUPT` that names the position */
  list(query: AuditQuery): Promise<AuditPage>;
  /** Walks the whole chain. @param anchor - a place that must still be there, with that hash, if it is not too old to be kept */
  verify(anchor?: AuditAnchor): Promise<AuditVerdict>;
}
