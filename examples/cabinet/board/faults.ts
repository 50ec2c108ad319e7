import { createHash } from 'node:crypto';

/** Faults that the board may make, each with the part of the publishes that it befalls, 0 to 1. */
export interface FaultRates {
  /** Answers 503, and does nothing. */
  readonly unavailable: number;
  /** Answers 429 with `Retry-After`, and does nothing. */
  readonly rateLimited: number;
  /** Answers late. */
  readonly slow: number;
  /** Does it and then cuts the connection: the caller cannot know. */
  readonly lostAnswer: number;
}

/** What befalls one publish. */
export type Fault = 'none' | keyof FaultRates;

/** No faults at all. */
export const noFaults: FaultRates = { unavailable: 0, rateLimited: 0, slow: 0, lostAnswer: 0 };

/**
 * What befalls the n-th publish of a key. Drawn from seed, key and n, so that the faults of a run are the same however its
 * publishes interleave.
 *
 * @param tryNumber - how often the key has come, from 1
 */
export function faultOf(rates: FaultRates, seed: number, key: string, tryNumber: number): Fault {
  const digest = createHash('sha256').update(`${seed} ${tryNumber} ${key}`).digest();
  let draw = digest.readUInt32BE(0) / 2 ** 32;
  for (const fault of ['unavailable', 'rateLimited', 'slow', 'lostAnswer'] as const) {
    if (draw < rates[fault]) return fault;
    draw -= rates[fault];
  }
  return 'none';
}

/** @throws RangeError for a rate outside 0 to 1, or rates that sum to more than 1 */
export function checkFaultRates(rates: FaultRates): FaultRates {
  const values = Object.entries(rates);
  const bad = values.find(([, rate]) => !(rate >= 0 && rate <= 1));
  if (bad !== undefined) throw new RangeError(`the rate of ${bad[0]} must be from 0 to 1, got ${bad[1]}`);
  const sum = values.reduce((total, [, rate]) => total + rate, 0);
  if (sum > 1) throw new RangeError(`fault rates must sum to at most 1, got ${sum}`);
  return rates;
}
