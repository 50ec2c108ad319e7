import { Packr } from 'msgpackr';
import { EngineError, showValue } from './errors.ts';
import { commitShape } from './record-shapes.ts';
import { writeRecord } from './record-writer.ts';
import type { Commit, TaskRecord } from './records.ts';

/** The commit format this build writes; it reads no other. */
export const commitFormat = 1;

// Plain maps, no shared structures: any language can read the journal, and a reader needs no state of the writer's.
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' });

/** One record as MessagePack, encoded once: its size counts towards the commit, its bytes go into it. */
export function encodeRecord(record: TaskRecord): Uint8Array {
  return writeRecord(record);
}

/** Bytes that a commit takes beside its records, at most. */
export const commitOverheadBytes = 512;

const recordsKey = packr.pack('records');

/**
 * A commit as one MessagePack map `{ format, epoch, batch, at, owner?, records }` whose last member is put together from
 * records that are encoded already.
 */
export function assembleCommit(head: Omit<Commit, 'records'>, encodedRecords: readonly Uint8Array[]): Uint8Array {
  const headBytes = packr.pack(head);
  const first = headBytes[0] ?? 0;
  // The head has 4 or 5 members, so it is a fixmap (0x80 | count); one more member makes it count + 1.
  const grown = Buffer.from(headBytes);
  grown[0] = first + 1;
  const count = Buffer.alloc(5);
  count[0] = 0xdd; // array32: one form for every count
  count.writeUInt32BE(encodedRecords.length, 1);
  return Buffer.concat([grown, recordsKey, count, ...encodedRecords]);
}

/**
 * The commit in a journal message, its records checked as far as replay and projections rely on them.
 *
 * @throws EngineError `RECORD_CORRUPT` for bytes that are no commit of this format, with the path of what is wrong
 */
export function decodeCommit(bytes: Uint8Array): Commit {
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', 'journal message is not MessagePack', { cause: error });
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) {
    throw new EngineError('RECORD_CORRUPT', 'journal message is not a commit');
  }
  if (value.format !== commitFormat) {
    throw new EngineError('RECORD_CORRUPT', `commit format ${showValue(value.format)} is not supported`, {
      field: 'format',
      limit: String(commitFormat),
      got: value.format,
    });
  }
  const problem = commitShape(value);
  if (problem !== null) throw new EngineError('RECORD_CORRUPT', `commit${problem}`);
  return value as Commit;
}
