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
import { ChainWalk, encodeRecord, firstPreviousHash } from './audit-chain.ts';
import { AuditPageReading } from './audit-page-reading.ts';

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
    const reading = new AuditPageReading(query, this.#bodies.length);
    while (reading.position >= 1 && !reading.isFull) reading.take(this.#bodies[reading.position - 1] ?? null);
    return reading.page();
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
