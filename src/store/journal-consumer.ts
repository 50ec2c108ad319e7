import type { Msg, Subscription } from '@nats-io/transport-node';
import { asError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { JournalEntry } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { parseDelivered } from './journal-message.ts';
import type { StreamApi } from './stream-api.ts';

/** Messages of one pull: what may wait in memory, twice, ahead of a slow reader. */
const messagesPerPull = 64;
const nanosPerMilli = 1_000_000;
const pullExpiresMs = 30_000;
/** While a pull is open the server gives a sign of life this often. */
const heartbeatMs = 2_000;
/** Silence that means that the server, or the consumer on it, is gone. */
const silenceMs = 3 * heartbeatMs;
/** The server removes a consumer that was not asked for so long. */
const inactiveMs = 30_000;

const statusCodes = { heartbeat: 100, noMessages: 404, timeout: 408, conflict: 409 } as const;
/** Ends of a pull after which the consumer is as good as before. */
const harmlessConflicts = /batch completed|leadership change|maxbytes|max_bytes|maxrequestbatch/i;

/**
 * One ordered, unacknowledged pull consumer: every message after a sequence, in order and without a gap, until it ends.
 * It does not repair itself; whoever reads opens another one behind the last message it got. Pulling, not pushing, is what
 * bounds the memory of a slow reader.
 */
export class JournalConsumer {
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #api: StreamApi;
  readonly #stream: string;
  readonly #name: string;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #unsubscribe: () => void;
  readonly #ready: JournalEntry[] = [];
  #nextIndex = 0;
  /** Messages that the open pull still owes; 0 when no pull is open. */
  #owed = 0;
  #deliveries = 0;
  #heardAtMs: number;
  #silenceTimer: TimerHandle | undefined;
  #wake: (() => void) | undefined;
  #isEnded = false;

  private constructor(deps: ConsumerDeps, stream: string) {
    this.#link = deps.link;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#api = deps.api;
    this.#stream = stream;
    this.#inbox = deps.link.newInbox();
    this.#name = `read-${this.#inbox.slice(this.#inbox.lastIndexOf('.') + 1)}`;
    this.#heardAtMs = deps.clock.monotonicMs();
    this.#subscription = deps.link.connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
        else this.#end(error.message);
      },
    });
    this.#unsubscribe = deps.link.onStatus((status) => {
      if (status.kind === 'disconnected' || status.kind === 'closed') this.#end('the link is down');
    });
  }

  /**
   * A consumer of the filter's messages after sequence `after`.
   *
   * @throws EngineError `UNAVAILABLE` when the server does not create it
   */
  static async open(
    deps: ConsumerDeps,
    from: { readonly stream: string; readonly filter: string; readonly after: Sequence },
  ): Promise<JournalConsumer> {
    const consumer = new JournalConsumer(deps, from.stream);
    try {
      await deps.api.demand(`CONSUMER.CREATE.${from.stream}.${consumer.#name}.${from.filter}`, {
        stream_name: from.stream,
        action: 'create',
        config: {
          name: consumer.#name,
          deliver_policy: 'by_start_sequence',
          opt_start_seq: from.after + 1,
          ack_policy: 'none',
          replay_policy: 'instant',
          filter_subject: from.filter,
          inactive_threshold: inactiveMs * nanosPerMilli,
          mem_storage: true,
          num_replicas: 1,
        },
      });
    } catch (error) {
      consumer.close();
      throw error;
    }
    consumer.#heardAtMs = deps.clock.monotonicMs();
    consumer.#watchSilence();
    return consumer;
  }

  /** The next message, or null when the consumer has ended. One caller at a time. */
  async next(): Promise<JournalEntry | null> {
    for (;;) {
      const entry = this.#ready[this.#nextIndex];
      if (entry !== undefined) {
        this.#nextIndex += 1;
        if (this.#nextIndex === this.#ready.length) this.#clearReady();
        this.#pullIfNeeded();
        return entry;
      }
      if (this.#isEnded) return null;
      this.#pullIfNeeded();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Ends it; what was delivered and not taken is dropped. */
  close(): void {
    this.#clearReady();
    this.#end();
  }

  #pullIfNeeded(): void {
    const waitingCount = this.#ready.length - this.#nextIndex;
    if (this.#isEnded || this.#owed > 0 || waitingCount >= messagesPerPull / 2) return;
    const pull = {
      batch: messagesPerPull,
      expires: pullExpiresMs * nanosPerMilli,
      idle_heartbeat: heartbeatMs * nanosPerMilli,
    };
    this.#owed = messagesPerPull;
    this.#heardAtMs = this.#clock.monotonicMs();
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${this.#name}`;
    this.#link.connection.publish(subject, Buffer.from(JSON.stringify(pull)), { reply: this.#inbox });
  }

  #receive(message: Msg): void {
    this.#heardAtMs = this.#clock.monotonicMs();
    const delivered = parseDelivered(message);
    if (delivered === null) {
      this.#handleStatus(message.headers?.code ?? 0, message.headers?.description ?? '');
      return;
    }
    this.#owed -= 1;
    this.#deliveries += 1;
    if (delivered.deliverySequence !== this.#deliveries) {
      this.#end(`delivery ${this.#deliveries} is missing, ${delivered.deliverySequence} came`);
      return;
    }
    this.#ready.push(delivered.entry);
    this.#rouse();
  }

  #handleStatus(code: number, description: string): void {
    if (code === statusCodes.heartbeat) return;
    const isHarmless =
      code === statusCodes.timeout ||
      code === statusCodes.noMessages ||
      (code === statusCodes.conflict && harmlessConflicts.test(description));
    if (!isHarmless) {
      this.#end(`${code} ${description}`);
      return;
    }
    this.#owed = 0;
    this.#pullIfNeeded();
  }

  #watchSilence(): void {
    const silentMs = this.#clock.monotonicMs() - this.#heardAtMs;
    // Without an open pull the server owes nothing, not even a heartbeat.
    if (this.#owed > 0 && silentMs >= silenceMs) {
      this.#end(`nothing was heard for ${silentMs} ms`);
      return;
    }
    const waitMs = this.#owed > 0 ? silenceMs - silentMs : silenceMs;
    this.#silenceTimer = this.#clock.setTimer(waitMs, () => this.#watchSilence());
  }

  #end(reason?: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (reason !== undefined) this.#logger.debug({ consumer: this.#name, reason }, 'a journal consumer ended');
    this.#unsubscribe();
    this.#silenceTimer?.cancel();
    if (!this.#link.connection.isClosed()) this.#subscription.unsubscribe();
    this.#rouse();
    if (!this.#link.isConnected) return;
    // A courtesy: what cannot be removed now removes itself when it has been idle.
    this.#api.call(`CONSUMER.DELETE.${this.#stream}.${this.#name}`).catch((thrown: unknown) => {
      this.#logger.debug({ err: asError(thrown), consumer: this.#name }, 'a journal consumer was not removed');
    });
  }

  #clearReady(): void {
    this.#ready.length = 0;
    this.#nextIndex = 0;
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** What a {@link JournalConsumer} works with. */
export interface ConsumerDeps {
  readonly link: NatsLink;
  readonly api: StreamApi;
  readonly clock: Clock;
  readonly logger: Logger;
}
