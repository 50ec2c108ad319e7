import type { TaskState } from '../actors/task-state.ts';
import { contentHash } from '../core/hash.ts';
import type { JsonValue } from '../core/json.ts';

/** The hash of all that a task is, of its machine the state's name and the control alone: what a snapshot must bring back. */
export function stateHash(state: TaskState): string {
  const { machine, ...rest } = state;
  const plain = { ...rest, value: machine.value, control: machine.control };
  // Members that are left out and those that are undefined are one thing to a snapshot.
  return contentHash(JSON.parse(JSON.stringify(plain)) as JsonValue);
}
