// What the engine promises of a task, said once more and in the simplest way: no journal, no actor, no machine, no time of its own.
// Written from the tables of docs/ARCHITECTURE.md and the docstrings of the commands, not from the code that it judges.

/** The stages of the reference pipeline, with what sets them apart. */
export const stages = [
  { name: 'parse', isRepeatable: true, limit: Infinity },
  // Its effect may happen once at most: nobody repeats it when its owner is gone.
  { name: 'charge', isRepeatable: false, limit: Infinity },
  { name: 'publish', isRepeatable: true, limit: 1 },
] as const;
export const maxAttempts = 2;
export const backoffMs = 1_000;

export type Status =
  'queued' | 'running' | 'backingOff' | 'held' | 'unknown' | 'completed' | 'canceled' | 'deadLettered';

/** What is kept of a stage. */
export interface ReferenceStage {
  readonly stage: string;
  status: string;
  attempts: number;
  interruptions: number;
  handovers: number;
}

/** One task. */
export interface ReferenceTask {
  readonly input: string;
  status: Status;
  index: number;
  attempt: number;
  /** Attempts of the current budget, without those that were cut off. */
  used: number;
  dueAt: number | null;
  isPausing: boolean;
  failure: string | null;
  records: number;
  readonly stages: ReferenceStage[];
  readonly outputs: Record<string, string>;
  readonly commands: Map<string, { readonly name: string; readonly state: string }>;
}

export type ControlName =
  'pause' | 'resume' | 'cancel' | 'redrive' | 'resolveDone' | 'resolveNotDone' | 'resolveFailed';
/** Where each control is legal; a pause and a resume also while a stage runs, each undoing the other. */
const legal: Readonly<Record<ControlName, readonly Status[]>> = {
  pause: ['queued', 'backingOff'],
  resume: ['held'],
  cancel: ['queued', 'running', 'backingOff', 'held', 'unknown'],
  redrive: ['deadLettered', 'unknown'],
  resolveDone: ['unknown'],
  resolveNotDone: ['unknown'],
  resolveFailed: ['unknown'],
};

/** All tasks of one node. Each method is one thing that happens, and leaves everything as it is when nothing more does by itself. */
export class ReferenceEngine {
  readonly tasks = new Map<string, ReferenceTask>();
  /** Tasks that wait for a stage with a limit, the first come first. */
  #line: string[] = [];
  /** After a restart the line stands in an order of the engine's own choice. */
  #isOrdered = true;
  /** Tells which of them the engine has let in, where the order is its own. */
  readonly #hasEntered: (id: string) => boolean;

  constructor(hasEntered: (id: string) => boolean) {
    this.#hasEntered = hasEntered;
  }

  /** Whether the order of the line is known. */
  get isOrdered(): boolean {
    return this.#isOrdered;
  }

  submit(id: string, input: string): string {
    const known = this.tasks.get(id);
    if (known !== undefined) return known.input === input ? `existing ${stateOf(known)}` : 'TASK_CONFLICT';
    const task: ReferenceTask = {
      input,
      status: 'queued',
      index: 0,
      attempt: 0,
      used: 0,
      dueAt: null,
      isPausing: false,
      failure: null,
      records: 1,
      stages: [],
      outputs: {},
      commands: new Map(),
    };
    this.tasks.set(id, task);
    this.#enter(task, 0, true);
    return `accepted ${stateOf(task)}`;
  }

  control(name: ControlName, id: string, commandId: string, now: number): string {
    const task = this.tasks.get(id);
    if (task === undefined) return 'TASK_NOT_FOUND';
    const word = name.startsWith('resolve') ? 'resolve' : name;
    const known = task.commands.get(commandId);
    if (known !== undefined) return known.name === word ? `repeated ${known.state}` : 'INVALID_ARGUMENT';
    const whileRunning =
      task.status === 'running' && ((name === 'pause' && !task.isPausing) || (name === 'resume' && task.isPausing));
    if (!whileRunning && !legal[name].includes(task.status)) return 'NOT_ALLOWED';
    task.records += 1;
    if (whileRunning) task.isPausing = name === 'pause';
    else this.#change(task, name, now);
    // What the command itself led to: what follows by itself comes after the answer.
    const state = stateOf(task);
    task.commands.set(commandId, { name: word, state });
    this.#letIn();
    return `done ${state}`;
  }

  finish(id: string, output: string): void {
    const task = this.#running(id);
    this.#complete(task, output);
    this.#letIn();
  }

  fail(id: string, isRetryable: boolean, now: number): void {
    const task = this.#running(id);
    task.records += 1;
    task.failure = isRetryable ? 'retryable' : 'fatal';
    if (!isRetryable || task.used >= maxAttempts) this.#move(task, 'deadLettered');
    else {
      task.dueAt = now + backoffMs;
      this.#move(task, task.isPausing ? 'held' : 'backingOff', { keepsDue: true });
      task.isPausing = false;
    }
    this.#letIn();
  }

  /** Backoffs end, one after the other. */
  pass(now: number): void {
    const due = [...this.tasks.values()].filter(
      ({ status, dueAt }) => status === 'backingOff' && (dueAt ?? now) <= now,
    );
    for (const task of due.toSorted((left, right) => (left.dueAt ?? 0) - (right.dueAt ?? 0))) {
      task.records += 1;
      task.dueAt = null;
      if (this.#isFree(task.index)) this.#start(task);
      else this.#await(task);
    }
    this.#letIn();
  }

  /** The owner is lost, or hands over: what runs is cut off, and another process goes on. */
  restart(isLoss: boolean, now: number): void {
    for (const task of this.tasks.values()) {
      if (task.status !== 'running') continue;
      const progress = task.stages.at(-1) as ReferenceStage;
      task.records += 1;
      task.used -= 1;
      if (isLoss) progress.interruptions += 1;
      else progress.handovers += 1;
      if (stages[task.index]?.isRepeatable !== true) this.#move(task, 'unknown', { keepsPause: true });
      else if (task.isPausing) this.#move(task, 'held');
      else this.#await(task);
    }
    this.#isOrdered = false;
    this.#letIn();
    this.pass(now);
  }

  #change(task: ReferenceTask, name: ControlName, now: number): void {
    switch (name) {
      case 'pause':
        return this.#move(task, 'held', { keepsDue: true });
      case 'resume':
        return task.dueAt !== null && task.dueAt > now
          ? this.#move(task, 'backingOff', { keepsDue: true })
          : this.#await(task);
      case 'cancel':
        return this.#move(task, 'canceled');
      case 'redrive':
        task.used = 0;
        return this.#await(task);
      case 'resolveDone':
        task.records -= 1; // The completion counts it.
        return this.#complete(task, 'resolved');
      case 'resolveNotDone':
        return task.isPausing ? this.#move(task, 'held') : this.#await(task);
      case 'resolveFailed':
        task.failure = 'fatal';
        return this.#move(task, 'deadLettered');
      default:
        return name satisfies never;
    }
  }

  #complete(task: ReferenceTask, output: string): void {
    task.records += 1;
    task.outputs[stages[task.index]?.name ?? ''] = output;
    (task.stages.at(-1) as ReferenceStage).status = 'completed';
    const wasPausing = task.isPausing;
    task.isPausing = false;
    task.failure = null;
    task.dueAt = null;
    if (task.index + 1 === stages.length) task.status = 'completed';
    else this.#enter(task, task.index + 1, !wasPausing);
  }

  /** The task comes to a stage: it starts at once where it may. */
  #enter(task: ReferenceTask, index: number, mayStart: boolean): void {
    Object.assign(task, { status: 'queued', index, attempt: 0, used: 0 });
    task.stages.push({ stage: stages[index]?.name ?? '', status: '', attempts: 0, interruptions: 0, handovers: 0 });
    if (!mayStart) this.#move(task, 'held');
    else if (this.#isFree(index)) this.#start(task);
    else this.#await(task);
  }

  #start(task: ReferenceTask): void {
    task.attempt += 1;
    task.used += 1;
    this.#move(task, 'running');
    (task.stages.at(-1) as ReferenceStage).attempts += 1;
  }

  #await(task: ReferenceTask): void {
    this.#move(task, 'queued');
    this.#line.push(this.#idOf(task));
  }

  #move(
    task: ReferenceTask,
    status: Status,
    keep: { readonly keepsDue?: boolean; readonly keepsPause?: boolean } = {},
  ): void {
    const id = this.#idOf(task);
    this.#line = this.#line.filter((waiting) => waiting !== id);
    task.status = status;
    if (keep.keepsDue !== true) task.dueAt = null;
    if (keep.keepsPause !== true && status !== 'backingOff') task.isPausing = false;
    (task.stages.at(-1) as ReferenceStage).status = status === 'deadLettered' ? 'failed' : status;
  }

  /** Who waits is let in, as far as the limits allow. */
  #letIn(): void {
    for (;;) {
      const free = this.#line.filter((id) => this.#isFree(this.tasks.get(id)?.index ?? 0));
      if (free.length === 0) break;
      const limited = free.filter((id) => stages[this.tasks.get(id)?.index ?? 0]?.limit !== Infinity);
      const chosen = this.#isOrdered ? undefined : limited.find((id) => this.#hasEntered(id));
      const id = chosen ?? free[0] ?? '';
      const task = this.tasks.get(id) as ReferenceTask;
      task.records += 1;
      this.#start(task);
    }
    if (this.#line.length === 0) this.#isOrdered = true;
  }

  #isFree(index: number): boolean {
    const running = [...this.tasks.values()].filter((task) => task.status === 'running' && task.index === index);
    return running.length < (stages[index]?.limit ?? 0);
  }

  #running(id: string): ReferenceTask {
    const task = this.tasks.get(id);
    if (task?.status !== 'running') throw new Error(`task ${id} does not run`);
    return task;
  }

  #idOf(task: ReferenceTask): string {
    for (const [id, known] of this.tasks) if (known === task) return id;
    return '';
  }
}

/** The state's name, such as `parse.running`. */
export function stateOf({ status, index }: ReferenceTask): string {
  const { name } = stages[index] ?? { name: '' };
  if (status === 'completed' || status === 'canceled') return status;
  return status === 'deadLettered' ? `deadLettered.${name}` : `${name}.${status}`;
}

/** The controls that a task takes now, in the order in which the engine names them. */
export function legalControls({ status, isPausing }: ReferenceTask): string[] {
  if (status === 'running') return [isPausing ? 'resume' : 'pause', 'cancel'];
  const names: readonly ControlName[] = ['pause', 'resume', 'cancel', 'redrive', 'resolveDone'];
  return names.filter((name) => legal[name].includes(status)).map((name) => name.replace('Done', ''));
}
