import type { ShardId } from '../core/ids.ts';
import type { ListQuery } from '../core/messages.ts';
import type { TaskView } from '../core/task-view.ts';
import { expectReply } from './reply-reading.ts';
import type { SendOptions, ShardClient } from './shard-client.ts';

/** Tasks in the order of their ids; `next` is where the following page starts, null at the end. */
export interface TaskPage {
  readonly tasks: readonly TaskView[];
  readonly next: string | null;
}

/**
 * One page over all shards, merged in the order of ids.
 *
 * @throws EngineError the first shard's error: a page with a shard left out would lie
 */
export async function listTasks(
  shardClient: ShardClient,
  query: Omit<ListQuery, 'type'>,
  options: SendOptions,
): Promise<TaskPage> {
  const shards = Array.from({ length: shardClient.shardCount }, (_, index) => index as ShardId);
  const replies = await Promise.all(shards.map((shard) => shardClient.list(shard, query, options)));
  const pages = replies.map((reply) => expectReply(reply, ['page']));
  const merged = pages.flatMap((page) => page.tasks).toSorted((one, other) => compareText(one.taskId, other.taskId));
  const tasks = merged.slice(0, query.limit);
  const hasMore = merged.length > tasks.length || pages.some((page) => page.next !== null);
  return { tasks, next: hasMore ? (tasks.at(-1)?.taskId ?? null) : null };
}

/** By code units, as the owners sort; a locale would order ids otherwise on another machine. */
function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
