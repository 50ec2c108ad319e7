import type { BulkRunView, ClusterStatus, IndexedTask, TaskFilter, TaskView } from '../api/types.ts';
import { overviewOf, type OverviewFrame, type OverviewState } from '../model/overview-state.ts';
import type { LiveTopic } from './live-view.ts';

/** A topic that only tells that something has changed, and has it loaded. */
type ChangeTopic = Omit<LiveTopic<never>, 'take'>;

/** A topic whose every word is the whole of what is so now. */
function whole<Data>(name: string): LiveTopic<Data> {
  return { name, isResumable: false, take: ({ data }) => ({ data: data as Data, mustLoad: false }) };
}

/** Nodes and shards, once a second where they have changed. */
export const clusterTopic = whole<ClusterStatus>('cluster');

/** Counts, rates and latencies of the engine, twice a second where they have changed. */
export const overviewTopic: LiveTopic<OverviewState> = {
  name: 'overview',
  isResumable: false,
  take: ({ data }) => ({ data: overviewOf(data as OverviewFrame), mustLoad: false }),
};

/** How far one bulk action is. */
export function bulkTopic(bulkId: string): LiveTopic<BulkRunView> {
  return whole<BulkRunView>(`bulk:${bulkId}`);
}

/** That the dead letters have changed: their messages and samples are loaded. */
export const deadLettersTopic: ChangeTopic = { name: 'dead-letters', isResumable: false, gapMs: 1_000 };

/** That tasks have changed their status anywhere, for counts that are loaded. */
export const countsTopic: ChangeTopic = { name: 'overview', isResumable: false, gapMs: 2_000 };

/** That the audit log has new lines. */
export const auditTopic: ChangeTopic = { name: 'audit', isResumable: false, gapMs: 1_000 };

/** One task: its view first; then each of its events, after which the view is loaded from its owner. */
export function taskTopic(taskId: string): LiveTopic<TaskView> {
  return {
    name: `task:${taskId}`,
    isResumable: true,
    gapMs: 150,
    take: ({ kind, data }) => {
      if (kind === 'snapshot') return { data: data as TaskView, mustLoad: false };
      // A delta without events tells how far the feed is, and nothing of this task.
      return (data as readonly unknown[]).length === 0 ? null : { mustLoad: true };
    },
  };
}

/** What a delta of the topic `tasks` holds. */
export interface TaskChanges {
  /** Tasks that match, as they are now. */
  readonly changed: readonly IndexedTask[];
  /** Tasks that have changed and do not match. */
  readonly left: readonly string[];
}

/**
 * Tasks of a filter: each that has changed is told a few times a second.
 *
 * @param apply - what is shown of it at once, until the list is loaded again
 */
export function tasksTopic<Data>(
  filter: TaskFilter,
  apply: (changes: TaskChanges, before: Data) => Data,
): LiveTopic<Data> {
  return {
    name: 'tasks',
    filter: filter as Readonly<Record<string, unknown>>,
    isResumable: false,
    gapMs: 1_000,
    take: ({ kind, data }, before) => {
      if (kind === 'snapshot' || before === null) return { mustLoad: true };
      return { data: apply(data as TaskChanges, before), mustLoad: true };
    },
  };
}
