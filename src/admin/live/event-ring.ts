import type { Sequence } from '../../core/ids.ts';
import { comparePositions, partsOfPosition, type Position } from '../../projections/position.ts';
import type { EventFilter } from './event-filter.ts';
import { isPlaceIn, type TapeItem } from './event-tape.ts';

/** What lies in a ring after a position, up to the bounds of a page. */
export interface RingPage {
  /** Encoded events, in order. */
  readonly texts: readonly string[];
  /** The position behind what was looked at. */
  readonly position: Position;
  /** What is missing right behind it. */
  readonly gap: Extract<TapeItem, { readonly kind: 'gap' }> | null;
  readonly isAtEnd: boolean;
}

/** The newest pieces of the journal, without holes but for those that it tells of, within a bound of bytes. */
export class EventRing {
  readonly #maximumBytes: number;
  #items: TapeItem[] = [];
  #begin = 0;
  #bytes = 0;
  /** All behind this is here. */
  #baseSequence: Sequence;
  /** The place behind the entry `#baseSequence`, if that is known. */
  #baseEnd: Position | null;
  #head: Position;

  /**
   * @param after - the sequence behind which the first item will lie
   * @param head - the position behind the last item, until one comes
   */
  constructor(options: { readonly maximumBytes: number; readonly after: Sequence; readonly head: Position }) {
    this.#maximumBytes = options.maximumBytes;
    this.#baseSequence = options.after;
    this.#baseEnd = options.after === 0 ? options.head : null;
    this.#head = options.head;
  }

  /** The position behind all that is here. */
  get head(): Position {
    return this.#head;
  }

  get sizeBytes(): number {
    return this.#bytes;
  }

  add(item: TapeItem): void {
    this.#items.push(item);
    this.#bytes += item.sizeBytes;
    this.#head = item.end;
    while (this.#bytes > this.#maximumBytes && this.#begin < this.#items.length - 1) this.#dropOldest();
    // Moved together now and then, as taking the first off an array costs its length.
    if (this.#begin > 1_000 && this.#begin > this.#items.length / 2) {
      this.#items = this.#items.slice(this.#begin);
      this.#begin = 0;
    }
  }

  /** Whether all that comes after the position is here (`within`), some has left (`before`), or it has not come yet (`ahead`). */
  locate(position: Position): 'before' | 'within' | 'ahead' {
    if (comparePositions(position, this.#head) > 0) {
      // Behind the last event of the last entry there is no place: that is for `isPlace` to say.
      return partsOfPosition(position).sequence > partsOfPosition(this.#head).sequence ? 'ahead' : 'within';
    }
    if (partsOfPosition(position).sequence > this.#baseSequence) return 'within';
    return this.#baseEnd !== null && comparePositions(position, this.#baseEnd) >= 0 ? 'within' : 'before';
  }

  /** Whether a position within the ring is one that an event feed could have told. */
  isPlace(position: Position): boolean {
    const { sequence } = partsOfPosition(position);
    if (sequence <= this.#baseSequence) return this.#baseEnd === null || position === this.#baseEnd;
    const items = this.#items.slice(this.#indexFrom(sequence)).filter((item) => item.sequence === sequence);
    return items.length === 0 || items.some((item) => isPlaceIn(item, position));
  }

  /** The wanted events after a position that lies within, until `maximumBytes` are found, or up to the next gap. */
  page(after: Position, filter: EventFilter, maximumBytes: number): RingPage {
    const texts: string[] = [];
    let position = after;
    let bytes = 0;
    for (let index = this.#indexFrom(partsOfPosition(after).sequence); index < this.#items.length; index += 1) {
      const item = this.#items[index];
      if (item === undefined || isPassed(item, after)) continue;
      if (item.kind === 'gap') return { texts, position, gap: item, isAtEnd: false };
      for (const event of item.events) {
        if (comparePositions(event.id, after) <= 0 || !filter.matches(event)) continue;
        texts.push(event.json);
        bytes += event.json.length;
      }
      position = item.end;
      if (bytes >= maximumBytes) return { texts, position, gap: null, isAtEnd: index === this.#items.length - 1 };
    }
    return { texts, position, gap: null, isAtEnd: true };
  }

  #dropOldest(): void {
    const item = this.#items[this.#begin];
    if (item === undefined) return;
    this.#begin += 1;
    this.#bytes -= item.sizeBytes;
    this.#baseSequence = item.sequence;
    this.#baseEnd = item.end;
    // A trimmed piece and the entry behind it share a sequence: the entry is here still.
    const next = this.#items[this.#begin];
    if (next?.sequence === item.sequence) this.#baseSequence = (item.sequence - 1) as Sequence;
  }

  /** Of the first item with that sequence or a later one. */
  #indexFrom(sequence: Sequence): number {
    let low = this.#begin;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle]?.sequence ?? 0) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Whether nothing of the item lies behind the position. A gap right before an entry is passed once its `end` is reached. */
function isPassed(item: TapeItem, position: Position): boolean {
  return comparePositions(item.end, position) <= 0;
}
