import { assembleCommit, commitFormat, commitOverheadBytes, encodeRecord } from '../core/commit-codec.ts';
import { asError, EngineError, unreachable } from '../core/errors.ts';
import type { Epoch, Sequence, ShardId } from '../core/ids.ts';
import type { OwnerChange, TaskRecord } from '../core/records.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import { resolveConflict, type AppendIdentity, type ConflictResolution } from './append-resolution.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Runs once the commit that holds it is acknowledged. */
export type OnCommitted = (sequence: Sequence) => void;

/** First and largest pause before an append whose outcome is unknown is asked again. */
const unknownRetryMs = { first: 20, most: 1_000 } as const;
/** Largest pause after a `busy` answer. */
const busyRetryMs = 20;

interface PendingCommit {
  readonly encoded: Uint8Array[];
  readonly onCommitted: OnCommitted[];
  bytes: number;
}

/** Why a shard can commit no more. */
export type CommitLoss =
  { readonly kind: 'fenced'; readonly epoch: Epoch } | { readonly kind: 'broken'; readonly error: EngineError };

/** What group commit asks of the outside. */
export interface GroupCommitDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly maxCommitBytes: number;
  /** The shard can commit no more: called once, after {@link GroupCommit.close}. */
  readonly onLost: (loss: CommitLoss) => void;
}

/**
 * Group commit of one shard: every record that became ready while an append was in flight goes out in the next one. One
 * append is in flight at a time, on one server as on three, so that a development server behaves as production does.
 *
 * What was handed over runs only when its commit is acknowledged, and in order. An append of unknown outcome is repeated,
 * the same bytes with the same id and expectation, until it is known; nothing goes out meanwhile (P5).
 */
export class GroupCommit {
  readonly #deps: GroupCommitDeps;
  readonly #shard: ShardId;
  readonly #epoch: Epoch;
  #lastSequence: Sequence;
  #batch = 0;
  #queue: PendingCommit[] = [];
  #queuedRecords = 0;
  #inFlightRecords = 0;
  #scheduled = false;
  #inFlight = false;
  #closed = false;
  #stalledSinceMs: number | null = null;
  #stallCode: 'UNAVAILABLE' | 'STORAGE_FULL' = 'UNAVAILABLE';
  #idle: (() => void)[] = [];
  #afterFlight: OnCommitted[] = [];

  constructor(
    deps: GroupCommitDeps,
    owner: { readonly shard: ShardId; readonly epoch: Epoch; readonly lastSequence: Sequence },
  ) {
    this.#deps = deps;
    this.#shard = owner.shard;
    this.#epoch = owner.epoch;
    this.#lastSequence = owner.lastSequence;
  }

  /** The shard's last acknowledged sequence. */
  get lastSequence(): Sequence {
    return this.#lastSequence;
  }

  /** Records that are not acknowledged yet. */
  get uncommittedRecords(): number {
    return this.#queuedRecords + this.#inFlightRecords;
  }

  /** How long the append in flight has been of unknown outcome, with why; null while all is well. */
  get stall(): { readonly forMs: number; readonly code: 'UNAVAILABLE' | 'STORAGE_FULL' } | null {
    if (this.#stalledSinceMs === null) return null;
    return { forMs: this.#deps.clock.monotonicMs() - this.#stalledSinceMs, code: this.#stallCode };
  }

  /**
   * Puts a record into the next commit.
   *
   * @param onCommitted - runs when that commit is acknowledged; never, when the shard is lost before
   * @throws EngineError `PAYLOAD_TOO_LARGE` when the record alone is over the limit; nothing is taken then
   */
  add(record: TaskRecord, onCommitted: OnCommitted): void {
    const encoded = encodeRecord(record);
    const limit = this.#deps.maxCommitBytes - commitOverheadBytes;
    if (encoded.length > limit) {
      throw new EngineError(
        'PAYLOAD_TOO_LARGE',
        `record ${record.seq} of task ${record.task} has ${encoded.length} bytes`,
        {
          limit: `${limit} bytes`,
          got: encoded.length,
        },
      );
    }
    let pending = this.#queue.at(-1);
    if (pending === undefined || pending.bytes + encoded.length > limit) {
      pending = { encoded: [], onCommitted: [], bytes: 0 };
      this.#queue.push(pending);
    }
    pending.encoded.push(encoded);
    pending.onCommitted.push(onCommitted);
    pending.bytes += encoded.length;
    this.#queuedRecords += 1;
    this.#schedule();
  }

  /** Runs `fn` when all that is uncommitted now is acknowledged; at once when nothing is. Never, when the shard is lost before. */
  afterPending(fn: OnCommitted): void {
    const last = this.#queue.at(-1);
    if (last !== undefined) last.onCommitted.push(fn);
    else if (this.#inFlight) this.#afterFlight.push(fn);
    else fn(this.#lastSequence);
  }

  /**
   * The new owner's first append, which fences the one before: resolves with its sequence.
   *
   * @throws EngineError `OWNERSHIP_LOST` when a newer owner was faster, `LOG_REGRESSED` when the journal lacks what it had
   */
  async claim(owner: OwnerChange): Promise<Sequence> {
    const outcome = await this.#append([], owner);
    if (outcome.kind === 'committed') return outcome.sequence;
    throw lossError(this.#shard, outcome);
  }

  /** Resolves when nothing is uncommitted any more; also when the shard is closed or lost. */
  drained(): Promise<void> {
    if (this.#closed || this.uncommittedRecords === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Appends nothing any more and runs nothing that was handed over: what is uncommitted is dropped. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#queuedRecords = 0;
    this.#afterFlight = [];
    this.#wakeIdle();
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight || this.#closed) return;
    this.#scheduled = true;
    // Deferred, so that all that this turn's messages and promises bring shares the commit.
    this.#deps.clock.defer(() => {
      this.#scheduled = false;
      this.#flush().catch((thrown: unknown) => {
        // What follows a commit has thrown: a bug of ours. The rest of it is lost from memory, so the shard must be read anew.
        this.#lose({
          kind: 'broken',
          error: new EngineError('INTERNAL', `shard ${this.#shard}: ${asError(thrown).message}`, { cause: thrown }),
        });
      });
    });
  }

  #lose(loss: CommitLoss): void {
    if (this.#closed) return;
    this.close();
    this.#deps.onLost(loss);
  }

  async #flush(): Promise<void> {
    const pending = this.#queue.shift();
    if (pending === undefined || this.#closed) return;
    const count = pending.encoded.length;
    this.#inFlight = true;
    this.#queuedRecords -= count;
    this.#inFlightRecords = count;
    const startedMs = this.#deps.clock.monotonicMs();
    const outcome = await this.#append(pending.encoded);
    this.#inFlightRecords = 0;
    if (this.#closed) return;
    if (outcome.kind !== 'committed') return this.#lose(outcome);
    this.#deps.metrics.committed(count, pending.bytes, this.#deps.clock.monotonicMs() - startedMs);
    // In flight until the last of these has run: what one of them asks to run after all that is pending waits for the others.
    for (const run of pending.onCommitted) run(outcome.sequence);
    for (let after = this.#afterFlight; after.length > 0; after = this.#afterFlight) {
      this.#afterFlight = [];
      for (const run of after) run(outcome.sequence);
    }
    this.#inFlight = false;
    if (this.#queue.length > 0) this.#schedule();
    else this.#wakeIdle();
  }

  #wakeIdle(): void {
    if (!this.#closed && this.uncommittedRecords > 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const wake of waiting) wake();
  }

  /** Appends until the outcome is known. A repeat is the same bytes, id and expectation, so it can be stored once at most. */
  async #append(
    encoded: readonly Uint8Array[],
    owner?: OwnerChange,
  ): Promise<{ readonly kind: 'committed'; readonly sequence: Sequence } | CommitLoss> {
    const { journal, clock, metrics } = this.#deps;
    this.#batch += 1;
    const head = { format: commitFormat, epoch: this.#epoch, batch: this.#batch, at: clock.now() } as const;
    const body = assembleCommit(owner === undefined ? head : { ...head, owner }, encoded);
    const name = `${this.#shard}.${this.#epoch}.${this.#batch}`;
    // Of a claim it names the owner too: another one's claim of this epoch must not count as this one's duplicate.
    const messageId = owner === undefined ? name : `${name}.${owner.incarnation}`;
    let wasUnknown = false;
    let waitMs: number = unknownRetryMs.first;
    for (;;) {
      const identity = { epoch: this.#epoch, batch: this.#batch, expectedLast: this.#lastSequence, owner };
      const outcome = await journal.append({
        shard: this.#shard,
        body,
        expectedLast: identity.expectedLast,
        messageId,
      });
      // What became of a refused append is counted even when the shard was dropped meanwhile: a zombie must leave a trace.
      if (this.#closed && outcome.kind !== 'conflict') return { kind: 'fenced', epoch: this.#epoch };
      switch (outcome.kind) {
        case 'committed':
          if (wasUnknown) metrics.unknownResolved('committed');
          return this.#advance(outcome.sequence);
        case 'conflict': {
          metrics.conflicts.add();
          const resolution = await this.#resolveConflict(identity);
          if (resolution.kind === 'fenced') metrics.fencedAppends.add();
          if (this.#closed) return { kind: 'fenced', epoch: this.#epoch };
          if (resolution.kind === 'committed') {
            metrics.unknownResolved('committed');
            return this.#advance(resolution.sequence);
          }
          if (resolution.kind === 'fenced') {
            if (wasUnknown) metrics.unknownResolved('absent');
            return resolution;
          }
          if (resolution.kind === 'outrun' && owner !== undefined) {
            this.#lastSequence = resolution.sequence;
            break;
          }
          if (resolution.kind === 'broken' || resolution.kind === 'outrun') {
            const detail =
              resolution.kind === 'broken' ? resolution.detail : 'an earlier epoch has written after the claim';
            return { kind: 'broken', error: new EngineError('LOG_REGRESSED', `shard ${this.#shard}: ${detail}`) };
          }
          await this.#pause(busyRetryMs);
          break;
        }
        case 'busy':
          metrics.busyAppends.add();
          await this.#pause(busyRetryMs);
          break;
        case 'unknown':
          if (!wasUnknown) metrics.unknownAppends.add(1, { code: outcome.code });
          wasUnknown = true;
          this.#noteStall(outcome.code, outcome.detail);
          await this.#pause(waitMs);
          waitMs = Math.min(waitMs * 2, unknownRetryMs.most);
          break;
        case 'refused':
          return {
            kind: 'broken',
            error: new EngineError('INTERNAL', `shard ${this.#shard}: append refused: ${outcome.detail}`),
          };
        default:
          unreachable(outcome);
      }
      if (this.#closed) return { kind: 'fenced', epoch: this.#epoch };
    }
  }

  #advance(sequence: Sequence): { readonly kind: 'committed'; readonly sequence: Sequence } {
    if (this.#stalledSinceMs !== null) {
      this.#deps.logger.info({ shard: this.#shard, stalledMs: this.stall?.forMs }, 'the journal takes appends again');
    }
    this.#stalledSinceMs = null;
    this.#lastSequence = sequence;
    return { kind: 'committed', sequence };
  }

  #noteStall(code: string, detail: string): void {
    this.#stallCode = code === 'STORAGE_FULL' ? 'STORAGE_FULL' : 'UNAVAILABLE';
    if (this.#stalledSinceMs !== null) return;
    this.#stalledSinceMs = this.#deps.clock.monotonicMs();
    this.#deps.logger.warn(
      { shard: this.#shard, epoch: this.#epoch, batch: this.#batch, code, detail },
      'an append has an unknown outcome; the shard waits until it is known',
    );
  }

  /** Asks the leader until it answers; an answer that cannot be read is one that nothing may be built on. */
  async #resolveConflict(identity: AppendIdentity): Promise<ConflictResolution> {
    let waitMs: number = unknownRetryMs.first;
    for (;;) {
      try {
        return resolveConflict(identity, await this.#deps.journal.readLast(this.#shard));
      } catch (thrown) {
        const error = asError(thrown);
        // Nobody waits for it any more, and what it was is not known.
        if (this.#closed) return { kind: 'again' };
        if (!(error instanceof EngineError) || !error.retryable) return { kind: 'broken', detail: error.message };
        this.#noteStall(error.code, error.message);
        await this.#pause(waitMs);
        waitMs = Math.min(waitMs * 2, unknownRetryMs.most);
      }
    }
  }

  /** Waits up to `mostMs`, at least half of it: jitter keeps shards from marching in step. */
  #pause(mostMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#deps.clock.setTimer(mostMs * (0.5 + this.#deps.random.next() / 2), resolve);
    });
  }
}

/** The error that tells of a shard that can commit no more. */
export function lossError(shard: ShardId, loss: CommitLoss): EngineError {
  if (loss.kind === 'broken') return loss.error;
  return new EngineError('OWNERSHIP_LOST', `shard ${shard} is owned by a newer epoch (${loss.epoch})`);
}
