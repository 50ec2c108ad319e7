/** Arrivals at a fixed rate: as many as `count`, the first at once. */
export interface RateSchedule {
  readonly ratePerSecond: number;
  readonly count: number;
}

/** When arrival `index` is meant to be, in milliseconds after the first; whatever became of those before it. */
export function intendedMs({ ratePerSecond }: RateSchedule, index: number): number {
  return (index * 1_000) / ratePerSecond;
}

/** How many arrivals are due so long after the first one was. */
export function dueCount({ ratePerSecond, count }: RateSchedule, elapsedMs: number): number {
  if (elapsedMs < 0) return 0;
  return Math.min(count, Math.floor((elapsedMs * ratePerSecond) / 1_000) + 1);
}

/** The schedule of so many seconds. */
export function scheduleOf(ratePerSecond: number, seconds: number): RateSchedule {
  return { ratePerSecond, count: Math.max(1, Math.round(ratePerSecond * seconds)) };
}
