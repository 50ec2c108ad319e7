/** One operation of a history: what a client asked, when, and what it was told. */
export interface Operation<Input, Output> {
  readonly input: Input;
  /** Null: nobody knows. It may have taken effect at any time after it was asked, or never. */
  readonly output: Output | null;
  /** By one clock for the whole history. */
  readonly invokedAt: number;
  /** Later than `invokedAt`; without meaning where `output` is null. */
  readonly returnedAt: number;
}

/** An object as it would be if one operation came after the other. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after an operation; null when the object could not have answered so.
   *
   * @param output - null for an operation whose answer nobody knows: then there is always a state
   */
  readonly step: (state: State, input: Input, output: Output | null) => State | null;
  /** Equal for equal states. */
  readonly keyOf: (state: State) => string;
}

/** Whether a history can be put into one order. */
export type Verdict<Input, Output> =
  /** `order`: one such order; an operation of unknown outcome is only in it when it took effect. */
  | { readonly kind: 'linearizable'; readonly order: readonly Operation<Input, Output>[] }
  /** `longest`: the most that could be put into an order; `next`: those of which none can come after it. */
  | {
      readonly kind: 'violated';
      readonly longest: readonly Operation<Input, Output>[];
      readonly next: readonly Operation<Input, Output>[];
    };

/**
 * Whether there is an order of the operations that the model allows and in which none comes before one that had returned when it
 * was asked.
 *
 * The search of J. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (Journal of Parallel and Distributed Computing 17,
 * 1993), which takes one operation after the other that may come next and goes back when none fits; with the memory of G. Lowe,
 * "Testing for Linearizability" (Concurrency and Computation: Practice and Experience 29, 2017): the same set of operations that
 * led to the same state is not tried twice. An operation that never returned may come at any later place or be left out.
 *
 * Of operations that are alike in what was asked and answered, and may all come next, only the one that returned first is tried:
 * in any order that has another one there, the two can change places. A crowd that asks the same costs no more than one.
 *
 * @throws Error for an operation that returns before it is asked
 */
export function checkLinearizable<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): Verdict<Input, Output> {
  const timeline = new Timeline(history);
  const placed: { readonly index: number; readonly before: State }[] = [];
  const tried = new Set<string>();
  const isPlaced = new PlacedSet(history.length);
  const hasTwin = twinsOf(history, timeline);
  let state = model.initial;
  let missing = history.filter(({ output }) => output !== null).length;
  let longest: readonly number[] = [];
  let stuckAt: readonly number[] = timeline.candidates();
  let candidate = timeline.first();
  while (missing > 0) {
    if (candidate !== null) {
      const operation = history[candidate] as Operation<Input, Output>;
      const after = hasTwin(candidate) ? null : model.step(state, operation.input, operation.output);
      if (after !== null && isNew(tried, isPlaced.keyWith(candidate), model.keyOf(after))) {
        placed.push({ index: candidate, before: state });
        isPlaced.add(candidate);
        timeline.lift(candidate);
        if (operation.output !== null) missing -= 1;
        state = after;
        if (placed.length > longest.length) {
          longest = placed.map(({ index }) => index);
          stuckAt = timeline.candidates();
        }
        candidate = timeline.first();
      } else {
        candidate = timeline.after(candidate);
      }
      continue;
    }
    // None of those that may come next fits: the one before was wrong here.
    const last = placed.pop();
    if (last === undefined) return { kind: 'violated', longest: pick(history, longest), next: pick(history, stuckAt) };
    isPlaced.remove(last.index);
    timeline.putBack(last.index);
    if (history[last.index]?.output !== null) missing += 1;
    state = last.before;
    candidate = timeline.after(last.index);
  }
  return { kind: 'linearizable', order: placed.map(({ index }) => history[index] as Operation<Input, Output>) };
}

/** {@link checkLinearizable} of each key on its own: objects that do not touch each other can be judged apart. */
export function checkEachKey<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  keyOf: (input: Input) => string,
): ReadonlyMap<string, Verdict<Input, Output>> {
  const byKey = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    const key = keyOf(operation.input);
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, [operation]);
    else known.push(operation);
  }
  return new Map([...byKey].map(([key, operations]) => [key, checkLinearizable(model, operations)]));
}

/** Tells whether another operation that is alike may come next too, and comes before it by its return. */
function twinsOf(history: readonly Operation<unknown, unknown>[], timeline: Timeline): (index: number) => boolean {
  const kinds = history.map(({ input, output }) => JSON.stringify([input, output]));
  const returns = history.map(({ output, returnedAt }) => (output === null ? Infinity : returnedAt));
  const comesBefore = (other: number, index: number): boolean => {
    const [first = 0, second = 0] = [returns[other], returns[index]];
    return first < second || (first === second && other < index);
  };
  return (index) => {
    for (let other = timeline.first(); other !== null; other = timeline.after(other)) {
      if (other !== index && kinds[other] === kinds[index] && comesBefore(other, index)) return true;
    }
    return false;
  };
}

function isNew(tried: Set<string>, placedKey: string, stateKey: string): boolean {
  const key = `${placedKey}/${stateKey}`;
  if (tried.has(key)) return false;
  tried.add(key);
  return true;
}

function pick<Value>(from: readonly Value[], indexes: readonly number[]): Value[] {
  return indexes.map((index) => from[index] as Value);
}

/** Which operations are placed, as a text that tells any two such sets apart. */
class PlacedSet {
  readonly #words: Uint16Array;

  constructor(size: number) {
    this.#words = new Uint16Array(Math.ceil(size / 16));
  }

  add(index: number): void {
    this.#words[index >> 4] = (this.#words[index >> 4] ?? 0) | (1 << (index & 15));
  }

  remove(index: number): void {
    this.#words[index >> 4] = (this.#words[index >> 4] ?? 0) & ~(1 << (index & 15));
  }

  keyWith(index: number): string {
    this.add(index);
    const key = String.fromCharCode(...this.#words);
    this.remove(index);
    return key;
  }
}

/** Where an operation was asked, or returned, in the order of time. A linked list, so that one can be taken out and put back. */
interface TimelineEvent {
  readonly index: number;
  readonly isReturn: boolean;
  readonly at: number;
  previous: TimelineEvent | null;
  next: TimelineEvent | null;
}

class Timeline {
  readonly #head: TimelineEvent = { index: -1, isReturn: false, at: -Infinity, previous: null, next: null };
  readonly #calls: TimelineEvent[] = [];
  readonly #returns: (TimelineEvent | null)[] = [];

  constructor(history: readonly Operation<unknown, unknown>[]) {
    for (const [index, { invokedAt, returnedAt, output }] of history.entries()) {
      if (output !== null && returnedAt < invokedAt) throw new Error(`operation ${index} returns before it is asked`);
      this.#calls.push({ index, isReturn: false, at: invokedAt, previous: null, next: null });
      this.#returns.push(
        output === null ? null : { index, isReturn: true, at: returnedAt, previous: null, next: null },
      );
    }
    // At one instant calls come first: what is not known to be in an order is not held to be.
    const events = [...this.#calls, ...this.#returns.filter((event) => event !== null)].toSorted(
      (left, right) => left.at - right.at || Number(left.isReturn) - Number(right.isReturn),
    );
    let last = this.#head;
    for (const event of events) {
      last.next = event;
      event.previous = last;
      last = event;
    }
  }

  /** The first operation that may come next. */
  first(): number | null {
    return callOf(this.#head.next);
  }

  /** The one after it that may come next as well: none that was asked after an open one had returned. */
  after(index: number): number | null {
    return callOf(this.#calls[index]?.next ?? null);
  }

  candidates(): number[] {
    const found: number[] = [];
    for (let index = this.first(); index !== null; index = this.after(index)) found.push(index);
    return found;
  }

  lift(index: number): void {
    for (const event of [this.#calls[index], this.#returns[index]]) {
      if (event?.previous === undefined || event.previous === null) continue;
      event.previous.next = event.next;
      if (event.next !== null) event.next.previous = event.previous;
    }
  }

  /** The contrary of {@link lift}, of what was lifted last. */
  putBack(index: number): void {
    for (const event of [this.#returns[index], this.#calls[index]]) {
      if (event?.previous === undefined || event.previous === null) continue;
      event.previous.next = event;
      if (event.next !== null) event.next.previous = event;
    }
  }
}

/** The call that stands there; null when a return does, behind which nothing may come yet. */
function callOf(event: TimelineEvent | null): number | null {
  return event === null || event.isReturn ? null : event.index;
}
