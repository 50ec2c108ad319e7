import { RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError, unreachable } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import type { Bus, BusRequest, BusService } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
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
import { ServedRuns } from './served-runs.ts';
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
  readonly #runs: ServedRuns;
  readonly #subject: string;
  readonly #instance: string;
  #offering: BusService[] = [];
  #serving: BusService[] = [];

  constructor(options: RemoteServiceOptions) {
    const given = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined);
    this.#options = options;
    this.#settings = { ...defaults, ...Object.fromEntries(given) };
    this.#subject = checkSubject(options.subject);
    this.#instance = options.random.id();
    const { clock, driver, logger, ports = {} } = options;
    this.#runs = new ServedRuns({ ...this.#settings, clock, driver, logger, ports });
  }

  get running(): number {
    return this.#runs.running;
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
    this.#runs.close();
    await Promise.all(this.#offering.map((service) => service.stop()));
    await this.#runs.settled(graceMs);
    this.#runs.cancelAll(new UncertainError('the remote driver is being stopped'));
    await this.#runs.settled(this.#settings.cancelGraceMs);
    await this.#runs.heard(hearMs);
    await Promise.all(this.#serving.map((service) => service.stop()));
    this.#runs.forgetAll();
  }

  readonly #offer = (_request: unknown, answer: (reply: OfferReply) => void): void => {
    if (this.#runs.hasRoom) answer({ status: 'offered', instance: this.#instance });
    else answer({ status: 'busy', retryAfterMs: busyRetryAfterMs });
  };

  readonly #start = (request: StartRequest, answer: (reply: RunReply) => void): void => {
    const outcome = this.#runs.start(request);
    switch (outcome) {
      case 'stale': {
        const stale = new RetryableError('a newer attempt of this stage is known', { code: 'STALE_FENCE' });
        answer({ status: 'failed', error: toWireError(stale) });
        return;
      }
      case 'busy': {
        // More were offered than there is room for: the offers crossed.
        const busy = new RateLimitedError('all runs are taken', busyRetryAfterMs, { code: 'WORKER_BUSY' });
        answer({ status: 'failed', error: toWireError(busy) });
        return;
      }
      case 'begun':
      case 'joined':
        void this.#answerSoon(request, answer);
        return;
      default:
        unreachable(outcome);
    }
  };

  readonly #poll = (request: PollRequest, answer: (reply: RunReply) => void): void => {
    const run = this.#runs.find(request);
    if (run === null) answer({ status: 'unknown' });
    else if (run === 'pending') answer({ status: 'running' });
    else run.poll(request, answer);
  };

  readonly #tell = (request: TellRequest, answer: (reply: TellReply) => void): void => {
    const run = this.#runs.find(request);
    if (run === null) {
      answer({ status: 'unknown' });
      return;
    }
    // One that has not begun can be told nothing but not to begin.
    if (run !== 'pending') run.tell(request);
    else if (request.message.type === 'cancel') this.#runs.dropPending(request);
    answer({ status: 'told' });
  };

  readonly #lookUp = async (request: StartRequest, answer: (reply: LookupReply) => void): Promise<void> => {
    const { driver, logger, ports = {} } = this.#options;
    const { maximumValueBytes } = this.#settings;
    const parts = { driver, operation: 'lookup', request, log: logger, ports, maximumValueBytes } as const;
    const result = await new HostedRun({ ...parts, onHeartbeat: ignore, send: ignore }).result;
    if (result.kind === 'failed') answer({ status: 'failed', error: result.error });
    else answer({ status: 'answered', answer: result.output as (LookupReply & { status: 'answered' })['answer'] });
  };

  async #answerSoon(request: StartRequest, answer: (reply: RunReply) => void): Promise<void> {
    const run = this.#runs.find(request);
    if (run === null || run === 'pending') {
      answer({ status: 'running' });
      return;
    }
    await this.#runs.within(run.settled, startWaitMs);
    run.tellState(answer);
  }

  /** One request, one answer: bytes become a checked request here, and whatever goes wrong becomes an answer. */
  #answer(
    subject: string,
    shape: Shape,
    handle: (request: never, answer: (reply: object) => void) => void | Promise<void>,
    queue?: string,
  ): Promise<BusService> {
    const onRequest = (message: BusRequest): void => {
      try {
        void handle(decodeRequest(message.body, shape) as never, (reply) => message.reply(encodeRemote(reply)));
      } catch (thrown) {
        this.#options.logger.warn({ err: asError(thrown), subject }, 'a request to a remote driver was refused');
        message.reply(encodeRemote({ status: 'failed', error: toWireError(thrown) }));
      }
    };
    return this.#options.bus.serve(subject, onRequest, queue === undefined ? {} : { queue });
  }
}

/** A lookup has neither heartbeats nor checkpoints. */
function ignore(): void {}
