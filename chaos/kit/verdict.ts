import { positionOf } from '../../src/actors/task-state.ts';
import type { TaskId } from '../../src/core/ids.ts';
import { finishedStatuses } from '../../src/core/task-view.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import { checkEffects, type LedgerFacts } from '../../test/support/effects-checker.ts';
import { checkJournal, type JournalReport } from '../../test/support/journal-checker.ts';
import type { Fault } from './event-log.ts';
import type { LoadFigures } from './load-figures.ts';
import { percentile } from './percentiles.ts';
import { pipelines } from './pipelines.ts';
import { poisonPipeline } from './poison-pipeline.ts';
import type { ScenarioResult } from './scenario.ts';
import { takeoverTimes } from './takeovers.ts';

/** Broken rules that are told in full. */
const toldViolations = 20;

/** What a scenario read back when all was healed. */
export interface Facts {
  readonly namespace: string;
  readonly load: LoadFigures;
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
  /** Each broken rule in one line, the first of them. */
  readonly violations: readonly string[];
  readonly ok: boolean;
}

/**
 * Judges a run by what was read back: the accepted ids, the whole journal, the world. Pure.
 *
 * @param rules - `mayFail`: tasks may end without completing, as where a driver has broken what its process runs on
 */
export function judge(facts: Facts, { mayFail = false }: { readonly mayFail?: boolean } = {}): Verdict {
  const { load, ledger, namespace, faults } = facts;
  const report = checkJournal(facts.entries, pipelines);
  const ids = load.accepted.map(([taskId]) => taskId);
  const states = new Map(ids.map((id) => [id, stateOf(report, id)]));
  const open = new Set([...load.open, ...ids.filter((id) => !isEnded(states.get(id)))]);
  const failed = ids.filter((id) => isEnded(states.get(id)) && states.get(id) !== 'completed');
  const takeovers = takeoverTimes(facts.entries, faults);
  const violations = [
    ...report.violations,
    ...checkEffects(ledger, { ...report, tasks: tasksWithEffects(report) }, namespace),
    ...[...open].map((id) => `task ${id} was accepted and is lost: ${states.get(id) ?? 'not in the journal'}`),
    ...(mayFail
      ? []
      : failed.map(
          (id) => `task ${id} ended as ${states.get(id)}: ${report.tasks.get(id as TaskId)?.failure?.message ?? ''}`,
        )),
    ...(mayFail ? [] : load.failed),
    ...(load.lateErrors === 0 ? [] : [`${load.lateErrors} calls failed later than their deadline`]),
  ];
  const { submitMsP50, submitMsP99, submitMsMax, endMsP50, endMsP99, endMsMax, callerErrors, lateErrors } = load;
  return {
    tasks: ids.length,
    completed: ids.filter((id) => states.get(id) === 'completed').length,
    lost: open.size,
    repeated: report.violations.filter((line) => line.includes(' completes ')).length,
    duplicateEffects: ledger.duplicates.length,
    faults: faults.length,
    takeoverMsP50: percentile(takeovers, 0.5),
    takeoverMsMax: percentile(takeovers, 1),
    takeovers: takeovers.length,
    refusedAppends: facts.refusedAppends,
    records: report.records.length,
    epochs: report.claims.length,
    parkedAndResolved: load.resolved,
    callerErrors,
    lateErrors,
    submitMsP50,
    submitMsP99,
    submitMsMax,
    endMsP50,
    endMsP99,
    endMsMax,
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

/** Poison changes nothing in the ledger. */
function tasksWithEffects({ tasks }: JournalReport): JournalReport['tasks'] {
  return new Map([...tasks].filter(([, { pipeline }]) => pipeline !== poisonPipeline.name));
}

function stateOf(report: JournalReport, taskId: string): string | undefined {
  return report.tasks.get(taskId as TaskId)?.machine.value;
}

function isEnded(state: string | undefined): boolean {
  if (state === undefined) return false;
  const { status } = positionOf(state);
  return finishedStatuses.includes(status) || status === 'deadLettered';
}
