import { backoffDelayMs, retryDefaults, type RetryPolicy } from '../core/backoff.ts';
import { asError, EngineError, invalidArgument, unreachable } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import { shardOf } from '../core/hash.ts';
import type { ShardId, TaskId } from '../core/ids.ts';
import type { ListQuery, ShardCommand, TaskCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { shardSubject } from '../core/subjects.ts';
import type { Bus, RequestOutcome } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import { AbortWatch } from './abort-watch.ts';
import { DeadlineWatch, type Expiring } from './deadline-watch.ts';
import {
  type CommandFacts,
  errorReply,
  giveUp,
  judgeReply,
  noOwnerReport,
  PendingCommand,
  type TravelClass,
  type TryAgain,
} from './pending-command.ts';
import { RequestLanes, type RequestLaneLimits } from './request-lanes.ts';
import { traceHeaders, traceHeadroomBytes } from './trace-headers.ts';
import {
  assembleRequest,
  decodeReplies,
  type DecodedAnswer,
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
 * Commands of one turn to one shard share an envelope. Those that wait share one too where the owner answers each as soon as it can; an
 * older owner's replies come together, so that they go alone, as lists do. Commands of one task that are sent without awaiting each other may arrive in another order.
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
  /** Tries whose commands are to be sent once more beside themselves. */
  readonly #repeats: DeadlineWatch<Try>;
  /** Shards whose last answer came from an owner that answers in parts. */
  readonly #inParts = new Set<ShardId>();
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
      request: (shard, batch, onOver) => this.#request(shard, batch, onOver),
      answersInParts: (shard) => this.#inParts.has(shard),
    });
    this.#repeats = new DeadlineWatch({ clock: deps.clock, expire: (due) => this.#repeat(due) });
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
    const waitMs = 'waitMs' in command ? command.waitMs : undefined;
    const travel = waitMs === undefined || (waitMs === 0 && command.type === 'task.result') ? 'shared' : 'waiting';
    return this.#enqueue(
      shardOf(command.taskId, this.#shardCount),
      command,
      command.taskId,
      options,
      waitMs ?? 0,
      travel,
    );
  }

  /** Whether the task's owner answers in parts, by its last answer: what older owners do not know may be asked of it. */
  answersInParts(taskId: TaskId): boolean {
    return this.#inParts.has(shardOf(taskId, this.#shardCount));
  }

  /** The replies in the order of the commands, grouped into as few requests as the limits allow. Never rejects. */
  sendMany(commands: readonly TaskCommand[], options: SendOptions): Promise<Reply[]> {
    return Promise.all(commands.map((command) => this.send(command, options)));
  }

  /** A page of one shard's tasks. Never rejects. */
  list(shard: ShardId, query: Omit<ListQuery, 'type'>, options: SendOptions): Promise<Reply> {
    return this.#enqueue(shard, { type: 'task.list', ...query }, `the list of shard ${shard}`, options, 0, 'alone');
  }

  /** Ends every pending command with `CANCELED` and takes no new one. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const pending of this.#pending.items())
      pending.settle(canceledReply(pending.facts.subject, 'the client was closed'));
    for (const attempt of this.#repeats.items()) this.#repeats.remove(attempt);
  }

  #enqueue(
    shard: ShardId,
    command: ShardCommand,
    subject: string,
    options: SendOptions,
    waitMs: number,
    travel: TravelClass,
  ): Promise<Reply> {
    const { deadlineMs, signal } = options;
    const refused = this.#refuseAtOnce(subject, deadlineMs, signal);
    if (refused !== null) return Promise.resolve(refused);
    const encoded = this.#encode(command, subject);
    if ('kind' in encoded) return Promise.resolve(encoded);
    const now = this.#clock.monotonicMs();
    const facts: CommandFacts = {
      shard,
      subject,
      bytes: encoded.bytes,
      traceparent: options.traceparent,
      travel,
      deadlineAt: now + deadlineMs,
      deadlineMs,
      // A third of the deadline, so that a lost reply leaves time for a second and a third try.
      // Nobody is to answer a waiting read before its time; a list costs its owner too much to be asked for twice.
      repeatAfterMs: travel === 'alone' ? Infinity : waitMs + this.#limits.repeatAfterMs,
      tryTimeoutMs: waitMs + Math.max(leastTryTimeoutMs, Math.min(this.#limits.tryTimeoutMs, deadlineMs / 3)),
    };
    return new Promise((resolve) => {
      const pending = new PendingCommand(facts, resolve, this.#onSettled);
      if (signal !== undefined) {
        const onAbort = (): void => pending.settle(canceledReply(subject, 'the caller canceled it'));
        pending.forgetSignal = this.#aborts.add(signal, onAbort);
      }
      this.#pending.add(pending, now);
      this.#lanes.add(pending);
    });
  }

  readonly #onSettled = (pending: PendingCommand): void => this.#pending.remove(pending);

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

  /** One try of each command; over when none of them waits for it any more, whatever is still without an answer then. */
  #request(shard: ShardId, batch: readonly PendingCommand[], onOver: () => void): void {
    let repeatAfterMs = Infinity;
    for (const pending of batch) {
      pending.isTried = true;
      pending.tries += 1;
      repeatAfterMs = Math.min(repeatAfterMs, pending.facts.repeatAfterMs);
    }
    const now = this.#clock.monotonicMs();
    const tries = triesOf(batch);
    const attempt: Try = { shard, batch, tries, onOver, sentAt: now, deadlineAt: now + repeatAfterMs, isOver: false };
    if (repeatAfterMs !== Infinity) this.#repeats.add(attempt, now);
    this.#sendOnce(attempt, batch, tries, now);
  }

  #endWhenOver(attempt: Try): void {
    const { batch, tries } = attempt;
    if (attempt.isOver || batch.some((pending, index) => isOpen(pending, tries[index]))) return;
    attempt.isOver = true;
    this.#repeats.remove(attempt);
    attempt.onOver();
  }

  /** Sends once more what should have had an answer by now. */
  #repeat(attempt: Try): void {
    if (attempt.isOver || this.#closed) return;
    const now = this.#clock.monotonicMs();
    const due: PendingCommand[] = [];
    let nextAt = Infinity;
    for (const [index, pending] of attempt.batch.entries()) {
      if (!isOpen(pending, attempt.tries[index])) continue;
      const repeatAt = attempt.sentAt + pending.facts.repeatAfterMs;
      if (repeatAt > now) nextAt = Math.min(nextAt, repeatAt);
      else if (repeatAt > attempt.sentAt && pending.inFlight < maximumInFlightPerCommand) due.push(pending);
    }
    if (nextAt !== Infinity) {
      attempt.deadlineAt = nextAt;
      this.#repeats.add(attempt, now);
    }
    if (due.length === 0) return;
    this.#repeatedRequests += 1;
    this.#sendOnce(attempt, due, triesOf(due), now);
  }

  #sendOnce(attempt: Try, batch: readonly PendingCommand[], tries: readonly number[], now: number): void {
    let timeoutMs = 1;
    for (const pending of batch) {
      pending.inFlight += 1;
      timeoutMs = Math.max(timeoutMs, Math.min(pending.facts.tryTimeoutMs, pending.deadlineAt - now));
    }
    const body = assembleRequest(batch.map(({ facts }) => facts.bytes));
    const call: Call = { attempt, open: [...batch], tries };
    const options = {
      timeoutMs: Math.ceil(timeoutMs),
      headers: this.#traceHeaders(batch, body.length),
      onPart: (part: Uint8Array): void => this.#takeAnswer(call, part),
    };
    void this.#bus
      .request(shardSubject(this.#namespace, attempt.shard), body, options)
      .then((outcome) => this.#takeOutcome(call, outcome));
  }

  #traceHeaders(batch: readonly PendingCommand[], bodyBytes: number): Readonly<Record<string, string>> | undefined {
    // Nobody traces, mostly, and then this is all that it costs.
    if (batch.every(({ facts }) => facts.traceparent === undefined)) return undefined;
    const roomBytes = traceHeadroomBytes + this.#limits.maximumRequestBytes - bodyBytes;
    return traceHeaders(
      batch.map(({ facts }) => facts.traceparent),
      roomBytes,
    );
  }

  #takeOutcome(call: Call, outcome: RequestOutcome): void {
    const { shard } = call.attempt;
    switch (outcome.kind) {
      case 'reply':
        // The last answer: what it leaves out was lost with a part.
        this.#takeAnswer(call, outcome.body);
        return this.#settleOpen(call, { uncertain: true, refusal: null, floorMs: 0 });
      case 'no-responders':
        this.#inParts.delete(shard);
        return this.#settleOpen(call, { uncertain: false, refusal: noOwnerReport(shard, this.#namespace), floorMs: 0 });
      case 'timeout':
      case 'disconnected':
        this.#inParts.delete(shard);
        return this.#settleOpen(call, { uncertain: true, refusal: null, floorMs: 0 });
      case 'forbidden':
        return this.#settleOpen(call, { kind: 'error', error: forbiddenError(outcome).toReport() });
      default:
        return unreachable(outcome);
    }
  }

  #takeAnswer(call: Call, body: Uint8Array): void {
    let answer: DecodedAnswer;
    try {
      answer = decodeReplies(body, call.open.length);
    } catch (error) {
      const report = error instanceof EngineError ? error.toReport() : null;
      this.#settleOpen(
        call,
        report === null ? errorReply('INTERNAL', asError(error).message) : { kind: 'error', error: report },
      );
      return;
    }
    const { replies, of } = answer;
    if (of === null) this.#inParts.delete(call.attempt.shard);
    else this.#inParts.add(call.attempt.shard);
    let again: Retries | null = null;
    for (let place = 0; place < replies.length; place += 1) {
      const reply = replies[place] as Reply;
      const index = of === null ? place : (of[place] as number);
      const why = judgeReply(reply);
      if (why === null) this.#answered(call, index)?.settle(reply);
      else again = this.#refused(call, index, why, again);
    }
    if (again !== null) this.#retryLater(again);
    this.#endWhenOver(call.attempt);
  }

  /** The same for all commands of a request that have no answer. */
  #settleOpen(call: Call, what: TryAgain | Reply): void {
    let again: Retries | null = null;
    for (let index = 0; index < call.open.length; index += 1) {
      if ('kind' in what) this.#answered(call, index)?.settle(what);
      else again = this.#refused(call, index, what, again);
    }
    if (again !== null) this.#retryLater(again);
    this.#endWhenOver(call.attempt);
  }

  /** The command at that place of a request, the first time that an answer to it comes. */
  #answered(call: Call, index: number): PendingCommand | null {
    const pending = call.open[index] ?? null;
    if (pending === null) return null;
    call.open[index] = null;
    pending.inFlight -= 1;
    return pending;
  }

  #refused(
    call: Call,
    index: number,
    { uncertain, refusal, floorMs }: TryAgain,
    again: Retries | null,
  ): Retries | null {
    const pending = this.#answered(call, index);
    if (pending === null || pending.settled) return again;
    pending.uncertain ||= uncertain;
    // A late refusal of a try that is over decides nothing.
    if (!pending.isTried || pending.tries !== call.tries[index]) return again;
    pending.isTried = false;
    // What the refusal did not see: the same command in a request that somebody else may have received.
    pending.uncertain ||= pending.inFlight > 0;
    pending.refusal = refusal ?? pending.refusal;
    const retries: Retries = again ?? new Map();
    const group = retries.get(floorMs);
    if (group === undefined) retries.set(floorMs, [pending]);
    else group.push(pending);
    return retries;
  }

  #retryLater(retries: Retries): void {
    for (const [floorMs, group] of retries) this.#retryGroupLater(group, floorMs);
  }

  #retryGroupLater(group: readonly PendingCommand[], floorMs: number): void {
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

/** One try of the commands of an envelope. */
interface Try extends Expiring {
  readonly shard: ShardId;
  readonly batch: readonly PendingCommand[];
  /** Which try of each command it is. */
  readonly tries: readonly number[];
  readonly onOver: () => void;
  readonly sentAt: number;
  /** When some of it is to be sent again. */
  deadlineAt: number;
  isOver: boolean;
}

/** One request of a try: its first, or one that repeats it. */
interface Call {
  readonly attempt: Try;
  /** By their places in the request; null: answered. */
  readonly open: (PendingCommand | null)[];
  /** Which try of each command it belongs to. */
  readonly tries: readonly number[];
}

/** What is to be tried again, by how long it has to wait at least. */
type Retries = Map<number, PendingCommand[]>;

function triesOf(batch: readonly PendingCommand[]): readonly number[] {
  return batch.map(({ tries }) => tries);
}

/** Whether the command still waits for that try of it. */
function isOpen(pending: PendingCommand, attempt: number | undefined): boolean {
  return pending.isTried && !pending.settled && pending.tries === attempt;
}

function canceledReply(subject: string, why: string): Reply {
  return errorReply('CANCELED', `${subject}: ${why}`, {
    hint: 'if it was sent, it may still take effect: ask with the same ids',
  });
}
