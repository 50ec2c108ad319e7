import { EngineError } from '../core/errors.ts';
import type { Sequence, ShardId } from '../core/ids.ts';
import { journalSubject, shardOfJournalSubject } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import type { AppendOutcome, Journal, JournalEntry } from '../ports/journal.ts';
import { appendOutcomeOf } from '../store/append-outcome.ts';
import { expectedLastHeader, messageIdHeader } from '../store/journal-message.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { JetStreamStream, StreamMessage } from './jetstream-stream.ts';

/** Messages of one page of a read. */
const pageMessages = 64;
/** Pause before a reader that got nothing asks again. */
const pollMs = 200;
/** How long a read goes without progress before it gives up, as the real one does. */
const stallMs = 20_000;
/** How often a leader that knows less than was acknowledged is asked again, and how long after. */
const regressionTries = 5;
const regressionWaitMs = 400;
const maximumBodyBytes = 1024 * 1024 - 512;

/** What a {@link SimulatedJournal} works with. */
export interface SimulatedJournalDeps {
  /** Asks the store. @throws EngineError `UNAVAILABLE` */
  readonly ask: <Answer>(action: string, answer: () => Answer) => Promise<Answer>;
  readonly acks: Pick<AckInbox, 'publish'>;
  readonly clock: Clock;
  readonly namespace: string;
  readonly stream: JetStreamStream;
  /** How far back the replica is that answers a read of many messages. */
  readonly lagMs: () => number;
}

/** The journals of all shards over the model's stream, as one process has them. */
export class SimulatedJournal implements Journal {
  readonly maximumBodyBytes = maximumBodyBytes;
  readonly #deps: SimulatedJournalDeps;

  constructor(deps: SimulatedJournalDeps) {
    this.#deps = deps;
  }

  async append(request: Parameters<Journal['append']>[0]): Promise<AppendOutcome> {
    const { shard, body, expectedLast, messageId } = request;
    if (body.length > maximumBodyBytes) {
      return { kind: 'refused', detail: `body of ${body.length} bytes is over ${maximumBodyBytes}` };
    }
    const headers = { [expectedLastHeader]: String(expectedLast), [messageIdHeader]: messageId };
    return appendOutcomeOf(await this.#deps.acks.publish(this.#subject(shard), body, headers));
  }

  async readLast(shard: ShardId): Promise<JournalEntry | null> {
    const { ask, stream } = this.#deps;
    const message = await ask(`read the end of journal ${shard}`, () => stream.last(this.#subject(shard)));
    return message === null ? null : entryOf(message);
  }

  async *read(range: Parameters<Journal['read']>[0]): AsyncGenerator<JournalEntry, void, undefined> {
    const { shard, after, through } = range;
    if (through <= after) return;
    await this.#demandReach(`journal ${shard}`, through, async () => (await this.readLast(shard))?.sequence ?? 0);
    let last: number = after;
    for await (const entry of this.#pages(shard, after)) {
      if (entry.sequence > through) return;
      last = entry.sequence;
      yield entry;
      if (last >= through) return;
    }
    throw new EngineError('UNAVAILABLE', `journal ${shard}: nothing came after sequence ${last}`);
  }

  async *follow(from: Parameters<Journal['follow']>[0]): AsyncGenerator<JournalEntry, void, undefined> {
    const { ask, stream, clock } = this.#deps;
    const { shard, signal } = from;
    let last = from.after;
    await this.#demandReach('stream', last, async () => (await this.bounds()).last);
    while (!signal.aborted) {
      const page = await ask('follow the journal', () =>
        stream.following(shard === undefined ? null : this.#subject(shard), last, pageMessages),
      ).catch(() => []);
      for (const message of page) {
        last = message.sequence as Sequence;
        yield entryOf(message);
        if (signal.aborted) return;
      }
      if (page.length === 0) await pause(clock, pollMs, signal);
    }
  }

  async bounds(): Promise<{ readonly first: Sequence; readonly last: Sequence }> {
    const { first, last } = await this.#deps.ask('read the bounds', () => this.#deps.stream.bounds());
    return { first: first as Sequence, last: last as Sequence };
  }

  async trim(shard: ShardId, through: Sequence): Promise<void> {
    const last = await this.readLast(shard);
    if (last === null) return;
    // It may land late: the last message of now is never below the bound.
    const keepFrom = Math.min(through + 1, last.sequence);
    await this.#deps.ask(`trim journal ${shard}`, () => this.#deps.stream.purge(this.#subject(shard), keepFrom));
  }

  /** The shard's messages, page after page, until nothing has come for too long. */
  async *#pages(shard: ShardId, after: Sequence): AsyncGenerator<JournalEntry, void, undefined> {
    const { ask, stream, clock, lagMs } = this.#deps;
    let last: number = after;
    let progressMs = clock.monotonicMs();
    while (clock.monotonicMs() - progressMs < stallMs) {
      let page: readonly StreamMessage[] = [];
      try {
        page = await ask(`read journal ${shard}`, () =>
          stream.after(this.#subject(shard), last, pageMessages, lagMs()),
        );
      } catch (thrown) {
        if (!(thrown instanceof EngineError) || thrown.code !== 'UNAVAILABLE') throw thrown;
      }
      for (const message of page) {
        last = message.sequence;
        yield entryOf(message);
      }
      if (page.length > 0) progressMs = clock.monotonicMs();
      else await pause(clock, pollMs);
    }
  }

  /** Throws `LOG_REGRESSED` when the leader keeps saying that the last sequence is below `needed`. */
  async #demandReach(name: string, needed: Sequence, readLastSequence: () => Promise<number>): Promise<void> {
    let found = 0;
    for (let tries = 1; tries <= regressionTries; tries += 1) {
      found = await readLastSequence();
      if (found >= needed) return;
      if (tries < regressionTries) await pause(this.#deps.clock, regressionWaitMs);
    }
    throw new EngineError('LOG_REGRESSED', `${name}: expected sequence ${needed} or later, found ${found}`, {
      limit: `at least ${needed}`,
      got: found,
    });
  }

  #subject(shard: ShardId): string {
    return journalSubject(this.#deps.namespace, shard);
  }
}

/** A message of the journal's stream as the port gives it. */
export function entryOf({ subject, sequence, storedAt, headers, body }: StreamMessage): JournalEntry {
  const previous = headers.get(expectedLastHeader);
  return {
    shard: shardOfJournalSubject(subject),
    sequence: sequence as Sequence,
    storedAt,
    body,
    ...(previous === undefined ? {} : { previous: Number(previous) as Sequence }),
  };
}

function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    signal?.addEventListener('abort', done);
  });
}
