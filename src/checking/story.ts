import { positionOf, type TaskState } from '../actors/task-state.ts';
import type { Epoch, Millis, Sequence, ShardId, StageName, TaskId } from '../core/ids.ts';
import type { Payload, TaskRecord } from '../core/records.ts';
import type { StageControl } from '../pipeline/control.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import { PipelineRegistry } from '../pipeline/registry.ts';
import type { HistoryEvent, HistoryEventOf } from './history-events.ts';
import type { History, HistoryEntry } from './history.ts';
import { completionIn, replayRecord, type ReplayFault } from './replay-fault.ts';
import { stateHash } from './state-hash.ts';

/** Where in the journal something stands. */
export interface JournalPlace {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly sequence: Sequence;
  /** When the store took it. */
  readonly at: Millis;
}

/** A record with what replay made of it. */
export interface Step extends JournalPlace {
  readonly record: TaskRecord;
  /** The machine's state and control before it; null for a first record. */
  readonly from: string | null;
  readonly before: StageControl | null;
  /** The control after it; null when it could not be replayed. */
  readonly after: StageControl | null;
}

/** A start of an attempt as the journal tells it. */
export interface StageStart extends JournalPlace {
  readonly task: TaskId;
  readonly stage: StageName;
  readonly attempt: number;
  /** When its owner decided it, by the owner's clock. */
  readonly decidedAt: Millis;
}

/** A recorded result of a stage. */
export interface Completion extends JournalPlace {
  readonly task: TaskId;
  readonly stage: StageName;
  readonly attempt: number;
  readonly output: Payload;
  readonly by: 'driver' | 'lookup' | 'operator';
}

/** One taking of a shard. */
export interface Claim extends JournalPlace {
  readonly node: string;
  readonly incarnation: string;
}

/** A record that cannot be what happened next. */
export interface FaultyStep extends JournalPlace {
  readonly record: TaskRecord;
  readonly fault: ReplayFault;
}

/** The commands that a task remembers when the history does not say. */
const usualDedupWindowSize = 32;

/**
 * A history that was read once from its first message to its last: the journal replayed, its starts, results and claims found,
 * and the events sorted by type. All that the invariants lean on, so that each needs to look at nothing twice.
 */
export class Story {
  readonly history: History;
  readonly steps: Step[] = [];
  /** The first fault of each task that has one: what comes after it says nothing more. */
  readonly faults: FaultyStep[] = [];
  readonly starts: StageStart[] = [];
  readonly completions: Completion[] = [];
  readonly claims: Claim[] = [];
  /** Every task as replay leaves it. */
  readonly tasks = new Map<TaskId, TaskState>();
  readonly #registry: PipelineRegistry;
  readonly #dedupWindowSize: number;
  readonly #events = new Map<HistoryEvent['type'], HistoryEvent[]>();
  readonly #faulty = new Set<string>();
  readonly #startsByAttempt = new Map<string, StageStart>();
  readonly #completionsByStage = new Map<string, Completion>();
  readonly #claimsByEpoch = new Map<string, Claim>();
  readonly #entriesBySequence = new Map<number, HistoryEntry>();
  readonly #batches = new Map<string, HistoryEntry>();
  readonly #wantedStates = new Set<string>();
  readonly #stateHashes = new Map<string, string>();

  constructor(history: History, definitions: readonly PipelineDefinition[]) {
    this.history = history;
    this.#registry = new PipelineRegistry(definitions);
    this.#dedupWindowSize = history.bounds.dedupWindowSize ?? usualDedupWindowSize;
    for (const event of history.events) this.#sort(event);
    for (const entry of history.entries) this.#read(entry);
  }

  /** The events of one type, in the order of the history. */
  eventsOf<Type extends HistoryEvent['type']>(type: Type): readonly HistoryEventOf<Type>[] {
    return (this.#events.get(type) ?? []) as HistoryEventOf<Type>[];
  }

  /** Whether every record of the task could be replayed: only then do its state, starts and results say anything. */
  isSound(task: string): boolean {
    return !this.#faulty.has(task);
  }

  taskOf(task: string): TaskState | undefined {
    return this.tasks.get(task as TaskId);
  }

  /** The recorded start of an attempt. */
  startOf(attempt: {
    readonly task: string;
    readonly stage: string;
    readonly attempt: number;
  }): StageStart | undefined {
    return this.#startsByAttempt.get(attemptKey(attempt));
  }

  /** The recorded result of a stage. */
  completionOf(task: string, stage: string): Completion | undefined {
    return this.#completionsByStage.get(`${task}/${stage}`);
  }

  claimOf(shard: number, epoch: number): Claim | undefined {
    return this.#claimsByEpoch.get(`${shard}/${epoch}`);
  }

  entryAt(sequence: number): HistoryEntry | undefined {
    return this.#entriesBySequence.get(sequence);
  }

  /** The message of a batch, the first one where there are several. */
  batchOf(shard: number, epoch: number, batch: number): HistoryEntry | undefined {
    return this.#batches.get(`${shard}/${epoch}/${batch}`);
  }

  /** {@link stateHash} of a task after its record `seq`; of those that a snapshot event asks for alone. */
  stateHashOf(task: string, seq: number): string | undefined {
    return this.#stateHashes.get(`${task}/${seq}`);
  }

  /** The stage as its pipeline declares it; undefined when the history has no such task or stage. */
  specOf(task: string, stage: string): StageSpec | undefined {
    const state = this.taskOf(task);
    if (state === undefined) return undefined;
    return this.#registry.find(state.pipeline, state.version).stages.find(({ name }) => name === stage);
  }

  #sort(event: HistoryEvent): void {
    const known = this.#events.get(event.type);
    if (known === undefined) this.#events.set(event.type, [event]);
    else known.push(event);
    if (event.type === 'snapshot') this.#wantedStates.add(`${event.task}/${event.seq}`);
  }

  #read(entry: HistoryEntry): void {
    const { shard, sequence, commit, storedAt: at } = entry;
    this.#entriesBySequence.set(sequence, entry);
    if (commit === null) return;
    const { epoch, batch, owner, records } = commit;
    const batchKey = `${shard}/${epoch}/${batch}`;
    if (!this.#batches.has(batchKey)) this.#batches.set(batchKey, entry);
    const place: JournalPlace = { shard, epoch, sequence, at };
    if (owner !== undefined) {
      const claim: Claim = { ...place, node: owner.node, incarnation: owner.incarnation };
      this.claims.push(claim);
      if (!this.#claimsByEpoch.has(`${shard}/${epoch}`)) this.#claimsByEpoch.set(`${shard}/${epoch}`, claim);
    }
    for (const record of records) this.#replay(place, record);
  }

  #replay(place: JournalPlace, record: TaskRecord): void {
    const { task } = record;
    const state = this.tasks.get(task) ?? null;
    const before = state?.machine ?? null;
    const step = { ...place, record, from: before?.value ?? null, before: before?.control ?? null };
    if (this.#faulty.has(task)) {
      this.steps.push({ ...step, after: null });
      return;
    }
    const replayed = replayRecord({
      registry: this.#registry,
      state,
      record,
      dedupWindowSize: this.#dedupWindowSize,
    });
    if ('fault' in replayed) {
      this.#faulty.add(task);
      this.faults.push({ ...place, record, fault: replayed.fault });
      this.steps.push({ ...step, after: null });
      return;
    }
    const { state: next } = replayed;
    this.tasks.set(task, next);
    this.steps.push({ ...step, after: next.machine.control });
    this.#noteCompletion(place, record);
    this.#noteStart(place, state, next);
    const wanted = `${task}/${next.seq}`;
    if (this.#wantedStates.has(wanted)) this.#stateHashes.set(wanted, stateHash(next));
  }

  #noteCompletion(place: JournalPlace, { task, event }: TaskRecord): void {
    const recorded = completionIn(event);
    if (recorded === null) return;
    const { stage, attempt, output } = recorded;
    const by = event.type === 'outcome.resolved' ? event.by : 'driver';
    const completion: Completion = { ...place, task, stage, attempt, output, by };
    this.completions.push(completion);
    this.#completionsByStage.set(`${task}/${stage}`, completion);
  }

  #noteStart(place: JournalPlace, state: TaskState | null, next: TaskState): void {
    const { status, stage } = positionOf(next.machine.value);
    if (status !== 'running' || stage === null) return;
    const { attempt } = next.machine.control;
    const was = state === null ? null : positionOf(state.machine.value);
    if (was?.status === 'running' && was.stage === stage && state?.machine.control.attempt === attempt) return;
    const start: StageStart = { ...place, task: next.taskId, stage, attempt, decidedAt: next.updatedAt };
    this.starts.push(start);
    this.#startsByAttempt.set(attemptKey(start), start);
  }
}

/** An attempt as one text. */
export function attemptKey({
  task,
  stage,
  attempt,
}: {
  readonly task: string;
  readonly stage: string;
  readonly attempt: number;
}): string {
  return `${task}/${stage}/${attempt}`;
}
