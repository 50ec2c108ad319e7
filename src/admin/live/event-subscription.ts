import { asError, EngineError } from '../../core/errors.ts';
import type { Sequence } from '../../core/ids.ts';
import type { Journal } from '../../ports/journal.ts';
import { positionBefore } from '../../projections/entry-feed.ts';
import {
  comparePositions,
  parsePosition,
  partsOfPosition,
  startPosition,
  type Position,
} from '../../projections/position.ts';
import type { EventFilter } from './event-filter.ts';
import type { EventHub, HubMember } from './event-hub.ts';
import type { EventRing } from './event-ring.ts';
import { isPlaceIn, readTape, type TapeItem } from './event-tape.ts';
import { sharedDelta, type FeedSink, type SharedDelta } from './feed.ts';
import type { Turns } from './turns.ts';

/** Events of one delta while a subscriber catches up. */
const pageBytes = 64 * 1024;
/** Read off the journal in one turn, before others get theirs. */
const turnBytes = 1024 * 1024;

/** What an {@link EventSubscription} works with. */
export interface EventSubscriptionDeps {
  readonly hub: EventHub;
  readonly journal: Journal;
  readonly namespace: string;
  /** Who may read the journal for himself: few at once. */
  readonly turns: Turns;
}

/**
 * One subscriber's way along the event feed. It reads what is behind at its own pace, off the journal or the hub's memory, and is
 * handed to the hub at the place where the two meet; from there on it is told what comes, as fast as it comes.
 *
 * ```
 *   resume ──► journal, in turns ──► ring, page by page ──► member of the hub
 *                  ▲                         │ overtaken
 *                  └─────────────────────────┘
 * ```
 */
export class EventSubscription implements HubMember {
  readonly #deps: EventSubscriptionDeps;
  readonly #filter: EventFilter;
  readonly #sink: FeedSink;
  readonly #allowsGap: boolean;
  readonly #ended = new AbortController();
  readonly #release: () => void;
  #position: Position = startPosition;

  constructor(
    deps: EventSubscriptionDeps,
    request: { readonly filter: EventFilter; readonly allowsGap: boolean; readonly sink: FeedSink },
  ) {
    this.#deps = deps;
    this.#filter = request.filter;
    this.#allowsGap = request.allowsGap;
    this.#sink = request.sink;
    this.#release = deps.hub.use();
  }

  /**
   * Runs until the subscriber is a member of the hub, or has failed; never rejects.
   *
   * @param resumeFrom - as the client wrote it; null: from now on
   * @param snapshot - what stands in the snapshot, as JSON text; asked for after the place is taken
   */
  async run(resumeFrom: string | null, snapshot: () => Promise<string>): Promise<void> {
    try {
      if (resumeFrom === null) await this.#begin(snapshot);
      else await this.#resume(resumeFrom);
      while (!this.#isEnded && !(await this.#step()));
    } catch (thrown) {
      if (!this.#isEnded) this.#fail(asEngineError(thrown));
    }
  }

  end(): void {
    if (this.#isEnded) return;
    this.#ended.abort();
    this.#deps.hub.leave(this.#filter, this);
    this.#release();
  }

  delta(delta: SharedDelta, position: Position): void {
    this.#position = position;
    this.#sink.delta(delta);
  }

  gap(item: Extract<TapeItem, { readonly kind: 'gap' }>): void {
    if (this.#allowsGap) {
      this.#sink.gap(this.#position, item.end);
      this.#position = item.end;
    } else {
      this.#fail(gapError(item));
    }
  }

  lost(error: EngineError): void {
    this.#fail(error);
  }

  get #isEnded(): boolean {
    return this.#ended.signal.aborted;
  }

  async #begin(snapshot: () => Promise<string>): Promise<void> {
    const ring = await this.#deps.hub.reached(0 as Sequence, this.#ended.signal);
    this.#position = ring.head;
    const dataText = await snapshot();
    if (!this.#isEnded) this.#sink.snapshot(this.#position, dataText);
  }

  async #resume(text: string): Promise<void> {
    const { hub, journal } = this.#deps;
    const position = readResume(text);
    const { sequence } = partsOfPosition(position);
    let ring = await hub.reached(0 as Sequence, this.#ended.signal);
    if (ring.locate(position) === 'ahead') ring = await this.#awaitHub(position);
    if (ring.locate(position) === 'before') {
      const { first } = await journal.bounds();
      if (sequence > 0 && sequence < first && !this.#allowsGap) {
        throw tooOld(positionBefore(first), `the journal begins at entry ${first}`);
      }
      await this.#checkPlace(position, sequence);
    } else if (!ring.isPlace(position)) {
      throw invalidResume(position, 'no event of that entry has it');
    }
    if (this.#isEnded) return;
    this.#position = position;
    this.#sink.resumed(position);
  }

  /** A place of another namespace's journal lies between the events of this one, or behind them. */
  async #checkPlace(position: Position, sequence: Sequence): Promise<void> {
    if (sequence === 0) {
      if (position !== startPosition) throw invalidResume(position, 'there is no entry 0');
      return;
    }
    const { signal } = this.#ended;
    const isGood = await this.#deps.turns.take(signal, async () => {
      for await (const item of this.#read(sequence - 1)) {
        if (item.sequence !== sequence) return true;
        if (item.kind === 'entry') return isPlaceIn(item, position);
        if (item.code === 'RECORD_CORRUPT') return true;
      }
      return true;
    });
    if (!isGood) throw invalidResume(position, 'no event of that entry has it');
  }

  /** Gives true when the subscriber has become a member. */
  async #step(): Promise<boolean> {
    const { hub, turns } = this.#deps;
    const { signal } = this.#ended;
    const ring = await hub.reached(0 as Sequence, signal);
    switch (ring.locate(this.#position)) {
      case 'ahead':
        await this.#awaitHub(this.#position);
        return false;
      case 'before':
        await turns.take(signal, () => this.#readTurn());
        return false;
      default:
        break;
    }
    const { texts, position, gap, isAtEnd } = ring.page(this.#position, this.#filter, pageBytes);
    if (texts.length > 0) this.#tell(texts, position);
    else this.#position = position;
    if (gap !== null) {
      this.gap(gap);
      return false;
    }
    if (isAtEnd) {
      hub.join(this.#filter, this);
      return true;
    }
    await this.#sink.drained();
    return false;
  }

  /** The hub's memory, once it holds a position that its reader has been at before it. */
  async #awaitHub(position: Position): Promise<EventRing> {
    const { hub, journal } = this.#deps;
    const { sequence } = partsOfPosition(position);
    const { last } = await journal.bounds();
    if (sequence > last) throw invalidResume(position, `the newest entry is ${last}`);
    return hub.reached(sequence, this.#ended.signal);
  }

  /** Reads on off the journal, until the hub's memory reaches back far enough or the turn is over. */
  async #readTurn(): Promise<void> {
    let texts: string[] = [];
    let bytes = 0;
    let turn = 0;
    let read = this.#position;
    const tell = async (): Promise<void> => {
      if (texts.length > 0) this.#tell(texts, read);
      this.#position = read;
      texts = [];
      bytes = 0;
      await this.#sink.drained();
    };
    for await (const item of this.#read(Math.max(0, partsOfPosition(read).sequence - 1))) {
      if (this.#isEnded) return;
      if (comparePositions(item.end, read) <= 0) continue;
      if (item.kind === 'gap') {
        await tell();
        if (this.#isEnded) return;
        this.gap(item);
        if (this.#isEnded) return;
        read = this.#position;
        continue;
      }
      for (const event of item.events) {
        if (comparePositions(event.id, read) <= 0 || !this.#filter.matches(event)) continue;
        texts.push(event.json);
        bytes += event.json.length;
      }
      read = item.end;
      turn += item.sizeBytes;
      if (bytes >= pageBytes) await tell();
      const isMet = this.#deps.hub.ring !== null && this.#deps.hub.ring.locate(read) !== 'before';
      if (this.#isEnded || isMet || turn >= turnBytes) break;
    }
    if (!this.#isEnded) await tell();
  }

  #read(after: number): AsyncGenerator<TapeItem, void, undefined> {
    const { journal, namespace } = this.#deps;
    return readTape({ journal, namespace, after: after as Sequence, signal: this.#ended.signal });
  }

  #tell(texts: readonly string[], position: Position): void {
    this.#position = position;
    this.#sink.delta(sharedDelta(position, `[${texts.join(',')}]`));
  }

  #fail(error: EngineError): void {
    this.end();
    this.#sink.failed(error);
  }
}

function readResume(text: string): Position {
  try {
    return parsePosition(text, 'resumeFrom');
  } catch (cause) {
    throw new EngineError('RESUME_INVALID', 'that is no position of the event feed', {
      field: 'resumeFrom',
      limit: 'the position of a frame of this feed, such as 123-4-1',
      got: text,
      cause,
    });
  }
}

function invalidResume(position: Position, detail: string): EngineError {
  return new EngineError('RESUME_INVALID', `position ${position} is not of this feed: ${detail}`, {
    field: 'resumeFrom',
    got: position,
    hint: 'it is of another namespace, or the journal was lost: subscribe without it',
  });
}

/** `limit` is the oldest position that can be resumed from. */
function tooOld(oldest: Position, detail: string): EngineError {
  return new EngineError('RESUME_TOO_OLD', `what comes next is not there any more: ${detail}`, {
    field: 'resumeFrom',
    limit: oldest,
    hint: 'resume from there, or subscribe anew; what was trimmed is lost to this reader',
  });
}

function gapError({ code, end, message }: Extract<TapeItem, { readonly kind: 'gap' }>): EngineError {
  return code === 'RESUME_TOO_OLD' ? tooOld(end, message) : new EngineError(code, message);
}

function asEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  const error = asError(thrown);
  return new EngineError('INTERNAL', error.message, { cause: error });
}
