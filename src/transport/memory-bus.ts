import { asError, unreachable } from '../core/errors.ts';
import type { Bus, BusRequest, BusRequestOptions, BusService, RequestOutcome } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { subjectMatches } from './subject-match.ts';

/**
 * What goes wrong with a request. `lostReply`: it is received and done, and its answer never comes; `forbidden`: its sender may not
 * publish there.
 */
export type BusFault = 'none' | 'lostRequest' | 'lostReply' | 'disconnected' | 'forbidden';

/** Settings of {@link MemoryBus}. */
export interface MemoryBusOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** From a request to its answer, when the handler takes no time; at 0 both ways go with the clock's deferred work. Default 0. */
  readonly latencyMs?: number;
  readonly faults?: (operation: { readonly kind: 'request'; readonly subject: string }) => BusFault;
}

interface Service {
  readonly pattern: string;
  readonly queue: string | undefined;
  readonly handler: (request: BusRequest) => void;
}

/** Who waits for the answer of a request. */
interface Asker {
  readonly answer: (outcome: RequestOutcome) => void;
  /** Left out by one who takes one answer. */
  readonly answerPart: ((body: Uint8Array) => void) | undefined;
}

const noHeaders: ReadonlyMap<string, string> = new Map();

/** Request and reply within one process. Nodes and clients of one simulated cluster share one. */
export class MemoryBus implements Bus {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #latencyMs: number;
  readonly #faults: ((operation: { readonly kind: 'request'; readonly subject: string }) => BusFault) | undefined;
  readonly #services = new Set<Service>();
  /** Requests that each queue has had, so that its members take turns. */
  readonly #turns = new Map<string, number>();

  constructor(options: MemoryBusOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#faults = options.faults;
  }

  request(subject: string, body: Uint8Array, options: BusRequestOptions): Promise<RequestOutcome> {
    const fault = this.#faults?.({ kind: 'request', subject }) ?? 'none';
    const bytes = new Uint8Array(body);
    const headers = options.headers === undefined ? noHeaders : new Map(Object.entries(options.headers));
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(options.timeoutMs, () => {
        isOpen = false;
        resolve({ kind: 'timeout' });
      });
      let isOpen = true;
      const answer = (outcome: RequestOutcome): void =>
        this.#hop(() => {
          isOpen = false;
          timer.cancel();
          resolve(outcome);
        });
      const { onPart } = options;
      const answerPart =
        onPart === undefined
          ? undefined
          : (part: Uint8Array): void =>
              this.#hop(() => {
                if (isOpen) onPart(part);
              });
      switch (fault) {
        case 'none':
          this.#hop(() => this.#deliver(subject, bytes, headers, { answer, answerPart }));
          return;
        case 'lostReply':
          this.#hop(() =>
            this.#deliver(subject, bytes, headers, {
              answer: () => undefined,
              answerPart: onPart && (() => undefined),
            }),
          );
          return;
        case 'lostRequest':
          return;
        case 'disconnected':
          answer({ kind: 'disconnected' });
          return;
        case 'forbidden':
          answer({ kind: 'forbidden', operation: 'publish', subject });
          return;
        default:
          unreachable(fault);
      }
    });
  }

  /** Sends a message that asks for no answer, as any NATS client may. */
  send(subject: string, body: Uint8Array): void {
    const bytes = new Uint8Array(body);
    this.#hop(() => this.#deliver(subject, bytes, noHeaders, undefined));
  }

  async serve(
    subject: string,
    handler: (request: BusRequest) => void,
    options: { readonly queue?: string } = {},
  ): Promise<BusService> {
    const service: Service = { pattern: subject, queue: options.queue, handler };
    this.#services.add(service);
    await new Promise<void>((resolve) => this.#hop(resolve));
    return {
      stop: () => {
        this.#services.delete(service);
        return Promise.resolve();
      },
    };
  }

  #deliver(subject: string, body: Uint8Array, headers: ReadonlyMap<string, string>, asker: Asker | undefined): void {
    const receivers = this.#receiversOf(subject);
    if (receivers.length === 0) {
      asker?.answer({ kind: 'no-responders' });
      return;
    }
    // Each receiver may answer; the first answer that arrives is the one, as a promise resolves but once.
    for (const receiver of receivers) {
      try {
        receiver.handler(new MemoryRequest(subject, body, headers, asker));
      } catch (thrown) {
        this.#logger.error({ err: asError(thrown), subject }, 'a request handler threw');
      }
    }
  }

  /** Everyone who serves the subject alone, and one member of each queue. */
  #receiversOf(subject: string): readonly Service[] {
    const receivers: Service[] = [];
    const queues = new Map<string, Service[]>();
    for (const service of this.#services) {
      if (!subjectMatches(service.pattern, subject)) continue;
      if (service.queue === undefined) receivers.push(service);
      else queues.set(service.queue, [...(queues.get(service.queue) ?? []), service]);
    }
    for (const [queue, members] of queues) {
      const turn = this.#turns.get(queue) ?? 0;
      this.#turns.set(queue, turn + 1);
      const member = members[turn % members.length];
      if (member !== undefined) receivers.push(member);
    }
    return receivers;
  }

  #hop(fn: () => void): void {
    if (this.#latencyMs === 0) this.#clock.defer(fn);
    else this.#clock.setTimer(this.#latencyMs / 2, fn);
  }
}

class MemoryRequest implements BusRequest {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
  #asker: Asker | undefined;
  readonly canReply: boolean;
  readonly takesParts: boolean;

  constructor(subject: string, body: Uint8Array, headers: ReadonlyMap<string, string>, asker: Asker | undefined) {
    this.subject = subject;
    this.body = body;
    this.headers = headers;
    this.#asker = asker;
    this.canReply = asker !== undefined;
    this.takesParts = asker?.answerPart !== undefined;
  }

  reply(body: Uint8Array, headers?: Readonly<Record<string, string>>): void {
    const asker = this.#asker;
    this.#asker = undefined;
    asker?.answer({
      kind: 'reply',
      body: new Uint8Array(body),
      headers: headers === undefined ? noHeaders : new Map(Object.entries(headers)),
    });
  }

  replyPart(body: Uint8Array): void {
    this.#asker?.answerPart?.(new Uint8Array(body));
  }
}
