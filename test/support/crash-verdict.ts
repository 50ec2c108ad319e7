import type { JournalReport } from '../../src/checking/journal-report.ts';
import type { TaskRecord } from '../../src/core/records.ts';
import type { TaskView } from '../../src/core/task-view.ts';
import type { CrashScenario } from './crash-scenarios.ts';
import type { CrashWorld } from './crash-world.ts';

/** Every promise that is broken at the end of a run, one a line; none when all hold. */
export async function verdictOf(world: CrashWorld, scenario: CrashScenario): Promise<readonly string[]> {
  const report = await world.report();
  const found = [
    ...world.failures,
    ...(await world.violations()),
    ...world.ledger.violations(),
    ...missingAnswers(world, report.records),
    ...repeatedCommands(report.records),
    ...(scenario.isBlind ? repeatedEffects(world) : []),
    ...wrongEffects(world, scenario),
    ...(await wrongViews(world, report)),
  ];
  return found;
}

/** What a caller was told is in the journal. */
function missingAnswers(world: CrashWorld, records: readonly TaskRecord[]): readonly string[] {
  return world.answered
    .filter(
      ({ taskId, commandId }) => !records.some(({ task, event }) => task === taskId && commandOf(event) === commandId),
    )
    .map(({ name, taskId, commandId }) => `${name} ${commandId} of ${taskId} was answered, and is not in the journal`);
}

/** A command takes effect once. */
function repeatedCommands(records: readonly TaskRecord[]): readonly string[] {
  const seen = new Set<string>();
  return records.flatMap(({ task, event }) => {
    const commandId = commandOf(event);
    if (commandId === null) return [];
    const name = `${task}: ${commandId}`;
    if (seen.has(name)) return [`${name} took effect twice`];
    seen.add(name);
    return [];
  });
}

function commandOf(event: TaskRecord['event']): string | null {
  return 'origin' in event ? (event.origin?.commandId ?? null) : null;
}

function repeatedEffects({ ledger }: CrashWorld): readonly string[] {
  const keys = ledger.reached.map(({ key }) => key);
  return keys
    .filter((key, index) => keys.indexOf(key) !== index)
    .map((key) => `the outside was asked again for ${key}`);
}

function wrongEffects({ ledger }: CrashWorld, { effects }: CrashScenario): readonly string[] {
  const { least, most } = typeof effects === 'number' ? { least: effects, most: effects } : effects;
  const count = ledger.appliedCount();
  return count >= least && count <= most ? [] : [`${count} effects, not ${least} to ${most}`];
}

/** The engine that came up last shows what the journal says, and every output is one that an effect gave. */
async function wrongViews(world: CrashWorld, { tasks }: JournalReport): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [taskId, state] of tasks) {
    const { value } = state.machine;
    if (value !== 'completed' && value !== 'canceled') found.push(`${taskId} is left in ${value}`);
    const view = await world.test.run(world.view(taskId));
    if (view.state !== value || view.seq !== state.seq) {
      found.push(`${taskId} is shown in ${view.state} after ${view.seq} records, not in ${value} after ${state.seq}`);
    }
    found.push(...wrongOutputs(world, view));
  }
  return found;
}

function wrongOutputs({ ledger }: CrashWorld, { taskId, outputs = {} }: TaskView): readonly string[] {
  return Object.entries(outputs).flatMap(([stage, output]) => {
    const known = ledger.outputOf(`cabinet:${taskId}:${stage}`);
    const isKnown = known !== undefined && typeof output === 'string' && output.endsWith(known);
    return isKnown ? [] : [`${taskId}/${stage}: ${JSON.stringify(output).slice(0, 80)} is not ${known}`];
  });
}
