// The bytes of bench/workload.ts for those that are not the engine: five stages, an input of about 500 bytes of JSON, a result of about
// 200 bytes a stage.

/** The five stages in order. */
export const stageNames = ['parse', 'photos', 'publish', 'export', 'cleanup'] as const;

/** What each stage's driver returns: about 200 bytes of JSON. */
export const stageResult: { readonly ok: boolean; readonly note: string } = { ok: true, note: 'x'.repeat(170) };

/** An input of about 500 bytes of JSON. */
export function workloadInput(number: number): { readonly number: number; readonly text: string } {
  return { number, text: 'y'.repeat(470) };
}
