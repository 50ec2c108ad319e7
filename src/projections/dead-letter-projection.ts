import { asError, EngineError } from '../core/errors.ts';
import type { ShardId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import type { ProjectionSave, ProjectionStore } from '../ports/projection-store.ts';
import type { Random } from '../ports/random.ts';
import { DeadLetterFold } from './dead-letter-fold.ts';
import {
  groupDeadLetters,
  selectDeadLetters,
  type DeadLetterFilter,
  type DeadLetterGroup,
  type DeadLetterPage,
  type DeadLetterQuery,
} from './dead-letter-query.ts';
import { readTail } from './journal-tail.ts';
import type { Position } from './position.ts';
import { ShardChain } from './shard-chain.ts';

/** The name under which the dead letters are stored. */
export const deadLetterProjection = 'dead-letters';
/** Changes after which a long read saves what it has, so that it is not lost, nor another projector held up for long. */
export const maximumUnsavedChanges = 500;
/** Entries after which a read is worth a save though it found no change. */
const maximumUnsavedEntries = 5_000;
/** How often a save begins anew because another projector was faster. */
export const maximumSaveTries = 8;
/** Longest wait before the second try; it doubles with each one. */
const firstRetryDelayMs = 20;

type SavePolicy =
  /** At the end, whatever was read: the caller is about to trim the journal. */
  | 'always'
  /** When it spares the next reader some work. */
  | 'worthwhile'
  | 'never';

/**
 * The dead letters as a projection that is pulled: nothing is done until somebody asks. Then it reads the journal from where
 * it stands to the end, folds, answers, and stores list and position, for whoever asks next, in this process or another.
 *
 * The stored list is the only memory of dead letters whose records are trimmed. So whoever trims calls {@link catchUp}
 * first and trims no further than the position that it gives.
 */
export class DeadLetterProjection {
  readonly #journal: Journal;
  readonly #store: ProjectionStore;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #random: Random;
  #fold: DeadLetterFold | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: {
    readonly journal: Journal;
    readonly store: ProjectionStore;
    readonly logger: Logger;
    readonly clock: Clock;
    readonly random: Random;
  }) {
    this.#journal = deps.journal;
    this.#store = deps.store;
    this.#logger = deps.logger;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /**
   * Reads to the journal's end and stores the list; resolves when it is stored, with how far it came.
   *
   * @throws EngineError `RECORD_CORRUPT` that names the sequence, `LOG_REGRESSED` when the journal ends before what was read
   *   of it, `CANCELED`, `STORAGE_FULL`, `UNAVAILABLE`
   */
  catchUp(signal?: AbortSignal): Promise<Position> {
    return this.#inTurn(async () => (await this.#advance('always', signal)).position);
  }

  /** The dead letters that match, as of the journal's end. @throws `INVALID_ARGUMENT`, and as {@link catchUp} */
  list(query: DeadLetterQuery, signal?: AbortSignal): Promise<DeadLetterPage> {
    return this.#inTurn(async () => {
      const fold = await this.#advance('worthwhile', signal);
      return { ...selectDeadLetters(fold.ordered, query), asOf: fold.position };
    });
  }

  /** The kinds of failure among the dead letters, as of the journal's end. @throws as {@link catchUp} */
  groups(filter: DeadLetterFilter = {}, signal?: AbortSignal): Promise<readonly DeadLetterGroup[]> {
    return this.#inTurn(async () => groupDeadLetters((await this.#advance('worthwhile', signal)).ordered, filter));
  }

  /**
   * Makes the list anew from all that the journal has, and stores it. Dead letters whose records are trimmed are kept as
   * they are; all others come from the journal alone.
   *
   * @throws EngineError as {@link catchUp}, but never `LOG_REGRESSED`
   */
  rebuild(signal?: AbortSignal): Promise<Position> {
    return this.#inTurn(async () => {
      const fold = await this.#retrying(async () => {
        const anew = await this.#readAnew(signal);
        return (await this.#save(anew)).kind === 'saved' ? anew : null;
      }, signal);
      this.#fold = fold;
      return fold.position;
    });
  }

  /** One at a time: two readers of one fold would take entries twice. A failed turn holds up nobody. */
  #inTurn<Value>(run: () => Promise<Value>): Promise<Value> {
    const turn = this.#turn.then(run, run);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #advance(policy: Exclude<SavePolicy, 'never'>, signal: AbortSignal | undefined): Promise<DeadLetterFold> {
    if (policy === 'always') {
      await this.#forgetIfOutrun();
      return this.#retrying(async () => this.#readOn('always', signal), signal);
    }
    try {
      const fold = await this.#readOn(policy, signal);
      if (fold !== null) return fold;
    } catch (thrown) {
      if (!(thrown instanceof SaveFailed)) throw thrown;
      this.#logger.warn(
        { err: thrown.cause },
        'the dead letters could not be stored; the answer is complete all the same',
      );
    }
    // An answer needs no save: whoever was faster has stored the list.
    const fold = await this.#readOn('never', signal);
    if (fold === null) throw new EngineError('INTERNAL', 'a read of the dead letters without a save met a conflict');
    return fold;
  }

  /** Spares reading what another projector has read and stored meanwhile. */
  async #forgetIfOutrun(): Promise<void> {
    if (this.#fold === null) return;
    const { revision } = await this.#store.peek(deadLetterProjection);
    if (revision !== this.#fold.revision) this.#fold = null;
  }

  /** The fold at the journal's end, stored as the policy says; null when another projector saved meanwhile. */
  async #readOn(policy: SavePolicy, signal: AbortSignal | undefined): Promise<DeadLetterFold | null> {
    this.#fold ??= DeadLetterFold.from(await this.#store.load(deadLetterProjection));
    const fold = this.#fold;
    const after = fold.sequence;
    const chain = new ShardChain(after === 0 ? null : after);
    for await (const decoded of readTail({ journal: this.#journal, after, signal })) {
      const missed = chain.follow(decoded.entry);
      if (missed !== null) this.#warnOfGap(decoded.entry.shard, missed);
      fold.apply(decoded);
      const isFull =
        fold.unsavedChangeCount >= maximumUnsavedChanges || fold.unsavedEntryCount >= maximumUnsavedEntries;
      if (policy !== 'never' && isFull && !(await this.#saveOrForget(fold))) return null;
    }
    const isDue =
      (policy === 'always' && fold.unsavedEntryCount > 0) || (policy === 'worthwhile' && fold.unsavedChangeCount > 0);
    if (isDue && !(await this.#saveOrForget(fold))) return null;
    return fold;
  }

  async #readAnew(signal: AbortSignal | undefined): Promise<DeadLetterFold> {
    const fold = DeadLetterFold.anew(await this.#store.load(deadLetterProjection));
    const shards = new Set<ShardId>();
    for await (const decoded of readTail({ journal: this.#journal, after: fold.sequence, signal })) {
      const { shard, sequence } = decoded.entry;
      if (!shards.has(shard)) fold.dropReadAgain(shard, sequence);
      shards.add(shard);
      fold.apply(decoded);
    }
    fold.dropOtherShards(shards);
    return fold;
  }

  /**
   * Whether it was stored. If not, the store has another state than this fold builds on: the next read begins with a load.
   * A save that throws leaves the fold as it is, to be saved again: if some of it landed, that save meets a conflict.
   */
  async #saveOrForget(fold: DeadLetterFold): Promise<boolean> {
    const { kind } = await this.#save(fold);
    if (kind === 'conflict') this.#fold = null;
    return kind === 'saved';
  }

  async #save(fold: DeadLetterFold): Promise<ProjectionSave> {
    let outcome: ProjectionSave;
    try {
      outcome = await this.#store.save(deadLetterProjection, fold.unsavedChange(), fold.revision);
    } catch (thrown) {
      throw new SaveFailed(asError(thrown));
    }
    if (outcome.kind === 'saved') fold.saved(outcome.revision);
    return outcome;
  }

  async #retrying(
    attempt: () => Promise<DeadLetterFold | null>,
    signal: AbortSignal | undefined,
  ): Promise<DeadLetterFold> {
    for (let tryCount = 1; tryCount <= maximumSaveTries; tryCount += 1) {
      try {
        const fold = await attempt();
        if (fold !== null) return fold;
      } catch (thrown) {
        throw thrown instanceof SaveFailed ? thrown.cause : thrown;
      }
      if (signal?.aborted === true) throw new EngineError('CANCELED', 'storing the dead letters was canceled');
      // Two projectors in step would take the claim from each other again and again: chance parts them.
      const delayMs = this.#random.next() * firstRetryDelayMs * 2 ** (tryCount - 1);
      await new Promise<void>((resolve) => void this.#clock.setTimer(delayMs, resolve));
    }
    throw new EngineError('UNAVAILABLE', `the dead letters were stored by others ${maximumSaveTries} times meanwhile`);
  }

  #warnOfGap(shard: ShardId, missed: number): void {
    this.#logger.warn(
      { shard, sequence: missed },
      'the journal was trimmed before its dead letters were read; the list may lack or keep some',
    );
  }
}

/** A save that threw, told apart from a read that did: an answer survives the first. */
class SaveFailed extends Error {
  override readonly cause: Error;

  constructor(cause: Error) {
    super(cause.message);
    this.cause = cause;
  }
}
