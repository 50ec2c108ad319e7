import { backoffDelayMs, retryDefaults, type RetryPolicy } from '../core/backoff.ts';
import { asError, EngineError, invalidArgument, unreachable } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import { shardOf } from '../core/hash.ts';
import type { ShardId } from '../core/ids.ts';
import type { ListQuery, ShardCommand, TaskCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { shardSubject } from '../core/subjects.ts';
import type { Bus, RequestOutcome } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import { AbortWatch } from './abort-watch.ts';
import { DeadlineWatch } from './deadline-watch.ts';
import {
  errorReply,
  giveUp,
  judgeReply,
  noOwnerReport,
  type PendingCommand,
  type TryVerdict,
} from './pending-command.ts';
import { RequestLanes, type RequestLaneLimits } from './request-lanes.ts';
import { traceHeaders, traceHeadroomBytes } from './trace-headers.ts';
import {
  assembleRequest,
  decodeReplies,
  encodeCommand,
  envelopeOverheadBytes,
  maximumMessageBytes,
} from './request-codec.ts';

/** Bounds of a {@link ShardClient}. */
export interface ShardClientLimits extends RequestLaneLimits {
  /** Commands without an answer; one more is answered `OVERLOADED` at once. */
  readonly maximumPendingCommands: number;
  /** How long one try waits before the command is sent again. */
  readonly tryTimeoutMs: number;
  /** A request without an answer for so long is sent again beside itself: its owner may be frozen, and another one be there. */
  readonly repeatAfterMs: number;
}

/** The limits in force when nothing else is said. */
export const shardClientDefaults: ShardClientLimits = {
  maximumRequestBytes: maximumMessageBytes - 4_096,
  maximumRequestsPerShard: 8,
  maximumRequestsInFlight: 256,
  maximumWaitsInFlight: 1_024,
  maximumPendingCommands: 65_536,
  tryTimeoutMs: 2_000,
  repeatAfterMs: 1_000,
};

/** Requests of one command that may be without an answer at one time, over all its tries. */
const maximumInFlightPerCommand = 3;
/** Longest deadline of a request. */
export const maximumDeadlineMs = 3_600_000;
/** Least wait of one try, however near the deadline is. */
const leastTryTimeoutMs = 50;

/** Pauses between tries: a handoff is over in tens of milliseconds, a takeover in seconds. */
const pauses: RetryPolicy = {
  ...retryDefaults,
  maxAttempts: 1_000,
  initialDelayMs: 20,
  maxDelayMs: 1_000,
  jitter: 0.5,
};
/** Least pause before the last tries, which the deadline would otherwise cut off. */
const leastPauseMs = 10;
/** Least time that a try must have before the deadline: cut off in flight, it would make a known refusal unknown. */
const leastTryMs = 20;

/** What a caller says about one send. */
export interface SendOptions {
  /** 1 to {@link maximumDeadlineMs}; 0 or less has passed already. */
  readonly deadlineMs: number;
  /** Gives the command up when it aborts; what was sent may still take effect. */
  readonly signal?: AbortSignal | undefined;
  /** The trace that the command belongs to. */
  readonly traceparent?: string | undefined;
}

/**
 * Sends commands to the owners of their shards and finds the owner again when it changes.
 *
 * ```
 * send ─► lane of the shard ─(end of the turn)─► envelope of ≤ 256 ─► bus ─► replies ─► settle
 *              ▲                                              │ no owner, overload, timeout, disconnect
 *              └────────── pause with jitter ◄────────────────┘ the same bytes, so the same command ids
 * ```
 * A try that has no answer after a second is sent once more beside itself, and the first answer counts. The mailbox knows the command
 * ids, so that both have one effect; an answer that comes later is dropped.
 *
 * Commands of one turn to one shard share an envelope. Waiting reads and lists go alone: the replies of an envelope come
 * together. Commands of one task that are sent without awaiting each other may arrive in another order.
 */
export class ShardClient {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #namespace: string;
  readonly #shardCount: number;
  readonly #limits: ShardClientLimits;
  readonly #lanes: RequestLanes;
  readonly #pending: DeadlineWatch<PendingCommand>;
  readonly #timers = new Set<TimerHandle>();
  readonly #aborts = new AbortWatch();
  #repeatedRequests = 0;
  #closed = false;

  constructor(deps: {
    readonly bus: Bus;
    readonly clock: Clock;
    readonly random: Random;
    readonly namespace: string;
    readonly shardCount: number;
    readonly limits?: Partial<ShardClientLimits> | undefined;
  }) {
    this.#bus = deps.bus;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#namespace = deps.namespace;
    this.#shardCount = deps.shardCount;
    this.#limits = { ...shardClientDefaults, ...deps.limits };
    this.#pending = new DeadlineWatch({ clock: deps.clock, expire: (pending) => pending.settle(giveUp(pending)) });
    this.#lanes = new RequestLanes({
      clock: deps.clock,
      limits: this.#limits,
      request: (shard, batch) => this.#request(shard, batch),
    });
  }

  /** Number of shards of the cluster. */
  get shardCount(): number {
    return this.#shardCount;
  }

  /** Requests that were sent again beside themselves, since the start. */
  get repeatedRequests(): number {
    return this.#repeatedRequests;
  }

  /** Commands that wait for an answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * The owner's reply, or an error reply. Never rejects.
   *
   * At the deadline the error says what is known: `NO_OWNER`, `MAILBOX_FULL` or `OVERLOADED` when every try was refused so,
   * `DEADLINE_EXCEEDED` when a try may have been received. `CANCELED` after an abort or {@link close}; `BUS_FORBIDDEN` at once when the
   * NATS user lacks a permission.
   */
  send(command: TaskCommand, options: SendOptions): Promise<Reply> {
    const waitMs = command.type === 'task.result' ? command.waitMs : 0;
    return this.#enqueue(
      shardOf(command.taskId, this.#shardCount),
      command,
      command.taskId,
      options,
      waitMs,
      waitMs > 0,
    );
  }

  /** The replies in the order of the commands, grouped into as few requests as the limits allow. Never rejects. */
  sendMany(commands: readonly TaskCommand[], options: SendOptions): Promise<Reply[]> {
    return Promise.all(commands.map((command) => this.send(command, options)));
  }

  /** A page of one shard's tasks. Never rejects. */
  list(shard: ShardId, query: Omit<ListQuery, 'type'>, options: SendOptions): Promise<Reply> {
    return this.#enqueue(shard, { type: 'task.list', ...query }, `the list of shard ${shard}`, options, 0, true);
  }

  /** Ends every pending command with `CANCELED` and takes no new one. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const pending of this.#pending.items())
      pending.settle(canceledReply(pending.subject, 'the client was closed'));
  }

  #enqueue(
    shard: ShardId,
    command: ShardCommand,
    subject: string,
    options: SendOptions,
    waitMs: number,
    alone: boolean,
  ): Promise<Reply> {
    const { deadlineMs, signal } = options;
    const refused = this.#refuseAtOnce(subject, deadlineMs, signal);
    if (refused !== null) return Promise.resolve(refused);
    const encoded = this.#encode(command, subject);
    if ('kind' in encoded) return Promise.resolve(encoded);
    const now = this.#clock.monotonicMs();
    return new Promise((resolve) => {
      const onAbort = (): void => pending.settle(canceledReply(subject, 'the caller canceled it'));
      const pending: PendingCommand = {
        shard,
        subject,
        bytes: encoded.bytes,
        traceparent: options.traceparent,
        alone,
        deadlineAt: now + deadlineMs,
        deadlineMs,
        // A third of the deadline, so that a lost reply leaves time for a second and a third try.
        // Nobody is to answer a waiting read before its time; a list costs its owner too much to be asked for twice.
        repeatAfterMs: alone && waitMs === 0 ? Infinity : waitMs + this.#limits.repeatAfterMs,
        tryTimeoutMs: waitMs + Math.max(leastTryTimeoutMs, Math.min(this.#limits.tryTimeoutMs, deadlineMs / 3)),
        settled: false,
        inFlight: 0,
        isTried: false,
        tries: 0,
        uncertain: false,
        refusal: null,
        settle: (reply) => {
          if (pending.settled) return;
          pending.settled = true;
          this.#pending.remove(pending);
          forgetSignal?.();
          resolve(reply);
        },
      };
      const forgetSignal = signal === undefined ? undefined : this.#aborts.add(signal, onAbort);
      this.#pending.add(pending, now);
      this.#lanes.add(pending);
    });
  }

  #refuseAtOnce(subject: string, deadlineMs: number, signal: AbortSignal | undefined): Reply | null {
    if (this.#closed) return canceledReply(subject, 'the client is closed');
    if (signal?.aborted === true) return canceledReply(subject, 'the caller canceled it before it was sent');
    if (!Number.isFinite(deadlineMs) || deadlineMs > maximumDeadlineMs) {
      const limit = `1 to ${maximumDeadlineMs} ms`;
      const message = `deadlineMs must be ${limit}: a deadline over ${maximumDeadlineMs / 1_000} s is not taken`;
      return {
        kind: 'error',
        error: invalidArgument({ field: 'deadlineMs', message, limit, got: deadlineMs }).toReport(),
      };
    }
    if (deadlineMs <= 0) {
      return errorReply('DEADLINE_EXCEEDED', `the deadline of ${subject} has passed; nothing was sent`, {
        field: 'deadlineMs',
        got: deadlineMs,
      });
    }
    if (this.#pending.size >= this.#limits.maximumPendingCommands) {
      const limit = `${this.#limits.maximumPendingCommands} commands`;
      return errorReply('OVERLOADED', 'this client has as many unanswered commands as it may hold', {
        limit,
        retryAfterMs: 100,
        hint: 'await answers before sending more',
      });
    }
    return null;
  }

  #encode(command: ShardCommand, subject: string): { readonly bytes: Uint8Array } | Reply {
    const limitBytes = this.#limits.maximumRequestBytes - envelopeOverheadBytes;
    try {
      const bytes = encodeCommand(command);
      if (bytes.length <= limitBytes) return { bytes };
      return errorReply('PAYLOAD_TOO_LARGE', `${subject}: the command has ${bytes.length} bytes`, {
        field: 'input',
        limit: `${limitBytes} bytes`,
        got: bytes.length,
        hint: 'put large files into a store of your own and pass their addresses',
      });
    } catch (error) {
      return errorReply('UNSERIALIZABLE', `${subject}: the command cannot be encoded: ${asError(error).message}`);
    }
  }

  /** One try of each command; resolves when it is over for all of them, whatever is still without an answer then. */
  #request(shard: ShardId, batch: readonly PendingCommand[]): Promise<void> {
    return new Promise((resolve) => {
      for (const pending of batch) {
        pending.isTried = true;
        pending.tries += 1;
      }
      const endWhenOver = (): void => {
        if (batch.some(({ isTried, settled }) => isTried && !settled)) return;
        forget();
        resolve();
      };
      const forget = this.#repeatLater(shard, batch, endWhenOver);
      void this.#sendOnce(shard, batch).then(endWhenOver);
    });
  }

  /** @returns takes it back */
  #repeatLater(shard: ShardId, batch: readonly PendingCommand[], onAnswered: () => void): () => void {
    const delayMs = batch.reduce((least, { repeatAfterMs }) => Math.min(least, repeatAfterMs), Infinity);
    if (delayMs === Infinity) return () => {};
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      const open = batch.filter(
        ({ isTried, settled, inFlight }) => isTried && !settled && inFlight < maximumInFlightPerCommand,
      );
      if (open.length === 0) return;
      this.#repeatedRequests += 1;
      void this.#sendOnce(shard, open).then(onAnswered);
    });
    this.#timers.add(timer);
    return () => {
      timer.cancel();
      this.#timers.delete(timer);
    };
  }

  async #sendOnce(shard: ShardId, batch: readonly PendingCommand[]): Promise<void> {
    const now = this.#clock.monotonicMs();
    let timeoutMs = 1;
    for (const pending of batch) {
      pending.inFlight += 1;
      timeoutMs = Math.max(timeoutMs, Math.min(pending.tryTimeoutMs, pending.deadlineAt - now));
    }
    const tries = batch.map((pending) => pending.tries);
    const body = assembleRequest(batch.map((pending) => pending.bytes));
    const outcome = await this.#bus.request(shardSubject(this.#namespace, shard), body, {
      timeoutMs: Math.ceil(timeoutMs),
      headers: this.#traceHeaders(batch, body.length),
    });
    for (const pending of batch) pending.inFlight -= 1;
    this.#settleOrRetry(shard, batch, tries, outcome);
  }

  #traceHeaders(batch: readonly PendingCommand[], bodyBytes: number): Readonly<Record<string, string>> | undefined {
    // Nobody traces, mostly, and then this is all that it costs.
    if (batch.every(({ traceparent }) => traceparent === undefined)) return undefined;
    const roomBytes = traceHeadroomBytes + this.#limits.maximumRequestBytes - bodyBytes;
    return traceHeaders(
      batch.map(({ traceparent }) => traceparent),
      roomBytes,
    );
  }

  #settleOrRetry(
    shard: ShardId,
    batch: readonly PendingCommand[],
    tries: readonly number[],
    outcome: RequestOutcome,
  ): void {
    const verdicts = this.#judge(shard, batch, outcome);
    const again = new Map<number, PendingCommand[]>();
    for (const [index, pending] of batch.entries()) {
      const verdict = verdicts[index];
      if (pending.settled || verdict === undefined) continue;
      if (verdict.kind === 'settle') {
        pending.settle(verdict.reply);
        continue;
      }
      pending.uncertain ||= verdict.uncertain;
      // A late refusal of a try that is over decides nothing.
      if (!pending.isTried || pending.tries !== tries[index]) continue;
      pending.isTried = false;
      // What the refusal did not see: the same command in a request that somebody else may have received.
      pending.uncertain ||= pending.inFlight > 0;
      pending.refusal = verdict.refusal ?? pending.refusal;
      const group = again.get(verdict.floorMs);
      if (group === undefined) again.set(verdict.floorMs, [pending]);
      else group.push(pending);
    }
    for (const [floorMs, group] of again) this.#retryLater(group, floorMs);
  }

  #judge(shard: ShardId, batch: readonly PendingCommand[], outcome: RequestOutcome): readonly TryVerdict[] {
    switch (outcome.kind) {
      case 'reply':
        return this.#judgeReplies(outcome.body, batch.length);
      case 'no-responders': {
        const refusal = noOwnerReport(shard, this.#namespace);
        return batch.map(() => ({ kind: 'retry', uncertain: false, refusal, floorMs: 0 }));
      }
      case 'timeout':
      case 'disconnected':
        return batch.map(() => ({ kind: 'retry', uncertain: true, refusal: null, floorMs: 0 }));
      case 'forbidden': {
        const reply: Reply = { kind: 'error', error: forbiddenError(outcome).toReport() };
        return batch.map(() => ({ kind: 'settle', reply }));
      }
      default:
        return unreachable(outcome);
    }
  }

  #judgeReplies(body: Uint8Array, count: number): readonly TryVerdict[] {
    try {
      return decodeReplies(body, count).map(judgeReply);
    } catch (error) {
      const report = error instanceof EngineError ? error.toReport() : null;
      const reply: Reply =
        report === null ? errorReply('INTERNAL', asError(error).message) : { kind: 'error', error: report };
      return Array.from({ length: count }, () => ({ kind: 'settle', reply }));
    }
  }

  #retryLater(group: readonly PendingCommand[], floorMs: number): void {
    const now = this.#clock.monotonicMs();
    const tries = group.reduce((most, pending) => Math.max(most, pending.tries), 1);
    const backoffMs = backoffDelayMs(pauses, tries, this.#random.next());
    const byPause = new Map<number, PendingCommand[]>();
    for (const pending of group) {
      const remainingMs = pending.deadlineAt - now;
      // Near its deadline a command pauses for half of what is left: the last try must come before it, not after.
      const pauseMs = Math.ceil(Math.max(floorMs, Math.min(backoffMs, remainingMs / 2), leastPauseMs));
      if (this.#closed || pauseMs + leastTryMs > remainingMs) {
        pending.settle(giveUp(pending));
        continue;
      }
      const sharing = byPause.get(pauseMs);
      if (sharing === undefined) byPause.set(pauseMs, [pending]);
      else sharing.push(pending);
    }
    for (const [pauseMs, waiting] of byPause) {
      const timer = this.#clock.setTimer(pauseMs, () => {
        this.#timers.delete(timer);
        for (const pending of waiting) if (!pending.settled) this.#lanes.add(pending);
      });
      this.#timers.add(timer);
    }
  }
}

function canceledReply(subject: string, why: string): Reply {
  return errorReply('CANCELED', `${subject}: ${why}`, {
    hint: 'if it was sent, it may still take effect: ask with the same ids',
  });
}
