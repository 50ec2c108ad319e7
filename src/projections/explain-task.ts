import { unreachable } from '../core/errors.ts';
import type { Millis, StageName, TaskId } from '../core/ids.ts';
import type { TaskCommandName, TaskView } from '../core/task-view.ts';

/** What keeps a task from going on at once. */
export type Hold =
  /** The stage waits for a free slot of its node, or of its own concurrency limit. */
  | { readonly kind: 'limit'; readonly concurrency: number | null }
  /** The integration of the stage fails, and its node holds attempts back. */
  | { readonly kind: 'breaker'; readonly port: string }
  /** A backoff runs. */
  | { readonly kind: 'timer'; readonly dueAt: Millis }
  /** A driver works on it. */
  | { readonly kind: 'driver'; readonly timeoutMs: number | null }
  /** An operator holds it, or will before its next start. */
  | { readonly kind: 'pause'; readonly isPending: boolean }
  /** Nobody knows whether the interrupted stage took effect. */
  | { readonly kind: 'unknownOutcome' }
  /** It was given up. */
  | { readonly kind: 'deadLetter'; readonly failureClass: string | null; readonly code: string | null }
  /** Nobody serves its shard at this moment. */
  | { readonly kind: 'noOwner' }
  /** It has ended for good. */
  | { readonly kind: 'ended' };

/** What of a task an explanation is made of: its owner's view, or what the index has while there is no owner. */
export interface ExplainedTask extends Pick<
  TaskView,
  'taskId' | 'shard' | 'state' | 'status' | 'stage' | 'attempt' | 'dueAt' | 'pausing' | 'legalCommands'
> {
  readonly failure: { readonly class: string; readonly code: string | null } | null;
}

/** Who can make the task go on. */
export type Mover = 'itself' | 'driver' | 'operator' | 'cluster' | 'nobody';

/** Why a task stands where it stands. */
export interface TaskExplanation {
  readonly taskId: TaskId;
  readonly state: string;
  readonly status: TaskView['status'];
  readonly stage: StageName | null;
  /** One plain sentence. */
  readonly sentence: string;
  readonly holds: readonly Hold[];
  /** The first is the nearest. */
  readonly movers: readonly Mover[];
  /** The earliest time at which it goes on by itself; null: not by itself, or nobody can tell. */
  readonly movesAt: Millis | null;
  readonly legalCommands: readonly TaskCommandName[];
  /** The events that the machine takes in this state. */
  readonly legalEvents: readonly string[];
}

/** What is known beside the task. */
export interface ExplanationContext {
  readonly now: Millis;
  /** Whether somebody serves the shard; null: not known. */
  readonly hasOwner: boolean | null;
  /** Of the stage's definition, where it is known. */
  readonly stage?: {
    readonly concurrency: number | null;
    readonly port: string | null;
    readonly timeoutMs: number;
  };
  /** Of the machine, where it is known. */
  readonly legalEvents?: readonly string[];
  /** Ports that are known to fail. */
  readonly openBreakers?: ReadonlySet<string>;
}

/** Why the task stands where it stands, and what moves it. Pure. */
export function explainTask(task: ExplainedTask, context: ExplanationContext): TaskExplanation {
  const holds = holdsOf(task, context);
  const movers = moversOf(holds, task.legalCommands);
  return {
    taskId: task.taskId,
    state: task.state,
    status: task.status,
    stage: task.stage,
    sentence: sentenceOf(task, holds, context.now),
    holds,
    movers,
    movesAt: movers[0] === 'itself' ? movesAtOf(holds, context.now) : null,
    legalCommands: task.legalCommands,
    legalEvents: context.legalEvents ?? [],
  };
}

function holdsOf(task: ExplainedTask, context: ExplanationContext): readonly Hold[] {
  const holds: Hold[] = [];
  if (task.status === 'completed' || task.status === 'canceled') return [{ kind: 'ended' }];
  if (context.hasOwner === false) holds.push({ kind: 'noOwner' });
  const { stage } = context;
  switch (task.status) {
    case 'queued':
      holds.push({ kind: 'limit', concurrency: stage?.concurrency ?? null });
      break;
    case 'running':
      holds.push({ kind: 'driver', timeoutMs: stage?.timeoutMs ?? null });
      break;
    case 'backingOff':
      if (task.dueAt !== null) holds.push({ kind: 'timer', dueAt: task.dueAt });
      break;
    case 'held':
      holds.push({ kind: 'pause', isPending: false });
      break;
    case 'unknown':
      holds.push({ kind: 'unknownOutcome' });
      break;
    case 'deadLettered':
      holds.push({ kind: 'deadLetter', failureClass: task.failure?.class ?? null, code: task.failure?.code ?? null });
      break;
  }
  const port = stage?.port ?? null;
  const mayStart = task.status === 'queued' || task.status === 'backingOff';
  if (mayStart && port !== null && context.openBreakers?.has(port) === true) holds.push({ kind: 'breaker', port });
  if (task.pausing) holds.push({ kind: 'pause', isPending: true });
  return holds;
}

const moverByHold: { readonly [Kind in Hold['kind']]: Mover } = {
  limit: 'itself',
  breaker: 'itself',
  timer: 'itself',
  driver: 'driver',
  pause: 'operator',
  unknownOutcome: 'operator',
  deadLetter: 'operator',
  noOwner: 'cluster',
  ended: 'nobody',
};

function moversOf(holds: readonly Hold[], legalCommands: readonly TaskCommandName[]): readonly Mover[] {
  // A pause that is asked for does not hold it yet.
  const found = holds.filter((hold) => hold.kind !== 'pause' || !hold.isPending).map((hold) => moverByHold[hold.kind]);
  const movers = new Set<Mover>(found);
  if (legalCommands.length > 0) movers.add('operator');
  return [...movers];
}

function movesAtOf(holds: readonly Hold[], now: Millis): Millis | null {
  const timer = holds.find((hold) => hold.kind === 'timer');
  // How long a slot or a broken integration takes, nobody can tell.
  if (holds.some(({ kind }) => kind === 'limit' || kind === 'breaker')) return null;
  return timer?.kind === 'timer' ? Math.max(timer.dueAt, now) : null;
}

function sentenceOf(task: ExplainedTask, holds: readonly Hold[], now: Millis): string {
  const [first] = holds;
  const stage = task.stage === null ? 'the task' : `stage ${task.stage}`;
  const pending = task.pausing ? ' An operator has asked for a pause; it takes hold before the next start.' : '';
  switch (first?.kind) {
    case undefined:
      return `The task is in ${task.state}.${pending}`;
    case 'ended':
      return task.status === 'completed' ? 'The task has completed.' : 'The task was canceled.';
    case 'noOwner':
      return `Nobody serves shard ${task.shard} now; a node takes it over by itself.`;
    case 'limit':
      return `${capital(stage)} waits for a free slot.${pending}`;
    case 'breaker':
      return `The integration ${first.port} of ${stage} fails; attempts are held back.${pending}`;
    case 'timer':
      return `${capital(stage)} failed at attempt ${task.attempt} and goes on in ${secondsUntil(first.dueAt, now)} s.${pending}`;
    case 'driver':
      return `The driver of ${stage} works on attempt ${task.attempt}.${pending}`;
    case 'pause':
      return 'An operator holds the task; it goes on when he resumes it.';
    case 'unknownOutcome':
      return `The owner died under ${stage}, and nobody can tell whether it took effect: an operator must say.`;
    case 'deadLetter':
      return `${capital(stage)} was given up (${first.code ?? first.failureClass ?? 'no failure'}); an operator can redrive it.`;
    default:
      return unreachable(first);
  }
}

function secondsUntil(at: Millis, now: Millis): number {
  return Math.max(0, Math.ceil((at - now) / 1_000));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
