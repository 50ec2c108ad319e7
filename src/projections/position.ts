import { invalidArgument } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';

declare const brand: unique symbol;

/**
 * A place in the event feed as text, such as `123-4-1`: the sequence in the journal stream, the part of that commit, the
 * event of that part. It is the `id` of the event that stands there, and where a reader goes on *after*.
 *
 * Part 0 is the commit's change of owner, part n its n-th record; events of a part count from 1. So `123-0-0` stands before
 * all events of 123, and no event ever has that position. Order positions with {@link comparePositions}, not as text.
 */
export type Position = string & { readonly [brand]: 'Position' };

/** The three numbers of a {@link Position}, most significant first. */
export interface PositionParts {
  readonly sequence: Sequence;
  /** 0 for the commit's change of owner, else the record's place in the commit from 1. */
  readonly part: number;
  /** The event's place among those of its part, from 1. */
  readonly event: number;
}

/** Before the first event of any journal. */
export const startPosition = '0-0-0' as Position;

// No leading zeros, so that equal places have equal text. 15 digits stay below 2^53.
const positionPattern = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,8})-(0|[1-9]\d{0,8})$/;

/** The text of a position. */
export function formatPosition(parts: PositionParts): Position {
  return `${parts.sequence}-${parts.part}-${parts.event}` as Position;
}

/** `value` as a position. @throws EngineError `INVALID_ARGUMENT` with the field given */
export function parsePosition(value: unknown, field = 'after'): Position {
  if (typeof value === 'string' && positionPattern.test(value)) return value as Position;
  throw invalidArgument({
    field,
    message: `${field} is not a position of the event feed`,
    limit: 'three whole numbers joined by -, such as 123-4-1',
    got: value,
    hint: 'give the id of an event of this feed',
  });
}

/** The numbers of a position. @throws EngineError `INVALID_ARGUMENT` for a text that is no position */
export function partsOfPosition(position: Position): PositionParts {
  const match = positionPattern.exec(parsePosition(position, 'position'));
  return { sequence: Number(match?.[1]) as Sequence, part: Number(match?.[2]), event: Number(match?.[3]) };
}

/** Below 0 when `left` comes first, above 0 when `right` does, 0 when they are one place. */
export function comparePositions(left: Position, right: Position): number {
  const a = partsOfPosition(left);
  const b = partsOfPosition(right);
  return a.sequence - b.sequence || a.part - b.part || a.event - b.event;
}
