import { EngineError, invalidArgument } from '../core/errors.ts';
import { contentHash } from '../core/hash.ts';
import type { JsonValue } from '../core/json.ts';
import {
  maximumAuditPageSize,
  type AuditAnchor,
  type AuditEntry,
  type AuditQuery,
  type AuditRecord,
  type AuditVerdict,
} from '../ports/audit-log.ts';

/** What stands before the first entry. */
export const firstPreviousHash = '0'.repeat(64);

const auditFormat = 1;

/** A record with what it builds on. */
export interface ChainedRecord extends AuditRecord {
  readonly previous: string;
}

/** The hash of an entry behind another one. */
export function hashOfEntry(entry: AuditEntry, previous: string): string {
  return contentHash([auditFormat, previous, entry as unknown as JsonValue]);
}

/** A record as it is stored: JSON that any tool can check. */
export function encodeRecord(
  entry: AuditEntry,
  previous: string,
): { readonly body: Uint8Array; readonly hash: string } {
  const hash = hashOfEntry(entry, previous);
  return { body: Buffer.from(JSON.stringify({ format: auditFormat, previous, hash, entry })), hash };
}

/** A stored record, not checked against its hash. @throws EngineError `RECORD_CORRUPT` that names the position */
export function decodeRecord(position: number, body: Uint8Array): ChainedRecord {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch (cause) {
    throw corrupt(position, 'it is not JSON', cause);
  }
  const { format, previous, hash, entry } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isWhole =
    format === auditFormat &&
    typeof previous === 'string' &&
    typeof hash === 'string' &&
    typeof entry === 'object' &&
    entry !== null;
  if (!isWhole) throw corrupt(position, 'it is no record of this format');
  return { position, previous, hash, entry: entry as AuditEntry };
}

function corrupt(position: number, problem: string, cause?: unknown): EngineError {
  return new EngineError('RECORD_CORRUPT', `audit entry ${position}: ${problem}`, {
    field: 'position',
    got: position,
    cause,
  });
}

/** Walks a chain, entry by entry. The first that it is shown is taken as it is: what was before may be too old to be kept. */
export class ChainWalk {
  readonly #anchor: AuditAnchor | undefined;
  #first = 0;
  #last: AuditRecord | null = null;

  constructor(anchor?: AuditAnchor) {
    this.#anchor = anchor;
  }

  /** The verdict on the next stored message; null while all is well. */
  take(position: number, body: Uint8Array | null): Extract<AuditVerdict, { kind: 'broken' }> | null {
    if (body === null) return { kind: 'broken', position, problem: 'it is missing' };
    let record: ChainedRecord;
    try {
      record = decodeRecord(position, body);
    } catch (thrown) {
      return { kind: 'broken', position, problem: (thrown as Error).message };
    }
    const problem = this.#problemOf(record);
    if (problem !== null) return { kind: 'broken', position, problem };
    if (this.#last === null) this.#first = position;
    this.#last = record;
    return null;
  }

  /** The verdict when nothing is left. */
  end(): AuditVerdict {
    const last = this.#last;
    const anchor = this.#anchor;
    if (anchor !== undefined && anchor.position > (last?.position ?? 0)) {
      return {
        kind: 'broken',
        position: anchor.position,
        problem: 'it was there before, and the log ends earlier now',
      };
    }
    return { kind: 'intact', first: this.#first, last: last?.position ?? 0, lastHash: last?.hash ?? null };
  }

  #problemOf(record: ChainedRecord): string | null {
    const { position, entry, previous, hash } = record;
    const last = this.#last;
    if (last === null && position === 1 && previous !== firstPreviousHash) return 'it is not the first entry';
    if (last !== null && previous !== last.hash) return `it does not follow on entry ${last.position}`;
    if (hashOfEntry(entry, previous) !== hash) return 'it is not what was written';
    const anchor = this.#anchor;
    return anchor?.position === position && anchor.hash !== hash ? 'it is another one than was noted' : null;
  }
}

/** Where a page begins: behind that position, downwards; null: at the newest. @throws EngineError `INVALID_ARGUMENT` */
export function checkAuditQuery({ limit, cursor }: AuditQuery): number | null {
  if (!Number.isInteger(limit) || limit < 1 || limit > maximumAuditPageSize) {
    const range = `1 to ${maximumAuditPageSize}`;
    throw invalidArgument({ field: 'limit', message: `limit must be ${range}`, limit: range, got: limit });
  }
  if (cursor === undefined) return null;
  if (/^[1-9]\d{0,14}$/.test(cursor)) return Number(cursor);
  throw invalidArgument({
    field: 'cursor',
    message: 'cursor is not one of the audit log',
    limit: '`next` of the page before',
    got: cursor,
  });
}

/** Whether the entry is one of those that are asked for. */
export function matchesAuditQuery(entry: AuditEntry, query: AuditQuery): boolean {
  return (
    (query.principal === undefined || entry.principal === query.principal) &&
    (query.action === undefined || entry.action === query.action) &&
    (query.target === undefined || entry.target === query.target) &&
    (query.requestId === undefined || entry.requestId === query.requestId) &&
    (query.outcome === undefined || entry.outcome === query.outcome) &&
    entry.at >= (query.from ?? -Infinity) &&
    entry.at < (query.before ?? Infinity)
  );
}
