import { invalidArgument } from '../core/errors.ts';
import type { DeadLetterReason, FailureClass } from '../core/failures.ts';
import type { Millis, PipelineName, StageName } from '../core/ids.ts';
import type { DeadLetter } from './dead-letters.ts';
import { maskMessage } from './failure-fingerprint.ts';
import { comparePositions, parsePosition, type Position } from './position.ts';

/** Which dead letters are meant; all when a member is left out. */
export interface DeadLetterFilter {
  readonly pipeline?: PipelineName | undefined;
  readonly stage?: StageName | undefined;
  readonly reason?: DeadLetterReason | undefined;
  readonly class?: FailureClass | undefined;
  readonly code?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/** A page of dead letters. */
export interface DeadLetterQuery extends DeadLetterFilter {
  /** 1 to {@link maximumPageSize}. */
  readonly limit: number;
  /** Go on after the dead letter of this position, in the order asked for. */
  readonly after?: Position | undefined;
  /** By when the task was given up, as the journal has it. Default `newestFirst`. */
  readonly order?: 'newestFirst' | 'oldestFirst' | undefined;
}

/** The answer to a {@link DeadLetterQuery}. */
export interface DeadLetterPage {
  readonly deadLetters: readonly DeadLetter[];
  /** Ask for more after this; null: this was the last page. */
  readonly next: Position | null;
  /** How many match the filter, on all pages. */
  readonly matchCount: number;
  /** The journal was read up to here. */
  readonly asOf: Position;
}

/** Dead letters of one kind. */
export interface DeadLetterGroup {
  readonly fingerprint: string;
  readonly count: number;
  readonly stage: StageName | null;
  readonly class: FailureClass;
  readonly code: string;
  /** What their messages have in common. */
  readonly message: string;
  readonly pipelines: readonly PipelineName[];
  readonly oldestAt: Millis;
  readonly newestAt: Millis;
  /** The newest of them. */
  readonly sample: DeadLetter;
}

/** Most dead letters on a page. */
export const maximumPageSize = 1_000;

/**
 * The page of a list that is in order of positions. Pure.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a limit out of range or a position that is none
 */
export function selectDeadLetters(
  ordered: readonly DeadLetter[],
  query: DeadLetterQuery,
): Omit<DeadLetterPage, 'asOf'> {
  const { limit, order = 'newestFirst' } = query;
  if (!Number.isInteger(limit) || limit < 1 || limit > maximumPageSize) {
    throw invalidArgument({
      field: 'limit',
      message: `limit must be a whole number from 1 to ${maximumPageSize}`,
      limit: `1 to ${maximumPageSize}`,
      got: limit,
    });
  }
  const after = query.after === undefined ? null : parsePosition(query.after);
  const matching = ordered.filter((letter) => matches(letter, query));
  const inOrder = order === 'newestFirst' ? matching.toReversed() : matching;
  const direction = order === 'newestFirst' ? -1 : 1;
  const start =
    after === null ? 0 : inOrder.findIndex((letter) => comparePositions(letter.position, after) * direction > 0);
  const deadLetters = start === -1 ? [] : inOrder.slice(start, start + limit);
  const hasMore = start !== -1 && start + limit < inOrder.length;
  return {
    deadLetters,
    next: hasMore ? (deadLetters.at(-1)?.position ?? null) : null,
    matchCount: matching.length,
  };
}

/** The kinds of failure of a list that is in order of positions, the most frequent first. Pure. */
export function groupDeadLetters(
  ordered: readonly DeadLetter[],
  filter: DeadLetterFilter = {},
): readonly DeadLetterGroup[] {
  const members = new Map<string, DeadLetter[]>();
  for (const letter of ordered) {
    if (!matches(letter, filter)) continue;
    const group = members.get(letter.fingerprint);
    if (group === undefined) members.set(letter.fingerprint, [letter]);
    else group.push(letter);
  }
  return [...members.values()]
    .flatMap((letters) => {
      const sample = letters.at(-1);
      return sample === undefined ? [] : [groupOf(letters, sample)];
    })
    .toSorted((a, b) => b.count - a.count || (a.fingerprint < b.fingerprint ? -1 : 1));
}

function groupOf(letters: readonly DeadLetter[], sample: DeadLetter): DeadLetterGroup {
  const { fingerprint, stage, failure, taskId } = sample;
  return {
    fingerprint,
    count: letters.length,
    stage,
    class: failure.class,
    code: failure.code,
    message: maskMessage(failure.message, taskId),
    pipelines: [...new Set(letters.map((letter) => letter.pipeline))],
    oldestAt: letters.reduce((least, letter) => Math.min(least, letter.at), sample.at),
    newestAt: letters.reduce((most, letter) => Math.max(most, letter.at), sample.at),
    sample,
  };
}

function matches(letter: DeadLetter, filter: DeadLetterFilter): boolean {
  return (
    (filter.pipeline === undefined || letter.pipeline === filter.pipeline) &&
    (filter.stage === undefined || letter.stage === filter.stage) &&
    (filter.reason === undefined || letter.reason === filter.reason) &&
    (filter.class === undefined || letter.failure.class === filter.class) &&
    (filter.code === undefined || letter.failure.code === filter.code) &&
    (filter.fingerprint === undefined || letter.fingerprint === filter.fingerprint)
  );
}
