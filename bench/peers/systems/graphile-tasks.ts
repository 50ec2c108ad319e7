/** What a job of a stage carries. */
export interface StageJob {
  readonly number: number;
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
}

/** The channel on which the worker tells of finished tasks: numbers, separated by commas. */
export const doneChannel = 'bench_done';
