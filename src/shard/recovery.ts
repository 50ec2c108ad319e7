import { replay } from '../actors/evolve.ts';
import { isAsked } from '../actors/lookup-suspicion.ts';
import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import { isFinished, positionOf, type TaskState } from '../actors/task-state.ts';
import { decodeCommit } from '../core/commit-codec.ts';
import type { EngineConfig } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Journal } from '../ports/journal.ts';
import type { SnapshotStore, SnapshotWriter } from '../ports/snapshots.ts';
import type { PassiveTasks } from './passive-tasks.ts';

/** What a new owner knows of a shard after it has read snapshots and journal. */
export interface RecoveredShard {
  /** Tasks that can still go on, but for those that wait and are passive. */
  readonly live: ReadonlyMap<TaskId, TaskState>;
  /** Tasks that ended after the checkpoint: their finished snapshot may not be written yet. */
  readonly finished: ReadonlyMap<TaskId, TaskState>;
  /** Epoch of the checkpoint that was built on, or null. */
  readonly checkpointEpoch: Epoch | null;
  readonly checkpointSequence: Sequence;
  readonly replayedRecords: number;
}

/** Records of the journal that are looked through for tasks to take back into memory before they are applied. */
const recordsPerRead = 1_000;

/** What {@link recoverShard} asks of the outside. */
export interface RecoveryDeps extends ReplayDeps {
  readonly journal: Journal;
  readonly snapshots: SnapshotStore;
  /** Reads single snapshots back. */
  readonly writer: Pick<SnapshotWriter, 'read'>;
}

/**
 * Rebuilds a shard from its snapshots and the journal after its checkpoint, up to the owner's own claim: all that earlier
 * owners committed stands before that, whichever replica answers (DESIGN §5.4). No more states are in memory than of tasks that
 * go on by themselves, or that the journal tells of.
 *
 * @throws EngineError `LOG_REGRESSED` when the journal ends before the checkpoint, `REPLAY_DIVERGED`, `RECORD_CORRUPT`,
 *   `PIPELINE_UNKNOWN` or `PIPELINE_VERSION_UNKNOWN` when it cannot be trusted, `UNAVAILABLE` when the store is lost on the way
 */
export async function recoverShard(deps: RecoveryDeps, shard: ShardId, claim: Sequence): Promise<RecoveredShard> {
  const { passive, registry } = deps;
  const states = new Map<TaskId, TaskState>();
  const keep = (state: TaskState): void => {
    if (waitsForCalls(state, deps)) {
      states.delete(state.taskId);
      passive.add(state, false);
    } else {
      passive.remove(state.taskId);
      states.set(state.taskId, state);
    }
  };
  const checkpoint = await deps.snapshots.loadLive(shard, {
    set: (taskId, bytes) => keep(decodeSnapshot(taskId, bytes, registry)),
    delete: (taskId) => {
      states.delete(taskId);
      passive.remove(taskId);
    },
    clear: () => {
      states.clear();
      passive.clear();
    },
  });
  const tail = new JournalTail(deps, states);
  const after = checkpoint?.sequence ?? (0 as Sequence);
  if (after >= claim) {
    throw new EngineError(
      'LOG_REGRESSED',
      `shard ${shard}: its checkpoint is at ${after}, but the journal has come to ${claim} only`,
      {
        limit: `${after} or later`,
        got: `${claim}`,
        hint: 'the journal was lost or set back: restore it from a copy that is as new as the snapshots, or remove both',
      },
    );
  }
  const epoch = checkpoint?.epoch;
  let pending: TaskRecord[] = [];
  const apply = async (): Promise<void> => {
    if (epoch !== undefined) await bringBack(pending, deps, { states, shard, epoch });
    for (const record of pending) tail.apply(record);
    pending = [];
  };
  for await (const entry of deps.journal.read({ shard, after, through: claim })) {
    pending.push(...decodeCommit(entry.body).records);
    if (pending.length >= recordsPerRead) await apply();
  }
  await apply();
  tail.checkOrphans(shard);
  const live = new Map<TaskId, TaskState>();
  const finished = new Map<TaskId, TaskState>();
  for (const [taskId, state] of states) (isFinished(state) ? finished : live).set(taskId, state);
  return {
    live,
    finished,
    checkpointEpoch: checkpoint?.epoch ?? null,
    checkpointSequence: after,
    replayedRecords: tail.records,
  };
}

/**
 * Whether the task needs nothing of a new owner but its timer: it waits for that or for a command, and no driver is to be asked about
 * it. Pure.
 */
function waitsForCalls(state: TaskState, { registry, maxInterruptions }: ReplayDeps): boolean {
  const { status, stage } = positionOf(state.machine.value);
  switch (status) {
    case 'held':
    case 'deadLettered':
      return true;
    case 'backingOff':
      return state.machine.control.dueAt !== null;
    case 'unknown':
      if (stage === null) return false;
      return !isAsked(state, registry.find(state.pipeline, state.version).stage(stage), { maxInterruptions });
    default:
      return false;
  }
}

/**
 * Takes those tasks back into memory that the records go on from.
 *
 * The owner before may still write what it had committed: a newer snapshot is as good, and one that is gone was followed by that of the
 * task's end. Anything else is a store that does not know what it was just asked for.
 *
 * @throws EngineError `UNAVAILABLE`
 */
async function bringBack(
  records: readonly TaskRecord[],
  { passive, writer, registry, snapshots }: RecoveryDeps,
  from: { readonly states: Map<TaskId, TaskState>; readonly shard: ShardId; readonly epoch: Epoch },
): Promise<void> {
  const wanted = new Map<TaskId, number>();
  for (const { task, seq } of records) {
    const known = passive.get(task)?.seq ?? Number.POSITIVE_INFINITY;
    if (seq > known) wanted.set(task, known);
  }
  if (wanted.size === 0) return;
  const found = await writer.read([...wanted.keys()], from.epoch);
  const gone = [...wanted.keys()].filter((taskId) => !found.has(taskId));
  const ended = gone.length === 0 ? found : await snapshots.findFinished(from.shard, gone);
  for (const [taskId, seq] of wanted) {
    const bytes = found.get(taskId);
    const state = bytes === undefined ? null : decodeSnapshot(taskId, bytes, registry);
    if (state === null ? !ended.has(taskId) : state.seq < seq) {
      const got = state === null ? 'is gone' : `went back to ${state.seq}`;
      throw new EngineError('UNAVAILABLE', `the snapshot of task ${taskId} at record ${seq} ${got}`);
    }
    passive.remove(taskId);
    if (state !== null) from.states.set(taskId, state);
  }
}

interface ReplayDeps extends Pick<EngineConfig, 'dedupWindowSize' | 'maxInterruptions'> {
  readonly registry: PipelineRegistry;
  /** Is filled with the tasks that wait, whose states are not kept. */
  readonly passive: PassiveTasks;
}

/** Applies records to states, passing over what the snapshots have already. */
class JournalTail {
  readonly #deps: ReplayDeps;
  readonly #states: Map<TaskId, TaskState>;
  /** Records of tasks without a snapshot: the task ended, and its end was written, before the checkpoint was. */
  readonly #orphans = new Map<TaskId, TaskRecord>();
  records = 0;

  constructor(deps: ReplayDeps, states: Map<TaskId, TaskState>) {
    this.#deps = deps;
    this.#states = states;
  }

  apply(record: TaskRecord): void {
    this.records += 1;
    // Those that go on from there were brought back before.
    if (this.#deps.passive.has(record.task)) return;
    const known = this.#states.get(record.task) ?? null;
    // A finished task's id is free again after its retention, while its records may still stand in the tail.
    const state = known !== null && record.seq === 1 && isFinished(known) ? null : known;
    if (state !== null && record.seq <= state.seq) return;
    if (state === null && record.seq > 1) {
      this.#orphans.set(record.task, record);
      return;
    }
    if (record.seq !== (state?.seq ?? 0) + 1) {
      throw new EngineError('REPLAY_DIVERGED', `task ${record.task}: record ${record.seq} follows ${state?.seq ?? 0}`);
    }
    const { event } = record;
    const definition =
      event.type === 'task.submitted'
        ? this.#deps.registry.find(event.pipeline, event.version)
        : this.#deps.registry.find(state?.pipeline ?? '', state?.version);
    this.#states.set(record.task, replay({ definition, state, record, dedupWindowSize: this.#deps.dedupWindowSize }));
  }

  checkOrphans(shard: ShardId): void {
    for (const [taskId, last] of this.#orphans) {
      if (last.to === 'completed' || last.to === 'canceled') continue;
      throw new EngineError(
        'REPLAY_DIVERGED',
        `shard ${shard}: the journal has record ${last.seq} of task ${taskId} (to ${last.to}), but no snapshot has what came before`,
      );
    }
  }
}
