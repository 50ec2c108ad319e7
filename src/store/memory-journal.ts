import { EngineError, unreachable } from '../core/errors.ts';
import type { Sequence, ShardId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../ports/journal.ts';
import { MemoryLog, type MemoryAppend } from './memory-log.ts';

/** An operation that a test may disturb. */
export interface JournalOperation {
  readonly kind: 'append';
  readonly shard: ShardId;
  readonly messageId: string;
  /** How often this message id has been sent, this time included. */
  readonly attempt: number;
}

/**
 * What goes wrong with an append, as a real server and network would have it.
 *
 * `lostRequest`: never arrives, and is answered `unknown`. `lostAck`: does what it does, and is answered `unknown`. `late`:
 * answered `unknown`, arrives afterwards. `duplicateAck`: arrives twice, and the second answer is the one that is heard.
 * `busy`, `refused`: answered so, not stored.
 */
export type JournalFault = 'none' | 'lostAck' | 'lostRequest' | 'busy' | 'late' | 'duplicateAck' | 'refused';

/** Settings of {@link MemoryJournal}. */
export interface MemoryJournalOptions {
  readonly clock: Clock;
  /** From the request to its answer; at 0 the answer comes with the clock's deferred work. Default 0. */
  readonly latencyMs?: number;
  /**
   * Whose rules hold. 1: the expectation is checked before the message id, and any number of appends may be in flight. 3:
   * a known message id is answered as a duplicate first, and a second append in flight on a shard is answered `busy`.
   */
  readonly replicas?: 1 | 3;
  readonly faults?: (operation: JournalOperation) => JournalFault;
  /** When an append whose answer is lost ends as `unknown`. Default 5,000. */
  readonly ackTimeoutMs?: number;
  /** How long after its `unknown` a `late` append arrives. Default 1,000. */
  readonly lateByMs?: number;
  /** How long message ids are remembered. Default 120,000. */
  readonly duplicateWindowMs?: number;
  /** Default 1 MiB less headers. */
  readonly maximumBodyBytes?: number;
}

/**
 * The journals in memory, with the answers that a JetStream stream gives. Nodes and clients of one simulated cluster share
 * one. The same calls at the same virtual times give the same sequences and answers.
 */
export class MemoryJournal implements Journal {
  readonly maximumBodyBytes: number;
  readonly #clock: Clock;
  readonly #log: MemoryLog;
  readonly #latencyMs: number;
  readonly #isReplicated: boolean;
  readonly #faults: ((operation: JournalOperation) => JournalFault) | undefined;
  readonly #ackTimeoutMs: number;
  readonly #lateByMs: number;
  readonly #attempts = new Map<string, number>();
  /** Shards with an append between its checks and its storing; replicated rules only. */
  readonly #inProcess = new Set<ShardId>();

  constructor(options: MemoryJournalOptions) {
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#isReplicated = (options.replicas ?? 1) === 3;
    this.#faults = options.faults;
    this.#ackTimeoutMs = options.ackTimeoutMs ?? 5_000;
    this.#lateByMs = options.lateByMs ?? 1_000;
    this.maximumBodyBytes = options.maximumBodyBytes ?? 1024 * 1024 - 512;
    this.#log = new MemoryLog(options.clock, options.duplicateWindowMs ?? 120_000);
  }

  append(request: MemoryAppend): Promise<AppendOutcome> {
    if (request.body.length > this.maximumBodyBytes) {
      const detail = `body of ${request.body.length} bytes is over ${this.maximumBodyBytes}`;
      return Promise.resolve({ kind: 'refused', detail });
    }
    // The caller may reuse its buffer, as it may once a socket has taken the bytes.
    const copy = { ...request, body: new Uint8Array(request.body) };
    return new Promise((resolve) => this.#send(copy, this.#faultOf(request), resolve));
  }

  async readLast(shard: ShardId): Promise<JournalEntry | null> {
    await this.#hop(this.#latencyMs);
    return this.#log.last(shard) ?? null;
  }

  async *read(range: {
    readonly shard: ShardId;
    readonly after: Sequence;
    readonly through: Sequence;
  }): AsyncGenerator<JournalEntry, void, undefined> {
    const { shard, after, through } = range;
    if (through <= after) return;
    await this.#hop(this.#latencyMs);
    demandReach(`journal ${shard}`, through, this.#log.last(shard)?.sequence ?? none);
    for (let entry = this.#log.nextAfter(after, shard); entry !== undefined;) {
      if (entry.sequence > through) return;
      yield entry;
      entry = this.#log.nextAfter(entry.sequence, shard);
    }
  }

  async *follow(from: {
    readonly after: Sequence;
    readonly shard?: ShardId;
    readonly signal: AbortSignal;
  }): AsyncGenerator<JournalEntry, void, undefined> {
    const { shard, signal } = from;
    let last = from.after;
    await this.#hop(this.#latencyMs);
    if (!signal.aborted) demandReach('stream', last, this.#log.bounds().last);
    while (!signal.aborted) {
      const entry = this.#log.nextAfter(last, shard);
      if (entry === undefined) {
        await this.#log.stored(signal);
        continue;
      }
      last = entry.sequence;
      yield entry;
    }
  }

  async bounds(): Promise<{ readonly first: Sequence; readonly last: Sequence }> {
    await this.#hop(this.#latencyMs);
    return this.#log.bounds();
  }

  async trim(shard: ShardId, through: Sequence): Promise<void> {
    await this.#hop(this.#latencyMs);
    this.#log.trim(shard, through);
  }

  #faultOf(request: MemoryAppend): JournalFault {
    if (this.#faults === undefined) return 'none';
    const attempt = (this.#attempts.get(request.messageId) ?? 0) + 1;
    this.#attempts.set(request.messageId, attempt);
    return this.#faults({ kind: 'append', shard: request.shard, messageId: request.messageId, attempt });
  }

  #send(request: MemoryAppend, fault: JournalFault, answer: (outcome: AppendOutcome) => void): void {
    switch (fault) {
      case 'none':
        this.#deliver(request, (outcome) => this.#answer(outcome, answer));
        return;
      case 'lostAck':
        this.#deliver(request, noAnswer);
        this.#timeOut(answer);
        return;
      case 'lostRequest':
        this.#timeOut(answer);
        return;
      case 'late':
        this.#timeOut((outcome) => {
          answer(outcome);
          this.#clock.setTimer(this.#lateByMs, () => this.#handle(request, noAnswer));
        });
        return;
      case 'duplicateAck':
        this.#deliver(request, () => this.#deliver(request, (outcome) => this.#answer(outcome, answer)));
        return;
      case 'busy':
        this.#after(this.#latencyMs, () => answer({ kind: 'busy' }));
        return;
      case 'refused':
        this.#after(this.#latencyMs, () => answer({ kind: 'refused', detail: 'refused by a fault' }));
        return;
      default:
        unreachable(fault);
    }
  }

  /** Half of the latency is the way to the server. */
  #deliver(request: MemoryAppend, respond: (outcome: AppendOutcome) => void): void {
    this.#after(this.#latencyMs / 2, () => this.#handle(request, respond));
  }

  /** The other half is the way back, which takes no turn of its own when there is no latency. */
  #answer(outcome: AppendOutcome, answer: (outcome: AppendOutcome) => void): void {
    if (this.#latencyMs === 0) answer(outcome);
    else this.#after(this.#latencyMs / 2, () => answer(outcome));
  }

  #timeOut(answer: (outcome: AppendOutcome) => void): void {
    this.#after(this.#ackTimeoutMs, () =>
      answer({ kind: 'unknown', code: 'UNAVAILABLE', detail: 'no acknowledgement in time' }),
    );
  }

  /** What a server does with an append that has arrived. */
  #handle(request: MemoryAppend, respond: (outcome: AppendOutcome) => void): void {
    if (!this.#isReplicated) {
      respond(this.#log.expectationHolds(request) ? (this.#duplicateOf(request) ?? this.#store(request)) : conflict);
      return;
    }
    const duplicate = this.#duplicateOf(request);
    if (duplicate !== undefined) {
      respond(duplicate);
      return;
    }
    if (this.#inProcess.has(request.shard)) {
      respond({ kind: 'busy' });
      return;
    }
    if (!this.#log.expectationHolds(request)) {
      respond(conflict);
      return;
    }
    this.#inProcess.add(request.shard);
    this.#after(this.#latencyMs / 4, () => {
      this.#inProcess.delete(request.shard);
      respond(this.#store(request));
    });
  }

  #store(request: MemoryAppend): AppendOutcome {
    return { kind: 'committed', sequence: this.#log.store(request), duplicate: false };
  }

  #duplicateOf(request: MemoryAppend): AppendOutcome | undefined {
    const sequence = this.#log.sequenceOf(request.messageId);
    return sequence === undefined ? undefined : { kind: 'committed', sequence, duplicate: true };
  }

  #hop(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#after(delayMs, resolve));
  }

  #after(delayMs: number, fn: () => void): void {
    if (delayMs === 0) this.#clock.defer(fn);
    else this.#clock.setTimer(delayMs, fn);
  }
}

const none = 0 as Sequence;
const conflict: AppendOutcome = { kind: 'conflict' };

function noAnswer(): void {
  // The answer is lost on its way.
}

function demandReach(name: string, needed: Sequence, found: Sequence): void {
  if (found >= needed) return;
  throw new EngineError('LOG_REGRESSED', `${name}: expected sequence ${needed} or later, found ${found}`, {
    limit: `at least ${needed}`,
    got: found,
  });
}
