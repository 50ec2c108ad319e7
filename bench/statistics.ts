/** The figures of one run, by name. */
export type Figures = Readonly<Record<string, number>>;

/** One figure over all runs. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** The value that `part` (0 to 1) of a sorted list lies below; NaN of an empty one. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** The middle one, or the mean of the two in the middle; NaN of none. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Every figure that any of the runs has. A run without it counts for nothing there. */
export function spreadsOf(runs: readonly Figures[]): Readonly<Record<string, Spread>> {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  return Object.fromEntries(
    names.map((name) => {
      const values = runs.flatMap((run) => run[name] ?? []);
      const least = Math.min(...values);
      const most = Math.max(...values);
      return [name, { median: rounded(median(values)), least: rounded(least), most: rounded(most) }];
    }),
  );
}

/** The medians of one side's runs divided by the other's, for figures that both have and that are not 0. */
export function ratiosOf(runs: readonly Figures[], others: readonly Figures[]): Figures {
  const left = spreadsOf(runs);
  const right = spreadsOf(others);
  const ratios: Record<string, number> = {};
  for (const [name, { median: of }] of Object.entries(left)) {
    const to = right[name]?.median ?? 0;
    if (to !== 0) ratios[name] = Math.round((of / to) * 1_000) / 1_000;
  }
  return ratios;
}

/** Three digits or so: what a measurement is good for. */
export function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
