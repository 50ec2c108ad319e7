import { replay } from '../actors/evolve.ts';
import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import { isFinished, type TaskState } from '../actors/task-state.ts';
import { decodeCommit } from '../core/commit-codec.ts';
import { EngineError } from '../core/errors.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Journal } from '../ports/journal.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';

/** What a new owner knows of a shard after it has read snapshots and journal. */
export interface RecoveredShard {
  /** Tasks that can still go on. */
  readonly live: ReadonlyMap<TaskId, TaskState>;
  /** Tasks that ended after the checkpoint: their finished snapshot may not be written yet. */
  readonly finished: ReadonlyMap<TaskId, TaskState>;
  /** Epoch of the checkpoint that was built on, or null. */
  readonly checkpointEpoch: Epoch | null;
  readonly checkpointSequence: Sequence;
  readonly replayedRecords: number;
}

/**
 * Rebuilds a shard from its snapshots and the journal after its checkpoint, up to the owner's own claim: all that earlier
 * owners committed stands before that, whichever replica answers (DESIGN §5.4).
 *
 * @throws EngineError `LOG_REGRESSED` when the journal ends before the checkpoint, `REPLAY_DIVERGED`, `RECORD_CORRUPT`,
 *   `PIPELINE_UNKNOWN` or `PIPELINE_VERSION_UNKNOWN` when it cannot be trusted, `UNAVAILABLE` when the store is lost on the way
 */
export async function recoverShard(
  deps: ReplayDeps & { readonly journal: Journal; readonly snapshots: SnapshotStore },
  shard: ShardId,
  claim: Sequence,
): Promise<RecoveredShard> {
  const { checkpoint, live: stored } = await deps.snapshots.loadLive(shard);
  const states = new Map<TaskId, TaskState>();
  for (const [taskId, bytes] of stored) states.set(taskId, decodeSnapshot(taskId, bytes, deps.registry));
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
  for await (const entry of deps.journal.read({ shard, after, through: claim })) {
    for (const record of decodeCommit(entry.body).records) tail.apply(record);
  }
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

interface ReplayDeps {
  readonly registry: PipelineRegistry;
  readonly dedupWindowSize: number;
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
