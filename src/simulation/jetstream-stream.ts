import type { Millis } from '../core/ids.ts';
import { jetStreamCodes } from '../store/jetstream-codes.ts';
import { expectedLastHeader, messageIdHeader } from '../store/journal-message.ts';
import type { PublishOutcome } from '../transport/ack-inbox.ts';
import { subjectMatches } from '../transport/subject-match.ts';

/** A message as its stream keeps it. */
export interface StreamMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly storedAt: Millis;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** By the server's wall clock; Infinity: never. */
  readonly expiresAt: Millis;
}

/** What a stream answers to a publish. */
export type PublishAnswer = Extract<PublishOutcome, { readonly kind: 'ack' | 'error' }>;

/** The settings of a stream that the model knows. */
export interface StreamSettings {
  readonly name: string;
  readonly replicas: 1 | 3;
  /** A bucket: the last message of each subject. */
  readonly keepsLastOnly: boolean;
  /** How long the marker of an expired message stays; null: none is made. */
  readonly markerTtlMs: number | null;
  readonly duplicateWindowMs: number;
  /** Whether earlier states are kept, for reads from replicas that lag. */
  readonly keepsVersions: boolean;
}

/** What a stream asks of its server. */
export interface StreamHost {
  /** The server's wall clock: what times to live are judged by. */
  readonly now: () => Millis;
  /** The wall clock without its jumps: what a history is told in. */
  readonly steadyNow: () => Millis;
  readonly monotonicMs: () => number;
  readonly later: (delayMs: number, run: () => void) => void;
  /** From a leader's proposal to its commit. */
  readonly replicationMs: () => number;
  /** Whether a proposal that its leader did not live to see committed is stored all the same. */
  readonly survives: () => boolean;
}

interface Proposal {
  readonly subject: string;
  readonly store: () => void;
}

interface Version {
  readonly sinceMs: number;
  readonly messages: readonly StreamMessage[];
}

/** Earlier states that are kept. */
const maximumVersions = 64;
const secondMs = 1_000;

/**
 * One JetStream stream: what the server does with a publish, on one server and on three, and what it gives to who reads.
 *
 * One server checks the expectation first, then the message id, and stores at once. Three check the id first; between the checks
 * and the storing another conditional write of the subject is answered 10164, the same id 10158. Checked against the real server
 * by the contract suites of journal, snapshots and leases.
 */
export class JetStreamStream {
  readonly settings: StreamSettings;
  readonly #host: StreamHost;
  readonly #subjects = new Map<string, StreamMessage[]>();
  readonly #ids = new Map<string, { readonly sequence: number; readonly atMs: number }>();
  /** Subjects and ids between their checks and their storing; three servers only. */
  readonly #writing = new Set<string>();
  readonly #proposals = new Set<Proposal>();
  /** Every message that was ever stored, purged ones too; of streams that keep every message. */
  readonly archive: StreamMessage[] = [];
  /** When each of them was stored by true time. */
  readonly #storedMs = new Map<number, number>();
  #lastSequence = 0;
  #versions: Version[] = [];
  /** The last messages of all subjects, until one is written, taken away or expires; null: to be found anew. */
  #all: { readonly messages: readonly StreamMessage[]; readonly untilAt: Millis } | null = null;
  /** Counts what was answered 10164. */
  busyCount = 0;

  constructor(settings: StreamSettings, host: StreamHost) {
    this.settings = settings;
    this.#host = host;
  }

  /** Handles a publish that has arrived at the stream's leader. */
  publish(
    subject: string,
    body: Uint8Array,
    headers: ReadonlyMap<string, string>,
    respond: (answer: PublishAnswer) => void,
  ): void {
    const id = headers.get(messageIdHeader);
    const store = (): void => respond(this.#ack(this.#store(subject, body, headers, id), false));
    if (this.settings.replicas === 1) {
      const refusal = this.#expectationRefusal(subject, headers);
      const duplicate = this.#duplicateOf(id);
      if (refusal !== null) respond(refusal);
      else if (duplicate === null) store();
      else respond(this.#ack(duplicate, true));
      return;
    }
    const duplicate = this.#duplicateOf(id);
    if (duplicate !== null) {
      respond(this.#ack(duplicate, true));
      return;
    }
    const isConditional = headers.has(expectedLastHeader);
    const busy = this.#busyCode(subject, id, isConditional);
    if (busy !== null) {
      this.busyCount += 1;
      respond({ kind: 'error', code: busy, description: 'another write is in process' });
      return;
    }
    const refusal = this.#expectationRefusal(subject, headers);
    if (refusal !== null) {
      respond(refusal);
      return;
    }
    this.#propose(subject, id, isConditional, store);
  }

  /** The leader is lost: what it has proposed is stored without an answer, or gone. */
  loseLeader(): void {
    for (const proposal of this.#proposals) if (this.#host.survives()) proposal.store();
    this.#proposals.clear();
    this.#writing.clear();
  }

  /** The last message of a subject, as the leader has it. */
  last(subject: string): StreamMessage | null {
    const message = this.#subjects.get(subject)?.at(-1);
    if (message === undefined) return null;
    return message.expiresAt > this.#host.now() ? message : this.#expire(message);
  }

  /** The last messages of all subjects that the filter matches, in the order of their sequences. */
  lastOfAll(filter: string): readonly StreamMessage[] {
    if (filter !== '>') return this.#findLast(filter);
    if (this.#all === null || this.#all.untilAt <= this.#host.now()) {
      const messages = this.#findLast(filter);
      this.#all = { messages, untilAt: Math.min(...messages.map(({ expiresAt }) => expiresAt)) };
    }
    return this.#all.messages;
  }

  #findLast(filter: string): readonly StreamMessage[] {
    const found: StreamMessage[] = [];
    for (const subject of this.#subjects.keys()) {
      if (!subjectMatches(filter, subject)) continue;
      const message = this.last(subject);
      if (message !== null) found.push(message);
    }
    return found.toSorted((left, right) => left.sequence - right.sequence);
  }

  /** A subject's messages after a sequence, as a replica had them `lagMs` ago. */
  after(subject: string, sequence: number, limit: number, lagMs = 0): readonly StreamMessage[] {
    const messages = this.#subjects.get(subject) ?? [];
    let low = 0;
    let high = messages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((messages[middle]?.sequence ?? 0) > sequence) high = middle;
      else low = middle + 1;
    }
    const page = messages.slice(low, low + limit);
    if (lagMs === 0) return page;
    const atMs = this.#host.monotonicMs() - lagMs;
    const end = page.findIndex(({ sequence: stored }) => (this.#storedMs.get(stored) ?? 0) > atMs);
    return end < 0 ? page : page.slice(0, end);
  }

  /** The messages after a sequence, of one subject or of all. */
  following(subject: string | null, sequence: number, limit: number): readonly StreamMessage[] {
    if (subject !== null) return this.after(subject, sequence, limit);
    return [...this.#subjects.keys()]
      .flatMap((one) => this.after(one, sequence, limit))
      .toSorted((left, right) => left.sequence - right.sequence)
      .slice(0, limit);
  }

  /** As {@link lastOfAll} for every subject, as a replica had it `lagMs` ago. */
  asOf(lagMs: number): readonly StreamMessage[] {
    const atMs = this.#host.monotonicMs() - lagMs;
    const version = this.#versions.findLast(({ sinceMs }) => sinceMs <= atMs);
    if (lagMs === 0 || version === undefined) return this.lastOfAll('>');
    const now = this.#host.now();
    return version.messages.filter(({ expiresAt }) => expiresAt > now);
  }

  /** Removes the messages whose subject the filter matches and whose sequence is below `keepFrom`. */
  purge(filter: string, keepFrom = Number.POSITIVE_INFINITY): void {
    for (const [subject, messages] of this.#subjects) {
      if (!subjectMatches(filter, subject)) continue;
      const kept = messages.filter(({ sequence }) => sequence >= keepFrom);
      if (kept.length === 0) this.#subjects.delete(subject);
      else this.#subjects.set(subject, kept);
    }
    this.#noteVersion();
  }

  bounds(): { readonly first: number; readonly last: number } {
    let first = Number.POSITIVE_INFINITY;
    for (const messages of this.#subjects.values()) first = Math.min(first, messages[0]?.sequence ?? first);
    return { first: Number.isFinite(first) ? first : 0, last: this.#lastSequence };
  }

  #expectationRefusal(subject: string, headers: ReadonlyMap<string, string>): PublishAnswer | null {
    const expected = headers.get(expectedLastHeader);
    const last = this.last(subject)?.sequence ?? 0;
    if (expected === undefined || Number(expected) === last) return null;
    return { kind: 'error', code: jetStreamCodes.wrongLastSequence, description: `wrong last sequence: ${last}` };
  }

  #busyCode(subject: string, id: string | undefined, isConditional: boolean): number | null {
    if (id !== undefined && this.#writing.has(`id ${id}`)) return jetStreamCodes.idInProcess;
    return isConditional && this.#writing.has(subject) ? jetStreamCodes.writeInProcess : null;
  }

  #propose(subject: string, id: string | undefined, isConditional: boolean, store: () => void): void {
    const proposal: Proposal = { subject, store };
    this.#proposals.add(proposal);
    if (isConditional) this.#writing.add(subject);
    if (id !== undefined) this.#writing.add(`id ${id}`);
    this.#host.later(this.#host.replicationMs(), () => {
      if (!this.#proposals.delete(proposal)) return;
      this.#writing.delete(subject);
      this.#writing.delete(`id ${id}`);
      store();
    });
  }

  #store(subject: string, body: Uint8Array, headers: ReadonlyMap<string, string>, id: string | undefined): number {
    const ttl = headers.get('Nats-TTL');
    const expiresAt =
      ttl === undefined ? Number.POSITIVE_INFINITY : this.#host.now() + Number.parseInt(ttl, 10) * secondMs;
    const sequence = this.#append({ subject, body, headers, expiresAt });
    if (id !== undefined) {
      this.#ids.delete(id);
      this.#ids.set(id, { sequence, atMs: this.#host.monotonicMs() });
      this.#forgetOldIds();
    }
    return sequence;
  }

  #append(message: Omit<StreamMessage, 'sequence' | 'storedAt'>): number {
    this.#lastSequence += 1;
    const stored: StreamMessage = { ...message, sequence: this.#lastSequence, storedAt: this.#host.steadyNow() };
    const ofSubject = this.#subjects.get(message.subject);
    if (ofSubject === undefined || this.settings.keepsLastOnly) this.#subjects.set(stored.subject, [stored]);
    else ofSubject.push(stored);
    if (!this.settings.keepsLastOnly) {
      this.archive.push(stored);
      this.#storedMs.set(stored.sequence, this.#host.monotonicMs());
    }
    this.#noteVersion();
    return stored.sequence;
  }

  /** Takes a message away whose time is over; where the stream makes markers, one stands for it for a while. */
  #expire(message: StreamMessage): StreamMessage | null {
    const { markerTtlMs } = this.settings;
    const isMarker = message.body.length === 0;
    this.#subjects.delete(message.subject);
    this.#all = null;
    if (markerTtlMs === null || isMarker) {
      this.#noteVersion();
      return null;
    }
    const expiresAt = message.expiresAt + markerTtlMs;
    if (expiresAt <= this.#host.now()) return null;
    const headers = new Map([['Nats-Marker-Reason', 'MaxAge']]);
    this.#append({ subject: message.subject, headers, body: new Uint8Array(0), expiresAt });
    return this.#subjects.get(message.subject)?.at(-1) ?? null;
  }

  #duplicateOf(id: string | undefined): number | null {
    const known = id === undefined ? undefined : this.#ids.get(id);
    if (known === undefined || this.#host.monotonicMs() - known.atMs > this.settings.duplicateWindowMs) return null;
    return known.sequence;
  }

  #forgetOldIds(): void {
    const oldestMs = this.#host.monotonicMs() - this.settings.duplicateWindowMs;
    for (const [id, { atMs }] of this.#ids) {
      if (atMs >= oldestMs) return;
      this.#ids.delete(id);
    }
  }

  #ack(sequence: number, duplicate: boolean): PublishAnswer {
    return { kind: 'ack', stream: this.settings.name, sequence, duplicate };
  }

  /** The stream has changed. */
  #noteVersion(): void {
    this.#all = null;
    if (!this.settings.keepsVersions) return;
    const messages = [...this.#subjects.values()].flatMap((ofSubject) => ofSubject.at(-1) ?? []);
    this.#versions.push({ sinceMs: this.#host.monotonicMs(), messages });
    if (this.#versions.length > maximumVersions) this.#versions = this.#versions.slice(-maximumVersions / 2);
  }
}
