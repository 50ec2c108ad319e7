import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';

/** How long each task of a pipeline took that completed, from its submit to its end, by the clock of the journal's server. Pure. */
export function taskSpans(entries: readonly JournalEntry[], pipeline: string): readonly number[] {
  const begun = new Map<string, number>();
  const spans: number[] = [];
  for (const { storedAt, body } of entries) {
    for (const record of decodeCommit(body).records) {
      if (record.pipeline !== pipeline) continue;
      if (record.event.type === 'task.submitted') begun.set(record.task, storedAt);
      if (record.to === 'completed') spans.push(storedAt - (begun.get(record.task) ?? storedAt));
    }
  }
  return spans;
}
