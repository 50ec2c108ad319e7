import { positionOf } from '../../src/actors/task-state.ts';
import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import type { CallEvent } from '../../src/checking/history-events.ts';
import type { InvariantId } from '../../src/checking/invariant.ts';
import type { Story } from '../../src/checking/story.ts';
import { finishedStatuses } from '../../src/core/task-view.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { LedgerFacts } from '../../test/support/ledger.ts';
import type { Fault } from './event-log.ts';
import type { LoadFigures } from './load-figures.ts';
import { percentile } from './percentiles.ts';
import { pipelines } from './pipelines.ts';
import { runHistory } from './run-history.ts';
import type { ScenarioResult } from './scenario.ts';
import { takeoverTimes } from './takeovers.ts';

/** Broken rules that are told in full. */
const toldViolations = 20;

/** What every run is there to prove: that it could not be judged is a red run too. */
const needs: readonly InvariantId[] = ['I1', 'I2', 'I3', 'I6', 'I8', 'I9', 'I11', 'I12', 'I13', 'I15', 'I16', 'I40'];

/** What a scenario read back when all was healed. */
export interface Facts {
  readonly namespace: string;
  readonly shardCount: number;
  readonly load: LoadFigures;
  /** Every command of every caller. */
  readonly calls: readonly CallEvent[];
  readonly entries: readonly JournalEntry[];
  readonly ledger: LedgerFacts;
  readonly faults: readonly Fault[];
  /** Appends of superseded owners that the server refused, by the nodes' own counters. */
  readonly refusedAppends: number;
}

/** What all scenarios measure. */
export interface Verdict {
  /** Tasks that were accepted: each is a promise. */
  readonly tasks: number;
  /** Of those, how many completed, by the journal. */
  readonly completed: number;
  /** Of those, how many had not ended after healing, by the journal or for their caller. */
  readonly lost: number;
  /** Stages that were recorded as completed more than once. */
  readonly repeated: number;
  /** Effects that changed the world more than once. */
  readonly duplicateEffects: number;
  readonly faults: number;
  readonly takeoverMsP50: number | null;
  readonly takeoverMsMax: number | null;
  /** Tasks that were taken over while they ran. */
  readonly takeovers: number;
  readonly refusedAppends: number;
  readonly records: number;
  /** Takings of shards, each with an epoch of its own. */
  readonly epochs: number;
  readonly parkedAndResolved: number;
  readonly callerErrors: Readonly<Record<string, number>>;
  readonly lateErrors: number;
  readonly submitMsP50: number | null;
  readonly submitMsP99: number | null;
  readonly submitMsMax: number | null;
  readonly endMsP50: number | null;
  readonly endMsP99: number | null;
  readonly endMsMax: number | null;
  /** Invariants that were judged. */
  readonly invariants: number;
  /** Each broken rule in one line, with the invariant's number where it is one; the first of them. */
  readonly violations: readonly string[];
  readonly ok: boolean;
}

/**
 * Judges a run by what was read back: the accepted ids, the whole journal, the world. Pure.
 *
 * @param rules - `mayFail`: tasks may end without completing, as where a driver has broken what its process runs on
 */
export function judge(facts: Facts, { mayFail = false }: { readonly mayFail?: boolean } = {}): Verdict {
  const { load, ledger, faults } = facts;
  const history = runHistory({ ...facts, isHealed: !mayFail });
  const report = checkHistory(history, { definitions: pipelines, needs });
  const { story } = report;
  const ids = load.accepted.map(([taskId]) => taskId);
  const states = new Map(ids.map((id) => [id, stateOf(story, id)]));
  const open = new Set([...load.open, ...ids.filter((id) => !isEnded(states.get(id)))]);
  const failed = ids.filter((id) => isEnded(states.get(id)) && states.get(id) !== 'completed');
  const takeovers = takeoverTimes(facts.entries, faults);
  const violations = [
    ...report.violations.map(formatViolation),
    ...[...open].map((id) => `task ${id} was accepted and is lost: ${states.get(id) ?? 'not in the journal'}`),
    ...(mayFail
      ? []
      : failed.map((id) => `task ${id} ended as ${states.get(id)}: ${story.taskOf(id)?.failure?.message ?? ''}`)),
    ...(mayFail ? [] : load.failed),
    ...(load.lateErrors === 0 ? [] : [`${load.lateErrors} calls failed later than their deadline`]),
  ];
  const { submitMsP50, submitMsP99, submitMsMax, endMsP50, endMsP99, endMsMax, callerErrors, lateErrors } = load;
  return {
    tasks: ids.length,
    completed: ids.filter((id) => states.get(id) === 'completed').length,
    lost: open.size,
    repeated: report.violations.filter(({ id }) => id === 'I8').length,
    duplicateEffects: ledger.duplicates.length,
    faults: faults.length,
    takeoverMsP50: percentile(takeovers, 0.5),
    takeoverMsMax: percentile(takeovers, 1),
    takeovers: takeovers.length,
    refusedAppends: facts.refusedAppends,
    records: story.steps.length,
    epochs: story.claims.length,
    parkedAndResolved: load.resolved,
    callerErrors,
    lateErrors,
    submitMsP50,
    submitMsP99,
    submitMsMax,
    endMsP50,
    endMsP99,
    endMsMax,
    invariants: report.checked.length,
    violations: violations.slice(0, toldViolations),
    ok: violations.length === 0 && ids.length > 0,
  };
}

/** The results of a scenario's parts as one: counts are sums, times are those of the first part, and all parts stand beside. Pure. */
export function joinParts(parts: Readonly<Record<string, ScenarioResult>>): ScenarioResult {
  const all = Object.values(parts);
  const [first] = all;
  if (first === undefined) throw new Error('a scenario has at least one part');
  const sum = (count: (part: ScenarioResult) => number): number => all.reduce((total, part) => total + count(part), 0);
  return {
    ...first,
    tasks: sum(({ tasks }) => tasks),
    completed: sum(({ completed }) => completed),
    lost: sum(({ lost }) => lost),
    repeated: sum(({ repeated }) => repeated),
    duplicateEffects: sum(({ duplicateEffects }) => duplicateEffects),
    faults: sum(({ faults }) => faults),
    takeovers: sum(({ takeovers }) => takeovers),
    refusedAppends: sum(({ refusedAppends }) => refusedAppends),
    records: sum(({ records }) => records),
    epochs: sum(({ epochs }) => epochs),
    lateErrors: sum(({ lateErrors }) => lateErrors),
    violations: Object.entries(parts).flatMap(([name, part]) => part.violations.map((line) => `${name}: ${line}`)),
    ok: all.every(({ ok }) => ok),
    parts,
  };
}

function stateOf(story: Story, taskId: string): string | undefined {
  return story.taskOf(taskId)?.machine.value;
}

function isEnded(state: string | undefined): boolean {
  if (state === undefined) return false;
  const { status } = positionOf(state);
  return finishedStatuses.includes(status) || status === 'deadLettered';
}
