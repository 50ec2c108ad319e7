import { EngineError } from '../core/errors.ts';
import type { Sequence, ShardId } from '../core/ids.ts';
import { journalSubject } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { appendOutcomeOf } from './append-outcome.ts';
import { JournalConsumer } from './journal-consumer.ts';
import { expectedLastHeader, messageIdHeader, parseStoredMessage } from './journal-message.ts';
import type { JournalStream } from './journal-stream.ts';
import { Stall, stallTimeoutMs } from './stall.ts';
import { StreamApi } from './stream-api.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** Bytes of a message that its headers may take: two names, two numbers and an id. */
const headerReserveBytes = 512;
/** Wait before another consumer is tried. */
const retryWaitMs = 200;
/** A leader that has just been elected may still be applying what it knows; only a lasting regression is one. */
const regressionTries = 5;
const regressionWaitMs = 400;

/** The journals in a JetStream stream, one subject a shard. */
export class NatsJournal implements Journal {
  readonly maximumBodyBytes: number;
  readonly #link: NatsLink;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #api: StreamApi;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #namespace: string;
  readonly #stream: JournalStream;

  /** @param deps - `acks` is an inbox on a link for commits alone; `link` serves reads and may be another one */
  constructor(deps: {
    readonly link: NatsLink;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly namespace: string;
    readonly stream: JournalStream;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#link = deps.link;
    this.#acks = deps.acks;
    this.#api = new StreamApi(deps);
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#namespace = deps.namespace;
    this.#stream = deps.stream;
    this.maximumBodyBytes = deps.stream.maximumMessageBytes - headerReserveBytes;
  }

  async append(request: {
    readonly shard: ShardId;
    readonly body: Uint8Array;
    readonly expectedLast: Sequence;
    readonly messageId: string;
  }): Promise<AppendOutcome> {
    const { body } = request;
    if (body.length > this.maximumBodyBytes) {
      return { kind: 'refused', detail: `body of ${body.length} bytes is over ${this.maximumBodyBytes}` };
    }
    const outcome = await this.#acks.publish(this.#subject(request.shard), body, {
      [expectedLastHeader]: String(request.expectedLast),
      [messageIdHeader]: request.messageId,
    });
    return appendOutcomeOf(outcome);
  }

  async readLast(shard: ShardId): Promise<JournalEntry | null> {
    // `STREAM.MSG.GET` is answered by the stream's leader alone. A direct get is not, and must never stand here.
    const answer = await this.#api.call(`STREAM.MSG.GET.${this.#stream.name}`, { last_by_subj: this.#subject(shard) });
    if (answer.kind === 'ok') {
      return parseStoredMessage(answer.value['message'] as Parameters<typeof parseStoredMessage>[0]);
    }
    if (answer.code === jetStreamCodes.messageNotFound) return null;
    throw new EngineError(
      'UNAVAILABLE',
      `journal ${shard}: the last message cannot be read: ${answer.code} ${answer.description}`,
    );
  }

  async *read(range: {
    readonly shard: ShardId;
    readonly after: Sequence;
    readonly through: Sequence;
  }): AsyncGenerator<JournalEntry, void, undefined> {
    const { shard, after, through } = range;
    if (through <= after) return;
    await this.#demandReach(`journal ${shard}`, through, async () => (await this.readLast(shard))?.sequence ?? 0);
    const stall = new Stall(this.#clock);
    let last = after;
    try {
      while (!stall.isOver) {
        const consumer = await this.#open(this.#subject(shard), last);
        if (consumer === null) {
          await this.#wait(retryWaitMs);
          continue;
        }
        stall.onOver = () => consumer.close();
        try {
          for (let entry = await consumer.next(); entry !== null; entry = await consumer.next()) {
            if (entry.sequence <= last) continue;
            if (entry.sequence > through) return;
            last = entry.sequence;
            yield entry;
            stall.progress();
            if (last >= through) return;
          }
        } finally {
          consumer.close();
        }
        if (!stall.isOver) await this.#wait(retryWaitMs);
      }
    } finally {
      stall.stop();
    }
    throw new EngineError(
      'UNAVAILABLE',
      `journal ${shard}: nothing came after sequence ${last} for ${stallTimeoutMs} ms, ${through} is to be reached`,
    );
  }

  async *follow(from: {
    readonly after: Sequence;
    readonly shard?: ShardId;
    readonly signal: AbortSignal;
  }): AsyncGenerator<JournalEntry, void, undefined> {
    const { shard, signal } = from;
    const filter = shard === undefined ? this.#stream.subjects : this.#subject(shard);
    let last = from.after;
    while (!signal.aborted) {
      const consumer = await this.#openAfter(filter, last);
      if (consumer === null) {
        await this.#wait(retryWaitMs, signal);
        continue;
      }
      const close = (): void => consumer.close();
      signal.addEventListener('abort', close);
      try {
        if (signal.aborted) return;
        for (let entry = await consumer.next(); entry !== null; entry = await consumer.next()) {
          // A replica that lags may start a consumer before the sequence that was asked for.
          if (entry.sequence <= last) continue;
          last = entry.sequence;
          yield entry;
          if (signal.aborted) return;
        }
      } finally {
        signal.removeEventListener('abort', close);
        consumer.close();
      }
      await this.#wait(retryWaitMs, signal);
    }
  }

  async bounds(): Promise<{ readonly first: Sequence; readonly last: Sequence }> {
    const info = await this.#api.demand(`STREAM.INFO.${this.#stream.name}`);
    const state = info['state'] as { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
    if (state.messages === 0) return { first: 0 as Sequence, last: 0 as Sequence };
    return { first: state.first_seq as Sequence, last: state.last_seq as Sequence };
  }

  async trim(shard: ShardId, through: Sequence): Promise<void> {
    const last = await this.readLast(shard);
    if (last === null) return;
    // A purge removes what is below `seq`. It may run late: the last message of now is never below it.
    const keepFrom = Math.min(through + 1, last.sequence);
    await this.#api.demand(`STREAM.PURGE.${this.#stream.name}`, { filter: this.#subject(shard), seq: keepFrom });
  }

  /** Ends every open call of the API; appends end with their inbox. */
  close(): void {
    this.#api.close();
  }

  #subject(shard: ShardId): string {
    return journalSubject(this.#namespace, shard);
  }

  /** A consumer for {@link follow}, checked not to wait for sequences that are lost. */
  async #openAfter(filter: string, after: Sequence): Promise<JournalConsumer | null> {
    try {
      await this.#demandReach(`stream ${this.#stream.name}`, after, async () => (await this.bounds()).last);
    } catch (error) {
      if (error instanceof EngineError && error.code === 'UNAVAILABLE') return null;
      throw error;
    }
    return this.#open(filter, after);
  }

  async #open(filter: string, after: Sequence): Promise<JournalConsumer | null> {
    if (!this.#link.isConnected) return null;
    try {
      const deps = { link: this.#link, api: this.#api, clock: this.#clock, logger: this.#logger };
      return await JournalConsumer.open(deps, { stream: this.#stream.name, filter, after });
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'UNAVAILABLE') throw error;
      this.#logger.warn({ err: error, filter }, 'a journal consumer cannot be created now');
      return null;
    }
  }

  /** Throws `LOG_REGRESSED` when the leader keeps saying that the last sequence is below `needed`. */
  async #demandReach(name: string, needed: Sequence, readLastSequence: () => Promise<number>): Promise<void> {
    let found = 0;
    for (let tries = 1; tries <= regressionTries; tries += 1) {
      found = await readLastSequence();
      if (found >= needed) return;
      if (tries < regressionTries) await this.#wait(regressionWaitMs);
    }
    throw new EngineError('LOG_REGRESSED', `${name}: expected sequence ${needed} or later, found ${found}`, {
      limit: `at least ${needed}`,
      got: found,
      hint: 'acknowledged records are gone: restore the stream from a backup before anything is written',
    });
  }

  #wait(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#clock.setTimer(delayMs, done);
      if (signal?.aborted === true) done();
      else signal?.addEventListener('abort', done);
    });
  }
}
