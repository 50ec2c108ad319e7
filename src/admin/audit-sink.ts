import type { Millis } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';

/** One line of the audit log, as the admin API writes it. */
export interface AdminAuditEntry {
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
  readonly reason: string | null;
  readonly commandId: string | null;
  readonly requestId: string;
  /**
   * - `allowed`: written before the action takes effect
   * - `refused`: it has none
   * - `done`, `failed`: what came of an allowed one, with the same request id
   */
  readonly outcome: 'allowed' | 'refused' | 'done' | 'failed';
  /** The error's code, for `refused` and `failed`. */
  readonly code: string | null;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/** A page of the audit log, the newest first. */
export interface AuditPage {
  readonly entries: readonly AdminAuditEntry[];
  readonly next: string | null;
}

/** Which lines are asked for: all that match every member given, literally. */
export interface AuditListQuery {
  readonly principal?: string | undefined;
  readonly action?: string | undefined;
  readonly target?: string | undefined;
  readonly outcome?: AdminAuditEntry['outcome'] | undefined;
  /** Inclusive. */
  readonly from?: Millis | undefined;
  /** Exclusive. */
  readonly before?: Millis | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Where the admin API writes down what was asked of it, and reads it back. */
export interface AuditSink {
  /** Resolves when the line is durable. @throws EngineError `UNAVAILABLE`: the action must not take effect */
  append(entry: AdminAuditEntry): Promise<void>;
  list(query: AuditListQuery): Promise<AuditPage>;
}
