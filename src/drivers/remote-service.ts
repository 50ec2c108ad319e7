import { RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import type { Bus, BusRequest, BusService } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { AnyDriver } from '../ports/driver.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import { HostedRun } from './hosted-run.ts';
import {
  checkSubject,
  decodeRequest,
  encodeRemote,
  remoteQueue,
  remoteSubjects,
  requestShapes,
  type LookupReply,
  type OfferReply,
  type PollRequest,
  type RunReply,
  type StartRequest,
  type TellReply,
  type TellRequest,
} from './remote-protocol.ts';
import { ServedRun, type ServedRunDeps } from './served-run.ts';
import { toWireError } from './wire-error.ts';

/** Settings of a service that does the work of a remote driver. */
export interface RemoteServiceOptions {
  readonly bus: Bus;
  /** The subject that `remoteDriver` is given. */
  readonly subject: string;
  readonly driver: AnyDriver;
  /** The integrations that the driver sees as `ctx.ports`. */
  readonly ports?: Readonly<Record<string, unknown>> | undefined;
  /** Runs at one time; more are answered `busy`. 64 when left out. */
  readonly maximumRuns?: number | undefined;
  /** How long a result is kept for an engine that has not heard it; 60,000 when left out. */
  readonly keepResultMs?: number | undefined;
  /** Results kept at one time, the oldest dropped first; 1,000 when left out. */
  readonly maximumKept?: number | undefined;
  /** Time without a question after which a run is canceled; 30,000 when left out. */
  readonly orphanAfterMs?: number | undefined;
  /** Time that an older attempt, or a stop, gives a run to end after its signal aborts; 4,000 when left out. */
  readonly cancelGraceMs?: number | undefined;
  /** Largest output or checkpoint, in bytes of JSON; 900,000 when left out, for a server whose `max_payload` is 1 MiB. */
  readonly maximumValueBytes?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A running service. */
export interface RemoteService {
  /** Runs that have not settled. */
  readonly running: number;
  /**
   * Takes no new runs, waits `graceMs` (10,000 when left out) for those that run, aborts the rest, keeps answering until their
   * engines have had time to hear the results, and ends.
   */
  stop(graceMs?: number): Promise<void>;
}

const defaults = {
  maximumRuns: 64,
  keepResultMs: 60_000,
  maximumKept: 1_000,
  orphanAfterMs: 30_000,
  cancelGraceMs: 4_000,
  maximumValueBytes: 900_000,
} as const;

/** Time that a start is held back for a result: a quick driver needs one request, not two. */
const startWaitMs = 20;
/** Time that an engine is asked to wait when all runs are taken. */
const busyRetryAfterMs = 1_000;
const defaultStopGraceMs = 10_000;
/** Time that engines have to hear how their runs ended, before a service is gone. */
const hearMs = 1_000;

/**
 * Serves a driver on the bus for engines elsewhere: the other side of `remoteDriver`. Several processes may serve one subject;
 * each run stays with the one that was offered it.
 *
 * A start of a key and attempt that is known joins its run. A newer attempt of a key aborts the older one and begins when that
 * has ended; an older one is refused as `STALE_FENCE`. A run for which no engine asks is aborted.
 */
export async function startRemoteService(options: RemoteServiceOptions): Promise<RemoteService> {
  const service = new DriverService(options);
  await service.serve();
  return service;
}

class DriverService implements RemoteService {
  readonly #options: RemoteServiceOptions;
  readonly #settings: Record<keyof typeof defaults, number>;
  readonly #deps: ServedRunDeps;
  readonly #subject: string;
  readonly #instance: string;
  /** By idempotency key, in order of their start. */
  readonly #runs = new Map<string, ServedRun>();
  /** Starts that wait for the end of an older attempt, by idempotency key. */
  readonly #pending = new Map<string, StartRequest>();
  readonly #forgetTimers = new Map<ServedRun, TimerHandle>();
  #offering: BusService[] = [];
  #serving: BusService[] = [];
  #isStopping = false;

  constructor(options: RemoteServiceOptions) {
    const given = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined);
    this.#options = options;
    this.#settings = { ...defaults, ...Object.fromEntries(given) };
    this.#subject = checkSubject(options.subject);
    this.#instance = options.random.id();
    const { clock, driver, logger } = options;
    this.#deps = {
      clock,
      driver,
      logger,
      ports: options.ports ?? {},
      maximumValueBytes: this.#settings.maximumValueBytes,
      orphanAfterMs: this.#settings.orphanAfterMs,
    };
  }

  get running(): number {
    return [...this.#runs.values()].filter((run) => !run.isSettled).length + this.#pending.size;
  }

  async serve(): Promise<void> {
    const subject = this.#subject;
    const instance = this.#instance;
    // What an offer leads to is served before the first offer is made.
    this.#serving = [
      await this.#answer(remoteSubjects.start(subject, instance), requestShapes.start, this.#start),
      await this.#answer(remoteSubjects.poll(subject, instance), requestShapes.poll, this.#poll),
      await this.#answer(remoteSubjects.tell(subject, instance), requestShapes.tell, this.#tell),
    ];
    this.#offering = [
      await this.#answer(remoteSubjects.lookup(subject), requestShapes.lookup, this.#lookUp, remoteQueue),
      await this.#answer(remoteSubjects.offer(subject), requestShapes.offer, this.#offer, remoteQueue),
    ];
  }

  async stop(graceMs = defaultStopGraceMs): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#offering.map((service) => service.stop()));
    await this.#ended(graceMs);
    for (const run of this.#runs.values()) run.cancel(new UncertainError('the remote driver is being stopped'));
    await this.#ended(this.#settings.cancelGraceMs);
    const settled = [...this.#runs.values()].filter((run) => run.isSettled);
    await this.#within(Promise.all(settled.map((run) => run.heard)), hearMs);
    await Promise.all(this.#serving.map((service) => service.stop()));
    for (const timer of this.#forgetTimers.values()) timer.cancel();
    for (const run of this.#runs.values()) run.dispose();
    this.#runs.clear();
  }

  readonly #offer = (_request: unknown, answer: (reply: OfferReply) => void): void => {
    if (this.#isStopping || this.running >= this.#settings.maximumRuns) {
      answer({ status: 'busy', retryAfterMs: busyRetryAfterMs });
    } else answer({ status: 'offered', instance: this.#instance });
  };

  readonly #start = (request: StartRequest, answer: (reply: RunReply) => void): void => {
    const known = this.#pending.get(request.idempotencyKey) ?? this.#runs.get(request.idempotencyKey)?.request;
    const order = known === undefined ? 1 : compareStarts(request, known);
    if (order < 0) {
      const stale = new RetryableError('a newer attempt of this stage is known', { code: 'STALE_FENCE' });
      answer({ status: 'failed', error: toWireError(stale) });
    } else if (order > 0 && (this.#isStopping || this.running >= this.#settings.maximumRuns)) {
      // More were offered than there is room for: the offers crossed.
      const busy = new RateLimitedError('all runs are taken', busyRetryAfterMs, { code: 'WORKER_BUSY' });
      answer({ status: 'failed', error: toWireError(busy) });
    } else {
      if (order > 0) this.#begin(request);
      this.#answerSoon(request, answer);
    }
  };

  readonly #poll = (request: PollRequest, answer: (reply: RunReply) => void): void => {
    const run = this.#runs.get(request.idempotencyKey);
    if (this.#pending.get(request.idempotencyKey)?.attempt === request.attempt) {
      this.#options.clock.setTimer(Math.min(request.waitMs, startWaitMs), () => answer({ status: 'running' }));
    } else if (run?.request.attempt === request.attempt) run.poll(request, answer);
    else answer({ status: 'unknown' });
  };

  readonly #tell = (request: TellRequest, answer: (reply: TellReply) => void): void => {
    const { idempotencyKey, attempt, message } = request;
    const run = this.#runs.get(idempotencyKey);
    if (this.#pending.get(idempotencyKey)?.attempt === attempt && message.type === 'cancel') {
      this.#pending.delete(idempotencyKey);
      answer({ status: 'told' });
    } else if (run?.request.attempt === attempt) {
      run.tell(request);
      answer({ status: 'told' });
    } else answer({ status: 'unknown' });
  };

  readonly #lookUp = (request: StartRequest, answer: (reply: LookupReply) => void): void => {
    const { driver, logger, ports, maximumValueBytes } = this.#deps;
    const hosted = new HostedRun({
      driver,
      operation: 'lookup',
      request,
      log: logger,
      ports,
      maximumValueBytes,
      onHeartbeat: () => undefined,
      send: () => undefined,
    });
    void this.#tellLookup(hosted, answer);
  };

  async #tellLookup(hosted: HostedRun, answer: (reply: LookupReply) => void): Promise<void> {
    const result = await hosted.result;
    if (result.kind === 'failed') answer({ status: 'failed', error: result.error });
    else answer({ status: 'answered', answer: result.output as (LookupReply & { status: 'answered' })['answer'] });
  }

  #begin(request: StartRequest): void {
    const older = this.#runs.get(request.idempotencyKey);
    if (older === undefined || older.isSettled) {
      this.#run(request);
      return;
    }
    // Two attempts of one stage must not run at one time, unless the older one does not stop.
    this.#pending.set(request.idempotencyKey, request);
    older.cancel(new UncertainError('a newer attempt takes its place'));
    void this.#runAfter(older, request);
  }

  async #runAfter(older: ServedRun, request: StartRequest): Promise<void> {
    await this.#within(older.settled, this.#settings.cancelGraceMs);
    // A still newer attempt, or a cancel, may have come meanwhile.
    if (this.#pending.get(request.idempotencyKey) !== request) return;
    this.#pending.delete(request.idempotencyKey);
    if (!this.#isStopping) this.#run(request);
  }

  #run(request: StartRequest): void {
    const older = this.#runs.get(request.idempotencyKey);
    if (older !== undefined) this.#forget(older);
    const run = new ServedRun(request, this.#deps);
    this.#runs.set(request.idempotencyKey, run);
    void run.settled.then(() => this.#keep(run));
  }

  #answerSoon(request: StartRequest, answer: (reply: RunReply) => void): void {
    const run = this.#runs.get(request.idempotencyKey);
    if (run?.request.attempt !== request.attempt) {
      answer({ status: 'running' });
      return;
    }
    void this.#within(run.settled, startWaitMs).then(() => run.tellState(answer));
  }

  /** Keeps the result for a while: the answer that had it may have been lost. */
  #keep(run: ServedRun): void {
    if (this.#runs.get(run.request.idempotencyKey) !== run) return;
    this.#forgetTimers.set(
      run,
      this.#options.clock.setTimer(this.#settings.keepResultMs, () => this.#forget(run)),
    );
    const [oldest] = this.#forgetTimers.keys();
    if (oldest !== undefined && this.#forgetTimers.size > this.#settings.maximumKept) this.#forget(oldest);
  }

  #forget(run: ServedRun): void {
    this.#forgetTimers.get(run)?.cancel();
    this.#forgetTimers.delete(run);
    run.dispose();
    if (this.#runs.get(run.request.idempotencyKey) === run) this.#runs.delete(run.request.idempotencyKey);
  }

  async #ended(withinMs: number): Promise<void> {
    await this.#within(Promise.all([...this.#runs.values()].map((run) => run.settled)), withinMs);
  }

  async #within(promise: Promise<unknown>, limitMs: number): Promise<void> {
    let timer: TimerHandle | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = this.#options.clock.setTimer(limitMs, resolve);
    });
    await Promise.race([promise, limit]);
    timer?.cancel();
  }

  /** One request, one answer: bytes become a checked request here, and whatever goes wrong becomes an answer. */
  #answer(
    subject: string,
    shape: Shape,
    handle: (request: never, answer: (reply: object) => void) => void,
    queue?: string,
  ): Promise<BusService> {
    const onRequest = (message: BusRequest): void => {
      try {
        handle(decodeRequest(message.body, shape) as never, (reply) => message.reply(encodeRemote(reply)));
      } catch (thrown) {
        this.#options.logger.warn({ err: asError(thrown), subject }, 'a request to a remote driver was refused');
        message.reply(encodeRemote({ status: 'failed', error: toWireError(thrown) }));
      }
    };
    return this.#options.bus.serve(subject, onRequest, queue === undefined ? {} : { queue });
  }
}

/** Below 0: `left` is older than `right`; 0: the same attempt. The fence grows with each start of a shard. */
function compareStarts(left: StartRequest, right: StartRequest): number {
  return (
    left.fence.epoch - right.fence.epoch || left.fence.sequence - right.fence.sequence || left.attempt - right.attempt
  );
}
