import type { AuditPage, AuditQuery } from '../ports/audit-log.ts';
import { checkAuditQuery, decodeRecord, matchesAuditQuery } from './audit-chain.ts';

/** A page of the audit log in the making: it is given one record after the other, from the newest down. */
export class AuditPageReading {
  readonly #query: AuditQuery;
  readonly #entries: AuditPage['entries'][number][] = [];
  #position: number;

  /**
   * @param newest - position of the log's last record
   * @throws EngineError `INVALID_ARGUMENT` for a bad cursor or limit
   */
  constructor(query: AuditQuery, newest: number) {
    this.#query = query;
    this.#position = Math.min(checkAuditQuery(query) ?? newest + 1, newest + 1) - 1;
  }

  /** Of the record that it must be given next; 0 at the end of the log. */
  get position(): number {
    return this.#position;
  }

  get isFull(): boolean {
    return this.#entries.length >= this.#query.limit;
  }

  /** @param body - null: there is no record at that position @throws EngineError `RECORD_CORRUPT` */
  take(body: Uint8Array | null): void {
    const position = this.#position;
    this.#position -= 1;
    if (body === null) return;
    const { entry, hash } = decodeRecord(position, body);
    if (matchesAuditQuery(entry, this.#query)) this.#entries.push({ ...entry, position, hash });
  }

  /** The page; `isLast` when it is known that nothing is left below. */
  page({ isLast = false }: { readonly isLast?: boolean } = {}): AuditPage {
    return { entries: this.#entries, next: isLast || this.#position < 1 ? null : String(this.#position + 1) };
  }
}
