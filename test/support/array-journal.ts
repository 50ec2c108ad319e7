import { Packr } from 'msgpackr';
import { assembleCommit } from '../../src/core/commit-codec.ts';
import type { Epoch, NodeId, PipelineName, Sequence, ShardId, StageName, TaskId } from '../../src/core/ids.ts';
import type { OwnerChange, TaskEvent, TaskRecord } from '../../src/core/records.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../../src/ports/journal.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' });

/** A journal in an array, for tests of what reads it: entries are put in by hand, also broken ones. */
export class ArrayJournal implements Journal {
  readonly maximumBodyBytes = 1024 * 1024;
  /** How often a reader asked for something. */
  reads = 0;
  #entries: JournalEntry[] = [];
  #last = 0;
  readonly #lastOf = new Map<number, number>();
  readonly #waiting = new Set<() => void>();

  /** Appends a commit of these records to a shard; gives its sequence. */
  commit(
    shard: number,
    records: readonly TaskRecord[],
    options: { epoch?: number; owner?: OwnerChange } = {},
  ): Sequence {
    const { epoch = 1, owner } = options;
    const head = { format: 1 as const, epoch: epoch as Epoch, batch: 1, at: 1_700_000_000_000 };
    // By a packer that takes anything: broken records, too, are put in.
    const encoded = records.map((record) => packr.pack(record));
    return this.put(shard, assembleCommit(owner === undefined ? head : { ...head, owner }, encoded));
  }

  /** Appends these bytes to a shard, whatever they are. */
  put(shard: number, body: Uint8Array): Sequence {
    this.#last += 1;
    const sequence = this.#last as Sequence;
    const previous = (this.#lastOf.get(shard) ?? 0) as Sequence;
    this.#lastOf.set(shard, sequence);
    this.#entries.push({ shard: shard as ShardId, sequence, storedAt: 1_700_000_000_500, body, previous });
    for (const wake of this.#waiting) wake();
    return sequence;
  }

  /** The entry of that sequence. */
  entry(sequence: number): JournalEntry {
    const found = this.#entries.find((entry) => entry.sequence === sequence);
    if (found === undefined) throw new Error(`no entry ${sequence}`);
    return found;
  }

  get entries(): readonly JournalEntry[] {
    return this.#entries;
  }

  async append(): Promise<AppendOutcome> {
    throw new Error('a projection appended to the journal');
  }

  async readLast(shard: ShardId): Promise<JournalEntry | null> {
    return this.#entries.findLast((entry) => entry.shard === shard) ?? null;
  }

  async *read(range: { shard: ShardId; after: Sequence; through: Sequence }): AsyncGenerator<JournalEntry> {
    this.reads += 1;
    for (const entry of this.#entries) {
      const isWithin = entry.sequence > range.after && entry.sequence <= range.through;
      if (entry.shard === range.shard && isWithin) yield entry;
    }
  }

  async *follow(from: { after: Sequence; shard?: ShardId; signal: AbortSignal }): AsyncGenerator<JournalEntry> {
    this.reads += 1;
    let reached: number = from.after;
    while (!from.signal.aborted) {
      const next = this.#entries.find(
        (entry) => entry.sequence > reached && (from.shard === undefined || entry.shard === from.shard),
      );
      if (next === undefined) await this.#nextChange(from.signal);
      else {
        reached = next.sequence;
        yield next;
      }
    }
  }

  async bounds(): Promise<{ first: Sequence; last: Sequence }> {
    return { first: (this.#entries[0]?.sequence ?? 0) as Sequence, last: this.#last as Sequence };
  }

  async trim(shard: ShardId, through: Sequence): Promise<void> {
    const last = this.#lastOf.get(shard);
    this.#entries = this.#entries.filter(
      (entry) => entry.shard !== shard || entry.sequence > through || entry.sequence === last,
    );
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }
}

/** A record of a task, as the actor writes it. */
export function aRecord(
  task: string,
  seq: number,
  event: TaskEvent,
  to: string,
  at = 1_700_000_000_000 + seq,
): TaskRecord {
  return { task: task as TaskId, seq, at, event, to, pipeline: 'listing' as PipelineName, version: 2 };
}

/** The origin of a command in tests. */
export const anOrigin = { commandId: 'c-1' as never, by: 'ops', reason: 'fixed' };

/** A submit that starts `parse` at once. */
export function submitted(task: string, seq = 1): TaskRecord {
  const event = {
    type: 'task.submitted',
    pipeline: 'listing' as never,
    version: 2,
    input: { json: { card: 7 } },
    inputHash: 'a'.repeat(64),
    origin: anOrigin,
    next: 'parse' as StageName,
    skipped: [],
    start: true,
  } as const;
  return aRecord(task, seq, event, 'parse.running');
}

/** A third attempt of `stage` that failed for good. */
export function deadLettered(task: string, seq: number, message = 'HTTP 503', stage = 'parse'): TaskRecord {
  const event = {
    type: 'stage.failed',
    stage: stage as StageName,
    attempt: 3,
    failure: { class: 'retryable', code: 'HTTP_503', name: 'HttpError', message },
    decision: { kind: 'deadLetter', reason: 'attemptsExhausted' },
  } as const;
  return aRecord(task, seq, event, `deadLettered.${stage}`);
}

/** A redrive of a dead letter. */
export function redriven(task: string, seq: number, stage = 'parse'): TaskRecord {
  return aRecord(task, seq, { type: 'task.redriven', origin: anOrigin }, `${stage}.queued`);
}

/** The change of owner of a commit. */
export function anOwner(epoch: number): OwnerChange {
  return { epoch: epoch as Epoch, node: 'n-1' as NodeId, incarnation: 'i-1' };
}
