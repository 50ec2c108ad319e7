import { EngineError } from '../core/errors.ts';
import type { Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { ProjectionChange, StoredProjection } from '../ports/projection-store.ts';
import { endOfCommit } from './cloud-event.ts';
import { deadLetterChanges, sequenceOf, type DeadLetter, type DeadLetters } from './dead-letters.ts';
import type { DecodedEntry } from './entry-feed.ts';
import { parsePosition, partsOfPosition, startPosition, type Position } from './position.ts';

/**
 * The dead letters while they are read off the journal: the list, how far it has come, and what a save must write. One
 * projection's working memory; the rules are in `dead-letters.ts`.
 */
export class DeadLetterFold {
  /** The store's revision that {@link unsavedChange} builds on. */
  revision: number;
  #position: Position;
  #unsavedEntryCount = 0;
  #ordered: readonly DeadLetter[] | null = null;
  readonly #letters: Map<TaskId, DeadLetter>;
  /** Every task whose dead letter came or went since the last save; null: gone. */
  readonly #touched = new Map<TaskId, DeadLetter | null>();

  private constructor(revision: number, position: Position, letters: Map<TaskId, DeadLetter>) {
    this.revision = revision;
    this.#position = position;
    this.#letters = letters;
  }

  /** The fold that goes on from what is stored. @throws EngineError `RECORD_CORRUPT` that names the document */
  static from(stored: StoredProjection): DeadLetterFold {
    const letters = new Map<TaskId, DeadLetter>();
    for (const [key, document] of stored.documents) {
      if (!isDeadLetter(document, key)) {
        throw new EngineError('RECORD_CORRUPT', `the stored dead letter of task ${key} cannot be read`, {
          field: key,
          hint: 'rebuild the projection from the journal',
        });
      }
      letters.set(document.taskId, document);
    }
    return new DeadLetterFold(stored.revision, parsePosition(stored.position ?? startPosition, 'position'), letters);
  }

  /**
   * The fold that reads the journal anew. Stored dead letters that can be read are kept at first: those whose records are
   * trimmed stand nowhere else. Call {@link dropReadAgain} for each shard as it is met.
   */
  static anew(stored: StoredProjection): DeadLetterFold {
    const letters = new Map<TaskId, DeadLetter>();
    const fold = new DeadLetterFold(stored.revision, startPosition, letters);
    for (const [key, document] of stored.documents) {
      if (isDeadLetter(document, key)) letters.set(document.taskId, document);
      fold.#touched.set(key as TaskId, letters.get(key as TaskId) ?? null);
    }
    return fold;
  }

  /** How far it has read: the last event of the last entry. */
  get position(): Position {
    return this.#position;
  }

  /** The entry up to which it has read; 0 before the first. */
  get sequence(): Sequence {
    return partsOfPosition(this.#position).sequence;
  }

  get letters(): DeadLetters {
    return this.#letters;
  }

  /** The dead letters in the order in which they came. */
  get ordered(): readonly DeadLetter[] {
    this.#ordered ??= sortByPosition([...this.#letters.values()]);
    return this.#ordered;
  }

  /** Documents that a save must write or remove. */
  get unsavedChangeCount(): number {
    return this.#touched.size;
  }

  /** Entries read since the last save. */
  get unsavedEntryCount(): number {
    return this.#unsavedEntryCount;
  }

  /** Takes the next entry. @throws EngineError `RECORD_CORRUPT` that names its sequence; nothing is taken then */
  apply({ entry, commit }: DecodedEntry): void {
    for (const change of deadLetterChanges(entry, commit)) {
      if (change.kind === 'added') this.#put(change.deadLetter.taskId, change.deadLetter);
      // Also when it came and went since the last save: a save that was cut off may have stored it.
      else if (this.#letters.has(change.taskId)) this.#put(change.taskId, null);
    }
    this.#position = endOfCommit(entry, commit);
    this.#unsavedEntryCount += 1;
  }

  /** Drops the shard's kept dead letters that come from `first` or later: if they are still ones, they are read again. */
  dropReadAgain(shard: ShardId, first: Sequence): void {
    this.#dropWhere((letter) => letter.shard === shard && sequenceOf(letter) >= first);
  }

  /** Drops the kept dead letters of shards that are not among these: the journal knows nothing of them. */
  dropOtherShards(shards: ReadonlySet<ShardId>): void {
    this.#dropWhere((letter) => !shards.has(letter.shard));
  }

  /** What a save must write to bring the store to {@link position}. */
  unsavedChange(): ProjectionChange {
    const upserts = new Map<string, JsonValue>();
    const deletes: string[] = [];
    for (const [taskId, letter] of this.#touched) {
      if (letter === null) deletes.push(taskId);
      else upserts.set(taskId, letter as unknown as JsonValue);
    }
    return { position: this.#position, upserts, deletes };
  }

  /** Takes note that {@link unsavedChange} is stored. */
  saved(revision: number): void {
    this.revision = revision;
    this.#touched.clear();
    this.#unsavedEntryCount = 0;
  }

  #put(taskId: TaskId, letter: DeadLetter | null): void {
    if (letter === null) this.#letters.delete(taskId);
    else this.#letters.set(taskId, letter);
    this.#touched.set(taskId, letter);
    this.#ordered = null;
  }

  #dropWhere(isDropped: (letter: DeadLetter) => boolean): void {
    for (const letter of this.#letters.values()) if (isDropped(letter)) this.#put(letter.taskId, null);
  }
}

function sortByPosition(letters: readonly DeadLetter[]): readonly DeadLetter[] {
  return letters
    .map((letter) => ({ letter, at: partsOfPosition(letter.position) }))
    .toSorted((a, b) => a.at.sequence - b.at.sequence || a.at.part - b.at.part || a.at.event - b.at.event)
    .map(({ letter }) => letter);
}

function isDeadLetter(document: unknown, key: string): document is DeadLetter {
  if (typeof document !== 'object' || document === null) return false;
  const letter = document as Partial<Record<keyof DeadLetter, unknown>>;
  const { failure } = letter as { readonly failure?: { readonly class?: unknown; readonly message?: unknown } | null };
  return (
    letter.taskId === key &&
    Number.isInteger(letter.shard) &&
    typeof letter.pipeline === 'string' &&
    typeof letter.at === 'number' &&
    typeof letter.fingerprint === 'string' &&
    typeof letter.position === 'string' &&
    /^\d+-\d+-\d+$/.test(letter.position) &&
    typeof failure?.class === 'string' &&
    typeof failure.message === 'string'
  );
}
