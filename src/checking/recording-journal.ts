import type { Millis } from '../core/ids.ts';
import type { Journal } from '../ports/journal.ts';
import type { AppendEvent } from './history-events.ts';
import type { HistoryRecorder } from './history-recorder.ts';

/** Whose calls are recorded, and by which clock. */
export interface RecordedProcess {
  readonly recorder: HistoryRecorder;
  readonly node: string;
  /** The life that the node is in at this moment. */
  readonly incarnation: () => string;
  /** The history's clock, not the node's. */
  readonly now: () => Millis;
}

/** A journal whose every append is recorded when it is sent, and filled in when it is answered. */
export function recordAppends(inner: Journal, process: RecordedProcess): Journal {
  const { recorder, node, incarnation, now } = process;
  return {
    maximumBodyBytes: inner.maximumBodyBytes,
    append: async (request) => {
      // The id of an append is `<shard>.<epoch>.<batch>` (DESIGN §5.2).
      const [, epoch, batch] = request.messageId.split('.').map(Number);
      const sent: AppendEvent = {
        type: 'append',
        node,
        incarnation: incarnation(),
        shard: request.shard,
        epoch: epoch ?? 0,
        batch: batch ?? 0,
        expectedLast: request.expectedLast,
        sentAt: now(),
        answeredAt: null,
        outcome: 'none',
      };
      const slot = recorder.open(sent);
      const outcome = await inner.append(request);
      slot.complete({
        ...sent,
        answeredAt: now(),
        outcome: outcome.kind,
        ...(outcome.kind === 'committed' ? { sequence: outcome.sequence } : {}),
      });
      return outcome;
    },
    readLast: (shard) => inner.readLast(shard),
    read: (range) => inner.read(range),
    follow: (from) => inner.follow(from),
    bounds: () => inner.bounds(),
    trim: (shard, through) => inner.trim(shard, through),
  };
}
