/** One step that a model can take. */
export interface ModelStep<State> {
  /** Who does what, in a few words: a line of a counterexample. */
  readonly label: string;
  readonly next: State;
  /** What the step itself breaks, where the state after it does not show it any more. */
  readonly broken?: string | undefined;
}

/** A system of states and steps, small enough to be looked at wholly. */
export interface ExplorableModel<State> {
  readonly initial: State;
  /** Every step that may come next, whoever takes it. */
  readonly steps: (state: State) => readonly ModelStep<State>[];
  /** Equal for states that are alike; states that differ by a renaming of nodes alone may be alike. */
  readonly keyOf: (state: State) => string;
  /** What is wrong with a state, or null. */
  readonly check: (state: State) => string | null;
  /** Where the work is done: from every state there must be a way to such a one. */
  readonly isEnd: (state: State) => boolean;
}

/** A shortest way to something that must not be. */
export interface Counterexample {
  /** `broken`: a promise does not hold. `stuck`: no way leads from there to an end. */
  readonly kind: 'broken' | 'stuck';
  readonly what: string;
  readonly trace: readonly string[];
}

/** What a whole exploration has found. */
export interface Exploration {
  readonly states: number;
  readonly steps: number;
  /** Length of the longest of the shortest ways. */
  readonly depth: number;
  /** Null when every promise holds in every state. */
  readonly counterexample: Counterexample | null;
}

/**
 * Looks at every state that a model can come to, breadth first, so that what is found is shortest.
 *
 * Safety is asked of each state and step. Progress: backwards from the ends, every state must be met; as the faults of a model are
 * finite, that is progress under fairness once no more of them happen.
 *
 * @throws Error when there are more than `maxStates`: nothing is proven then
 */
export function explore<State>(model: ExplorableModel<State>, maxStates: number): Exploration {
  const search = new Search(model, maxStates);
  return search.run();
}

class Search<State> {
  readonly #model: ExplorableModel<State>;
  readonly #maxStates: number;
  readonly #indexes = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #parents: number[] = [];
  readonly #ends: number[] = [];
  /** Edges as pairs: from, to. */
  readonly #edges: number[] = [];

  constructor(model: ExplorableModel<State>, maxStates: number) {
    this.#model = model;
    this.#maxStates = maxStates;
  }

  run(): Exploration {
    const { initial, check } = this.#model;
    this.#meet(initial, this.#model.keyOf(initial), -1);
    const wrong = check(initial);
    if (wrong !== null) return this.#report(0, { kind: 'broken', what: wrong, trace: [] });
    let depth = 0;
    for (let level: readonly (readonly [State, number])[] = [[initial, 0]]; level.length > 0; depth += 1) {
      const next: [State, number][] = [];
      for (const [state, index] of level) {
        const found = this.#expand(state, index, next);
        if (found !== null) return this.#report(depth + 1, found);
      }
      level = next;
    }
    return this.#report(depth, this.#findStuck());
  }

  #expand(state: State, index: number, next: [State, number][]): Counterexample | null {
    for (const step of this.#model.steps(state)) {
      const key = this.#model.keyOf(step.next);
      if (step.broken !== undefined) return this.#broken(step.broken, index, step.label);
      const known = this.#indexes.get(key);
      if (known !== undefined) {
        if (known !== index) this.#edges.push(index, known);
        continue;
      }
      const wrong = this.#model.check(step.next);
      if (wrong !== null) return this.#broken(wrong, index, step.label);
      const met = this.#meet(step.next, key, index);
      this.#edges.push(index, met);
      next.push([step.next, met]);
    }
    return null;
  }

  #meet(state: State, key: string, parent: number): number {
    const index = this.#keys.length;
    if (index >= this.#maxStates) throw new Error(`more than ${this.#maxStates} states: nothing is proven`);
    this.#indexes.set(key, index);
    this.#keys.push(key);
    this.#parents.push(parent);
    if (this.#model.isEnd(state)) this.#ends.push(index);
    return index;
  }

  /** A state from which no end can be reached, the first that was met; or null. */
  #findStuck(): Counterexample | null {
    const count = this.#keys.length;
    const firstInto = new Int32Array(count + 1);
    for (let edge = 1; edge < this.#edges.length; edge += 2) firstInto[(this.#edges[edge] ?? 0) + 1]! += 1;
    for (let index = 0; index < count; index += 1) firstInto[index + 1]! += firstInto[index] ?? 0;
    const fill = firstInto.slice();
    const sources = new Int32Array(this.#edges.length / 2);
    for (let edge = 0; edge < this.#edges.length; edge += 2) {
      const into = this.#edges[edge + 1] ?? 0;
      sources[fill[into]!] = this.#edges[edge] ?? 0;
      fill[into]! += 1;
    }
    const leads = new Uint8Array(count);
    const open = [...this.#ends];
    for (const end of open) leads[end] = 1;
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      for (let at = firstInto[index] ?? 0; at < (firstInto[index + 1] ?? 0); at += 1) {
        const source = sources[at] ?? 0;
        if (leads[source] === 1) continue;
        leads[source] = 1;
        open.push(source);
      }
    }
    const stuck = leads.indexOf(0);
    if (stuck === -1) return null;
    return { kind: 'stuck', what: 'no way leads from here to the end', trace: this.#traceTo(stuck) };
  }

  #broken(what: string, from: number, label: string): Counterexample {
    return { kind: 'broken', what, trace: [...this.#traceTo(from), label] };
  }

  /** The way to a state, taken again from the start: only keys were kept. */
  #traceTo(index: number): readonly string[] {
    const way: string[] = [];
    for (let at = index; at > 0; at = this.#parents[at] ?? 0) way.unshift(this.#keys[at] ?? '');
    const labels: string[] = [];
    let state = this.#model.initial;
    for (const key of way) {
      const step = this.#model.steps(state).find(({ next }) => this.#model.keyOf(next) === key);
      if (step === undefined) throw new Error('a model must give the same steps each time');
      labels.push(step.label);
      state = step.next;
    }
    return labels;
  }

  #report(depth: number, counterexample: Counterexample | null): Exploration {
    return { states: this.#keys.length, steps: this.#edges.length / 2, depth, counterexample };
  }
}
