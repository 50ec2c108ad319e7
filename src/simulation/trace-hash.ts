const prime = 0x01000193;

/** A running hash over all that a simulation has done: two runs with one digest were one run. */
export class TraceHash {
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  readonly #number = new Float64Array(1);
  readonly #words = new Uint32Array(this.#number.buffer);

  /** Adds an event: its name, and a number such as its time. */
  add(name: string, value: number): void {
    let low = this.#low;
    for (let index = 0; index < name.length; index += 1) low = Math.imul(low ^ name.charCodeAt(index), prime);
    this.#number[0] = value;
    low = Math.imul(low ^ (this.#words[0] ?? 0), prime);
    low = Math.imul(low ^ (this.#words[1] ?? 0), prime);
    this.#low = low ^ (low >>> 15);
    this.#high = Math.imul(this.#high ^ this.#low, 0x85ebca6b) ^ (this.#high >>> 13);
  }

  /** The hash so far, as 16 hexadecimal digits. */
  get digest(): string {
    return `${hexadecimal(this.#high)}${hexadecimal(this.#low)}`;
  }
}

function hexadecimal(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
