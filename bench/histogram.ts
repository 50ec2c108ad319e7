/** Values below this are counted one by one; above it, in steps of less than a thousandth of the value. */
const exactBits = 11;
const exactLimit = 2 ** exactBits;
const halfLimit = exactLimit / 2;
/** Largest value that is told apart: more than an hour of microseconds. */
export const largestValue = 2 ** 32 - 1;
const slotCount = exactLimit + (32 - exactBits) * halfLimit;

/**
 * Counts of whole numbers in log-linear slots, as an HDR histogram keeps them: exact below 2,048, within 0.1 % above, in a fixed
 * amount of memory however many are recorded. What is under 0 counts as 0, what is over {@link largestValue} as that.
 */
export class Histogram {
  readonly #slots = new Float64Array(slotCount);
  #count = 0;
  #most = 0;

  get count(): number {
    return this.#count;
  }

  /** The largest value recorded, exactly; 0 when there is none. */
  get most(): number {
    return this.#most;
  }

  record(value: number): void {
    const whole = Math.min(largestValue, Math.max(0, Math.round(value)));
    const slot = slotOf(whole);
    this.#slots[slot] = (this.#slots[slot] ?? 0) + 1;
    this.#count += 1;
    this.#most = Math.max(this.#most, whole);
  }

  /** The value that `part` (0 to 1) of all are at or below, never told as smaller than it was; NaN when there is none. */
  quantile(part: number): number {
    if (this.#count === 0) return Number.NaN;
    const rank = Math.min(this.#count, Math.max(1, Math.ceil(part * this.#count)));
    let seen = 0;
    for (let slot = 0; slot < slotCount; slot += 1) {
      seen += this.#slots[slot] ?? 0;
      if (seen >= rank) return Math.min(this.#most, highestOf(slot));
    }
    return this.#most;
  }
}

function slotOf(value: number): number {
  if (value < exactLimit) return value;
  const shift = 32 - Math.clz32(value) - exactBits;
  return exactLimit + (shift - 1) * halfLimit + ((value >>> shift) - halfLimit);
}

/** The largest value that shares the slot. */
function highestOf(slot: number): number {
  if (slot < exactLimit) return slot;
  const shift = Math.floor((slot - exactLimit) / halfLimit) + 1;
  const leading = ((slot - exactLimit) % halfLimit) + halfLimit;
  return (leading + 1) * 2 ** shift - 1;
}
