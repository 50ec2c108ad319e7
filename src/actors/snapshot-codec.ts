import { Packr } from 'msgpackr';
import { EngineError, showValue } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import { restore } from '../pipeline/machine-step.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import { snapshotShape, type StoredSnapshot } from './snapshot-shape.ts';
import { writeSnapshot } from './snapshot-writer.ts';
import type { TaskState } from './task-state.ts';

/** The snapshot format this build writes; it reads no other. */
export const snapshotFormat = 1;

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' });

/** A task's state as MessagePack: the machine as its state name and context, never XState's own object. */
export function encodeSnapshot(state: TaskState): Uint8Array {
  return writeSnapshot(snapshotFormat, state);
}

/**
 * The state in a snapshot.
 *
 * @throws EngineError `RECORD_CORRUPT` for bytes that are no snapshot of that task in this format, or of a state that its
 *   definition does not have; `PIPELINE_UNKNOWN` or `PIPELINE_VERSION_UNKNOWN` when this node does not have that definition
 */
export function decodeSnapshot(taskId: TaskId, bytes: Uint8Array, registry: PipelineRegistry): TaskState {
  const { format: _format, value, control, stages, ...rest } = readStored(taskId, bytes);
  const definition = registry.find(rest.pipeline, rest.version);
  return {
    ...rest,
    stages: stages.map((progress) => ({ ...progress, handovers: progress.handovers ?? 0 })),
    machine: restore(definition, value, {
      ...control,
      clearances: control.clearances ?? 0,
      handovers: control.handovers ?? 0,
    }),
  };
}

function readStored(taskId: TaskId, bytes: Uint8Array): StoredSnapshot {
  let stored: Partial<StoredSnapshot> | null;
  try {
    stored = packr.unpack(bytes) as Partial<StoredSnapshot> | null;
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `snapshot of task ${taskId} is not MessagePack`, { cause: error });
  }
  if (typeof stored !== 'object' || stored === null || stored.taskId !== taskId) {
    throw new EngineError('RECORD_CORRUPT', `snapshot of task ${taskId} holds another thing`, { got: stored?.taskId });
  }
  if (stored.format !== snapshotFormat) {
    throw new EngineError('RECORD_CORRUPT', `snapshot of task ${taskId} has format ${showValue(stored.format)}`, {
      field: 'format',
      limit: String(snapshotFormat),
      got: stored.format,
    });
  }
  const problem = snapshotShape(stored);
  if (problem !== null) throw new EngineError('RECORD_CORRUPT', `snapshot of task ${taskId}: state${problem}`);
  return stored as StoredSnapshot;
}
