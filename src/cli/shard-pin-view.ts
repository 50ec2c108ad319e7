import type { ShardPinned } from '../client.ts';
import type { CliContext } from './context.ts';
import type { OutputFormat } from './options.ts';
import { formatFields } from './table.ts';
import { showView } from './view.ts';

/** Shows a shard's pin after it was changed. */
export function showPin(context: CliContext, format: OutputFormat, pinned: ShardPinned): void {
  const { shard, pinnedTo, pinnedBefore, owner } = pinned;
  const fields = [
    ['shard', String(shard)],
    ['pinned to', pinnedTo ?? '-'],
    ['before', pinnedBefore ?? '-'],
    ...(owner === null ? [] : ([['owner', owner]] as const)),
  ] as const;
  showView(context, format, { document: pinned, items: [pinned], text: ({ paint }) => formatFields(fields, paint) });
}
