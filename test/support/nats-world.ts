import { SystemClock } from '../../src/platform/system-clock.ts';
import type { Journal } from '../../src/ports/journal.ts';
import type { LogFields, Logger } from '../../src/ports/logger.ts';
import { ensureJournalStream } from '../../src/store/journal-stream.ts';
import { NatsJournal } from '../../src/store/nats-journal.ts';
import { AckInbox } from '../../src/transport/ack-inbox.ts';
import { connectNats, type NatsLink, type NatsLinkOptions } from '../../src/transport/nats-connection.ts';
import type { JournalWorld } from '../contract/journal.contract.ts';
import type { NatsFixture } from './nats-server.ts';

/** A line that a {@link RecordingLogger} was given. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: LogFields;
  readonly message: string;
}

/** A logger that keeps its lines for the test to look at. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  child(): Logger {
    return this;
  }
}

/** Links and journals on real servers, all closed by one call. */
export class NatsWorld implements JournalWorld {
  readonly clock = new SystemClock();
  readonly logger = new RecordingLogger();
  readonly #fixture: NatsFixture;
  readonly #replicas: 1 | 3;
  readonly #closers: (() => Promise<void> | void)[] = [];
  readonly #namespaces = new Map<Journal, string>();
  #lastNamespace = 0;
  #lastServer = 0;

  constructor(fixture: NatsFixture, replicas: 1 | 3) {
    this.#fixture = fixture;
    this.#replicas = replicas;
  }

  /** A link to the next server in turn, or to a given one. */
  async link(options: Partial<NatsLinkOptions> = {}): Promise<NatsLink> {
    const { urls } = this.#fixture;
    this.#lastServer += 1;
    const first = this.#lastServer % urls.length;
    const link = await connectNats({
      servers: urls[first] ?? '',
      name: 'test',
      clock: this.clock,
      logger: this.logger,
      ...options,
    });
    this.#closers.push(() => link.close());
    return link;
  }

  async freshJournal(): Promise<NatsJournal> {
    this.#lastNamespace += 1;
    return this.journal(`fresh${this.#lastNamespace}`);
  }

  async anotherClientOf(journal: Journal): Promise<NatsJournal> {
    return this.journal(this.#namespaces.get(journal) ?? '');
  }

  /** A client of the namespace's log, on a link of its own. */
  async journal(
    namespace: string,
    options: { readonly ackTimeoutMs?: number; readonly link?: NatsLink } = {},
  ): Promise<NatsJournal> {
    const { clock, logger } = this;
    const link = options.link ?? (await this.link());
    const stream = await ensureJournalStream(link, { namespace, replicas: this.#replicas, clock, logger });
    const acks = new AckInbox({ link, clock, logger, timeoutMs: options.ackTimeoutMs ?? 10_000 });
    const journal = new NatsJournal({ link, acks, namespace, stream, clock, logger });
    this.#closers.push(() => {
      acks.close();
      journal.close();
    });
    this.#namespaces.set(journal, namespace);
    return journal;
  }

  async stop(): Promise<void> {
    // Inboxes first, then the links below them.
    for (const close of this.#closers.toReversed()) await close();
    await this.#fixture.stop();
  }
}

/** Resolves when the condition holds. @throws Error with `what` when it does not within the time */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
  everyMs = 10,
): Promise<void> {
  const deadlineAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineAt) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
