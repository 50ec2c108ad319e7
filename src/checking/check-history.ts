import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { HistoryEvent } from './history-events.ts';
import type { History } from './history.ts';
import type { HistoryNeed, Invariant, InvariantId, Violation } from './invariant.ts';
import { invariants } from './registry.ts';
import { Story } from './story.ts';

/** Most violations of one row that are told: one cause may break a rule a hundred thousand times. */
export const maximumToldViolations = 50;

/** A row that was not judged, and what the history lacks for it. */
export interface UncheckedRow extends Pick<Invariant, 'id' | 'title'> {
  readonly missing: readonly HistoryNeed[];
}

/** What a history came to. */
export interface CheckReport {
  readonly violations: readonly Violation[];
  /** Violations that were found and not told, over {@link maximumToldViolations} of a row. */
  readonly untold: number;
  /** The invariants that were judged, at least one side of them. */
  readonly checked: readonly InvariantId[];
  readonly unchecked: readonly UncheckedRow[];
  /** The history as it was read, for what else is to be made of it. */
  readonly story: Story;
}

/**
 * Judges a history by every invariant that it has the parts for, and says which ones it lacks the parts for. Pure.
 *
 * @param options - `definitions`: the pipelines that ran; `needs`: invariants that this run is there to prove: if no side of one
 *   of them can be judged, that is a violation of it
 */
export function checkHistory(
  history: History,
  options: { readonly definitions: readonly PipelineDefinition[]; readonly needs?: readonly InvariantId[] },
): CheckReport {
  const { definitions, needs = [] } = options;
  const story = new Story(history, definitions);
  const violations: Violation[] = [];
  const unchecked: UncheckedRow[] = [];
  const checked = new Set<InvariantId>();
  let untold = 0;
  for (const invariant of invariants) {
    const { id, title } = invariant;
    const missing = invariant.needs.filter((need) => !has(history, need));
    if (missing.length > 0) {
      unchecked.push({ id, title, missing });
      continue;
    }
    checked.add(id);
    let told = 0;
    for (const breach of invariant.check(story)) {
      told += 1;
      if (told <= maximumToldViolations) violations.push({ id, ...breach });
      else untold += 1;
    }
  }
  for (const id of needs) {
    const missing = new Set(unchecked.filter((row) => row.id === id).flatMap((row) => row.missing));
    if (checked.has(id)) continue;
    violations.push({ id, says: `it could not be judged: the history has no ${[...missing].join(', ')}` });
  }
  return { violations, untold, checked: [...checked], unchecked, story };
}

function has({ parts, isHealed, bounds }: History, need: HistoryNeed): boolean {
  if (need === 'healed') return isHealed;
  return need in bounds || (parts as readonly string[]).includes(need);
}

/** A violation as one line, with the messages and times that show it. */
export function formatViolation({ id, says, sequences = [], events = [] }: Violation): string {
  const shown = [...sequences.map((sequence) => `message ${sequence}`), ...events.map((event) => showEvent(event))];
  return `${id}: ${says}${shown.length === 0 ? '' : ` (${shown.join(', ')})`}`;
}

function showEvent(event: HistoryEvent): string {
  if (event.type === 'call') return `${event.call} at ${event.invokedAt}`;
  if (event.type === 'append') return `append at ${event.sentAt}`;
  return 'at' in event ? `${event.type} at ${event.at}` : event.type;
}
