import type { TaskView } from '../core/task-view.ts';
import { maximumPageSize } from '../transport/parse-command.ts';
import type { DeadLetterClient, DeadLetterFilter } from './dead-letter-client.ts';

/** Every dead letter that matches, in the order of ids, at most so many. */
export async function readDeadLetters(
  client: { readonly deadLetters: Pick<DeadLetterClient, 'list'> },
  filter: DeadLetterFilter,
  options: { readonly maximum: number; readonly deadlineMs: number; readonly signal?: AbortSignal | undefined },
): Promise<{ readonly tasks: readonly TaskView[]; readonly hasMore: boolean }> {
  const { maximum, ...call } = options;
  const tasks: TaskView[] = [];
  let after: string | undefined;
  do {
    const page = await client.deadLetters.list({ ...filter, ...call, limit: maximumPageSize, after });
    tasks.push(...page.tasks);
    after = page.next ?? undefined;
  } while (after !== undefined && tasks.length <= maximum);
  return { tasks: tasks.slice(0, maximum), hasMore: tasks.length > maximum };
}
