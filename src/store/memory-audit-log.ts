import { parseJsonValue } from '../core/json.ts';
import type {
  AuditAnchor,
  AuditEntry,
  AuditLog,
  AuditPage,
  AuditQuery,
  AuditRecord,
  AuditVerdict,
} from '../ports/audit-log.ts';
import {
  ChainWalk,
  checkAuditQuery,
  decodeRecord,
  encodeRecord,
  firstPreviousHash,
  matchesAuditQuery,
} from './audit-chain.ts';

/** The audit log in this process's memory, kept as bytes, so that nobody holds what the log holds. */
export class MemoryAuditLog implements AuditLog {
  readonly #bodies: (Uint8Array | null)[] = [];
  #lastHash = firstPreviousHash;

  async append(entry: AuditEntry): Promise<AuditRecord> {
    parseJsonValue(entry, 'entry');
    const { body, hash } = encodeRecord(entry, this.#lastHash);
    this.#bodies.push(body);
    this.#lastHash = hash;
    return { position: this.#bodies.length, entry, hash };
  }

  async list(query: AuditQuery): Promise<AuditPage> {
    const behind = checkAuditQuery(query) ?? this.#bodies.length + 1;
    const entries: AuditPage['entries'][number][] = [];
    let position = Math.min(behind, this.#bodies.length + 1) - 1;
    for (; position >= 1 && entries.length < query.limit; position -= 1) {
      const body = this.#bodies[position - 1] ?? null;
      if (body === null) continue;
      const { entry, hash } = decodeRecord(position, body);
      if (matchesAuditQuery(entry, query)) entries.push({ ...entry, position, hash });
    }
    return { entries, next: position >= 1 ? String(position + 1) : null };
  }

  async verify(anchor?: AuditAnchor): Promise<AuditVerdict> {
    const walk = new ChainWalk(anchor);
    for (const [index, body] of this.#bodies.entries()) {
      const broken = walk.take(index + 1, body);
      if (broken !== null) return broken;
    }
    return walk.end();
  }

  /** For tests: another body in the place of an entry, or none. */
  tamper(position: number, body: Uint8Array | null): void {
    this.#bodies[position - 1] = body;
  }
}
