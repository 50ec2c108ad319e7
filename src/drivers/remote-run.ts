import { RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError, EngineError, invalidArgument } from '../core/errors.ts';
import { forbiddenError, type ForbiddenOperation } from '../core/forbidden.ts';
import type { Bus, RequestOutcome } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { StageContext } from '../ports/driver.ts';
import {
  decodeReply,
  encodeRemote,
  isInstanceName,
  remoteProtocol,
  remoteSubjects,
  type NumberedMessage,
  type OfferReply,
  type OfferRequest,
  type PollRequest,
  type RunReply,
  type StartRequest,
  type TellRequest,
} from './remote-protocol.ts';
import { RunBridge } from './run-bridge.ts';
import type { RunMessage } from './run-messages.ts';
import { stageRequestOf } from './stage-request.ts';
import { fromWireError, toWireError } from './wire-error.ts';

/** What a remote run needs. */
export interface RemoteRunDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subject: string;
  /** Longest wait of one poll. */
  readonly pollWaitMs: number;
  /** Longest wait for an answer that needs no work. */
  readonly answerTimeoutMs: number;
  /** Time without any answer after which the run is held to be lost. */
  readonly lostAfterMs: number;
  /** Time that a run has to stop after an abort. */
  readonly cancelGraceMs: number;
  /** Largest request in bytes. */
  readonly maximumRequestBytes: number;
}

/** Wait before a request that nobody answered is sent again. */
const repeatDelayMs = 250;

/**
 * The engine's side of one attempt that a remote service runs.
 *
 * ```
 * offer ──instance──► start ──running──► poll ──done, failed──► settled
 *   │                   └──done, failed───┬──────────────────────┘
 *   └─nobody: NO_WORKER                   └─no answer for long: WORKER_LOST
 * ```
 * The instance is chosen first and alone is asked from then on: a start whose answer is lost is repeated to it, and it knows
 * the run already. So no attempt runs at two instances, however many there are.
 */
export class RemoteRun {
  readonly #ctx: StageContext;
  readonly #deps: RemoteRunDeps;
  readonly #bridge: RunBridge;
  readonly #outbox: TellRequest[] = [];
  #instance = '';
  #told = 0;
  #received = 0;
  #isTelling = false;
  #isOver = false;
  #graceIsOver = false;
  #graceTimer: TimerHandle | null = null;

  private constructor(ctx: StageContext, deps: RemoteRunDeps) {
    this.#ctx = ctx;
    this.#deps = deps;
    this.#bridge = new RunBridge(ctx, (message) => this.#tell(message));
  }

  /**
   * Runs the attempt and gives its output.
   *
   * @throws RetryableError `NO_WORKER`, `WORKER_BUSY`, `NO_ANSWER`, `BUS_FORBIDDEN` when nothing was begun; UncertainError
   *   `WORKER_LOST`; EngineError `PAYLOAD_TOO_LARGE`; what the remote driver throws; the signal's reason
   */
  static async execute(ctx: StageContext, deps: RemoteRunDeps): Promise<unknown> {
    ctx.signal.throwIfAborted();
    const body = encodeStart(ctx, deps.maximumRequestBytes);
    const run = new RemoteRun(ctx, deps);
    run.#instance = await askForInstance(deps);
    ctx.signal.throwIfAborted();
    return run.#guarded(body);
  }

  async #guarded(startBody: Uint8Array): Promise<unknown> {
    const { signal } = this.#ctx;
    const { clock, cancelGraceMs } = this.#deps;
    let onAbort: () => void;
    const graceOver = new Promise<void>((resolve) => {
      onAbort = () => {
        this.#cancel();
        this.#graceTimer = clock.setTimer(cancelGraceMs, () => {
          this.#graceIsOver = true;
          resolve();
        });
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const output = await Promise.race([this.#follow(startBody), graceOver]);
      signal.throwIfAborted();
      return output;
    } catch (thrown) {
      throw signal.aborted ? signal.reason : thrown;
    } finally {
      this.#isOver = true;
      signal.removeEventListener('abort', onAbort!);
      this.#graceTimer?.cancel();
      this.#bridge.close(new Error('the run is over'));
    }
  }

  /** Asks on until the run has settled. Once an answer has come, it is the run's own instance that is asked. */
  async #follow(startBody: Uint8Array): Promise<unknown> {
    let isStarted = false;
    let mayBeStarted = false;
    let silentSince = this.#deps.clock.monotonicMs();
    for (;;) {
      const askedAt = this.#deps.clock.monotonicMs();
      const outcome = await (isStarted ? this.#poll() : this.#start(startBody));
      if (this.#graceIsOver) return undefined;
      if (outcome.kind === 'reply') {
        const wasPoll = isStarted;
        // A cancel that overtook the start met no run.
        if (!isStarted && this.#ctx.signal.aborted) this.#cancel();
        isStarted = true;
        silentSince = this.#deps.clock.monotonicMs();
        const reply = decodeReply(outcome.body) as RunReply;
        const newMessages = this.#takeMessages(reply);
        switch (reply.status) {
          case 'running':
            // A service that does not wait for news would be asked without a pause.
            if (wasPoll && newMessages === 0) await this.#pauseAfter(askedAt);
            break;
          case 'done':
            return reply.output;
          case 'failed':
            throw fromWireError(reply.error);
          case 'unknown':
            throw new UncertainError('the remote driver does not know the run any more', { code: 'WORKER_LOST' });
          default:
            throw unreadable();
        }
        continue;
      }
      // A start that is repeated now could begin what is to be ended.
      if (!isStarted && this.#ctx.signal.aborted) return undefined;
      if (!isStarted && !mayBeStarted) {
        // Nobody has ever received it: another instance may have it.
        if (outcome.kind === 'no-responders') throw noWorker(this.#deps.subject);
        if (isUnsent(outcome)) throw mayNotAsk(outcome);
      }
      mayBeStarted ||= outcome.kind !== 'no-responders' && !isUnsent(outcome);
      if (this.#deps.clock.monotonicMs() - silentSince >= this.#deps.lostAfterMs) {
        throw new UncertainError(`the remote driver of ${this.#deps.subject} does not answer any more`, {
          code: 'WORKER_LOST',
        });
      }
      await this.#pauseAfter(askedAt);
    }
  }

  /** Whoever answered at once is not asked again at once. */
  async #pauseAfter(askedAt: number): Promise<void> {
    const spentMs = this.#deps.clock.monotonicMs() - askedAt;
    if (spentMs < repeatDelayMs) await sleep(this.#deps.clock, repeatDelayMs - spentMs);
  }

  #cancel(): void {
    this.#tell({ type: 'cancel', reason: toWireError(asError(this.#ctx.signal.reason)) });
  }

  #start(body: Uint8Array): Promise<RequestOutcome> {
    const { bus, subject, answerTimeoutMs } = this.#deps;
    return bus.request(remoteSubjects.start(subject, this.#instance), body, { timeoutMs: answerTimeoutMs });
  }

  #poll(): Promise<RequestOutcome> {
    const { bus, subject, answerTimeoutMs, pollWaitMs } = this.#deps;
    const { idempotencyKey, attempt } = this.#ctx;
    const request: PollRequest = { idempotencyKey, attempt, waitMs: pollWaitMs, received: this.#received };
    return bus.request(remoteSubjects.poll(subject, this.#instance), encodeRemote(request), {
      timeoutMs: pollWaitMs + answerTimeoutMs,
    });
  }

  /** @returns how many messages were new */
  #takeMessages(reply: RunReply): number {
    const before = this.#received;
    const messages: readonly NumberedMessage[] = reply.status === 'unknown' ? [] : (reply.messages ?? []);
    for (const { number, message } of messages) {
      // An answer that was lost is given again, with all that was in it.
      if (!Number.isSafeInteger(number) || number <= this.#received) continue;
      this.#received = number;
      if (typeof message === 'object' && message !== null) this.#bridge.receive(message);
    }
    return this.#received - before;
  }

  #tell(message: RunMessage): void {
    this.#told += 1;
    const { idempotencyKey, attempt } = this.#ctx;
    this.#outbox.push({ idempotencyKey, attempt, number: this.#told, message });
    if (!this.#isTelling) void this.#tellAll();
  }

  /** One message at a time, each until it is answered: they are taken in order. */
  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    const { bus, clock, subject, answerTimeoutMs } = this.#deps;
    for (let next = this.#outbox[0]; next !== undefined && !this.#isOver; next = this.#outbox[0]) {
      const outcome = await bus.request(remoteSubjects.tell(subject, this.#instance), encodeRemote(next), {
        timeoutMs: answerTimeoutMs,
      });
      if (outcome.kind === 'reply') this.#outbox.shift();
      else await sleep(clock, repeatDelayMs);
    }
    this.#isTelling = false;
  }
}

/** The service does not speak the protocol: its broken contract, which no retry mends. */
function unreadable(): Error {
  return invalidArgument({
    code: 'INVALID_MESSAGE',
    field: 'status',
    message: 'the answer of a remote driver has an unknown status, or names no instance',
  });
}

function encodeStart(ctx: StageContext, maximumRequestBytes: number): Uint8Array {
  const request: StartRequest = { protocol: remoteProtocol, ...stageRequestOf(ctx) };
  const body = encodeRemote(request);
  if (body.byteLength <= maximumRequestBytes) return body;
  throw new EngineError(
    'PAYLOAD_TOO_LARGE',
    `the stage has ${body.byteLength} bytes of JSON, too many for one message`,
    {
      field: 'input',
      limit: `${maximumRequestBytes} bytes`,
      got: body.byteLength,
      hint: 'keep large things in a store of your own and pass a reference',
    },
  );
}

async function askForInstance(deps: RemoteRunDeps): Promise<string> {
  const request: OfferRequest = { protocol: remoteProtocol };
  const outcome = await deps.bus.request(remoteSubjects.offer(deps.subject), encodeRemote(request), {
    timeoutMs: deps.answerTimeoutMs,
  });
  if (outcome.kind === 'no-responders') throw noWorker(deps.subject);
  if (outcome.kind === 'forbidden') throw mayNotAsk(outcome);
  if (outcome.kind !== 'reply') {
    throw new RetryableError(`no service of ${deps.subject} answered the offer (${outcome.kind})`, {
      code: 'NO_ANSWER',
    });
  }
  const reply = decodeReply(outcome.body) as OfferReply;
  switch (reply.status) {
    case 'offered':
      if (isInstanceName(reply.instance)) return reply.instance;
      break;
    case 'busy': {
      const message = `every service of ${deps.subject} that was asked is busy`;
      if (typeof reply.retryAfterMs !== 'number') throw new RetryableError(message, { code: 'WORKER_BUSY' });
      throw new RateLimitedError(message, reply.retryAfterMs, { code: 'WORKER_BUSY' });
    }
    case 'failed':
      throw fromWireError(reply.error);
    default:
  }
  throw unreadable();
}

function noWorker(subject: string): Error {
  return new RetryableError(`no remote driver serves ${subject}`, { code: 'NO_WORKER' });
}

/** Whether the bus has kept the request from everybody. */
function isUnsent(outcome: RequestOutcome): outcome is Extract<RequestOutcome, { readonly kind: 'forbidden' }> {
  return outcome.kind === 'forbidden' && outcome.operation === 'publish';
}

/** This node's NATS user lacks a permission, which an operator may give while the attempts last. */
export function mayNotAsk(forbidden: ForbiddenOperation): RetryableError {
  const { message, hint = '', code } = forbiddenError(forbidden);
  return new RetryableError(`${message}; ${hint}`, { code });
}

function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}
