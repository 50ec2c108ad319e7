import { unreachable } from '../core/errors.ts';
import type { Epoch, Millis, NodeId, StageName, TaskId } from '../core/ids.ts';
import type { TaskCommandName, TaskView } from '../core/task-view.ts';
import { holdsOf, type ExplainedStage, type ExplainedTask, type Hold } from './task-hold.ts';
import { movesOf, type TaskMove } from './task-moves.ts';

/** Who can make the task go on. */
export type Mover = 'itself' | 'driver' | 'operator' | 'cluster' | 'nobody';

/** Where what is told of the task comes from: its owner, or, while there is none, what is recorded of it. */
export type ExplanationSource = 'owner' | 'index' | 'journal';

/** Why a task stands where it stands. */
export interface TaskExplanation {
  readonly taskId: TaskId;
  readonly state: string;
  readonly status: TaskView['status'];
  readonly stage: StageName | null;
  readonly source: ExplanationSource;
  readonly owner: { readonly node: NodeId; readonly epoch: Epoch } | null;
  /** One plain sentence. */
  readonly sentence: string;
  readonly holds: readonly Hold[];
  /** The first is the nearest. */
  readonly movers: readonly Mover[];
  /** The earliest time at which it goes on by itself; null: not by itself, or nobody can tell. */
  readonly movesAt: Millis | null;
  readonly legalCommands: readonly TaskCommandName[];
  /** Those commands as they are typed. */
  readonly moves: readonly TaskMove[];
  /** The events that the machine takes in this state; empty also when nobody who was asked knows the machine. */
  readonly legalEvents: readonly string[];
}

/** What is known beside the task. */
export interface ExplanationContext {
  readonly now: Millis;
  readonly source: ExplanationSource;
  readonly owner?: TaskExplanation['owner'];
  /** What is known of a missing owner; left out when there is one. */
  readonly absence?: Pick<Extract<Hold, { kind: 'noOwner' }>, 'expected' | 'why'>;
  /** Of the stage's definition, where it is at hand: for what the owner does not tell. */
  readonly stage?: ExplainedStage;
  /** As {@link stage}, of the machine. */
  readonly legalEvents?: readonly string[];
}

/** Why the task stands where it stands, and what moves it. Pure. */
export function explainTask(task: ExplainedTask, context: ExplanationContext): TaskExplanation {
  const { now, source, owner = null, absence = null } = context;
  const holds = holdsOf(task, task.outlook?.stage ?? context.stage, absence);
  const movers = moversOf(holds, task.legalCommands);
  return {
    taskId: task.taskId,
    state: task.state,
    status: task.status,
    stage: task.stage,
    source,
    owner,
    sentence: sentenceOf(task, holds, now),
    holds,
    movers,
    movesAt: movers[0] === 'itself' ? movesAtOf(holds, now) : null,
    legalCommands: task.legalCommands,
    moves: movesOf(task.taskId, task.legalCommands),
    legalEvents: task.outlook?.legalEvents ?? context.legalEvents ?? [],
  };
}

function moverOf(hold: Hold): Mover {
  switch (hold.kind) {
    case 'limit':
    case 'turn':
    case 'suspect':
    case 'breaker':
    case 'timer':
      return 'itself';
    case 'driver':
      return 'driver';
    case 'unknownOutcome':
      return hold.lookup === 'asking' || hold.lookup === 'inLine' ? 'driver' : 'operator';
    case 'pause':
    case 'deadLetter':
      return 'operator';
    case 'noOwner':
    case 'handover':
      return 'cluster';
    case 'ended':
      return 'nobody';
    default:
      return unreachable(hold);
  }
}

function moversOf(holds: readonly Hold[], legalCommands: readonly TaskCommandName[]): readonly Mover[] {
  // A pause that is asked for does not hold it yet.
  const movers = new Set(holds.filter((hold) => hold.kind !== 'pause' || !hold.isPending).map(moverOf));
  if (legalCommands.length > 0) movers.add('operator');
  return [...movers];
}

/** All that has a time must be over; how long anything else takes, nobody can tell. */
function movesAtOf(holds: readonly Hold[], now: Millis): Millis | null {
  const times = holds.flatMap((hold): (Millis | null)[] => {
    switch (hold.kind) {
      case 'timer':
        return [hold.dueAt];
      case 'breaker':
        return [hold.probeAt];
      case 'turn':
        return [now];
      case 'pause':
        return [];
      default:
        return [null];
    }
  });
  const known = times.filter((time) => time !== null);
  return known.length === 0 || known.length < times.length ? null : Math.max(now, ...known);
}

function sentenceOf(task: ExplainedTask, holds: readonly Hold[], now: Millis): string {
  const [first, ...others] = holds;
  const stage = task.stage === null ? 'the task' : `stage ${task.stage}`;
  if (first === undefined) return `The task is in ${task.state}.`;
  const sentences = [firstSentence(first, task, stage, now)];
  for (const hold of others) {
    if (hold.kind === 'breaker') sentences.push(`Besides, ${portSentence(hold, now)}`);
    if (hold.kind === 'limit' && hold.of !== null) sentences.push(`Besides, ${limitSentence(hold, stage)}`);
    if (hold.kind === 'pause') {
      sentences.push('An operator has asked for a pause; it takes hold before the next start.');
    }
  }
  return sentences.join(' ');
}

function firstSentence(hold: Hold, task: ExplainedTask, stage: string, now: Millis): string {
  switch (hold.kind) {
    case 'ended':
      return task.status === 'completed' ? 'The task has completed.' : 'The task was canceled.';
    case 'noOwner': {
      const known = [
        hold.expected === null ? null : `node ${hold.expected} should have it`,
        hold.why === null ? null : hold.why,
      ].filter((part) => part !== null);
      const more = known.length === 0 ? '' : ` (${known.join('; ')})`;
      return `Nobody serves shard ${task.shard} now; a node takes it over by itself${more}.`;
    }
    case 'handover':
      return `Shard ${task.shard} is handed over; its next owner starts ${stage}.`;
    case 'limit':
      return capital(limitSentence(hold, stage));
    case 'turn':
      return `${capital(stage)} starts when its turn comes; nothing else is in its way.`;
    case 'suspect':
      return (
        `${capital(stage)} ran at ${hold.losses} losses of its node, so it starts ` +
        `${hold.isAlone ? 'when no other suspect runs' : 'when the suspect before it has passed its probation'}.`
      );
    case 'breaker':
      return `${capital(stage)} is held back: ${portSentence(hold, now)}`;
    case 'timer':
      return `${capital(stage)} failed at attempt ${task.attempt} and goes on in ${secondsUntil(hold.dueAt, now)} s.`;
    case 'driver':
      return `The driver of ${stage} works on attempt ${task.attempt}.`;
    case 'pause':
      return hold.isPending
        ? 'An operator has asked for a pause; it takes hold before the next start.'
        : 'An operator holds the task; it goes on when somebody resumes it.';
    case 'unknownOutcome':
      return unknownSentence(hold, stage);
    case 'deadLetter':
      return `${capital(stage)} was given up (${hold.code ?? hold.failureClass ?? 'no failure'}); an operator can redrive it.`;
    default:
      return unreachable(hold);
  }
}

function limitSentence(hold: Extract<Hold, { kind: 'limit' }>, stage: string): string {
  switch (hold.of) {
    case 'stage':
      return `${stage} waits for a free slot: ${hold.running ?? 0} of it run on its node, and ${hold.limit ?? 0} may.`;
    case 'node':
      return `${stage} waits for a free slot: its node runs ${hold.running ?? 0} stages, and ${hold.limit ?? 0} may.`;
    case null:
      return `${stage} waits for a free slot.`;
    default:
      return unreachable(hold.of);
  }
}

function portSentence({ port, probeAt }: Extract<Hold, { kind: 'breaker' }>, now: Millis): string {
  const next =
    probeAt === null ? 'one attempt tries it now' : `one attempt tries it in ${secondsUntil(probeAt, now)} s`;
  return `its integration ${port} fails, and ${next}.`;
}

function unknownSentence({ lookup }: Extract<Hold, { kind: 'unknownOutcome' }>, stage: string): string {
  const known = `Its owner was lost under ${stage}, and nobody knows whether it took effect`;
  switch (lookup) {
    case 'asking':
      return `${known}: its driver is being asked.`;
    case 'inLine':
      return `${known}: its driver is asked when the lookups before it have ended, for its lookup may be what ends nodes.`;
    case 'none':
    case null:
      return `${known}: an operator must say.`;
    default:
      return unreachable(lookup);
  }
}

function secondsUntil(at: Millis, now: Millis): number {
  return Math.max(0, Math.ceil((at - now) / 1_000));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
