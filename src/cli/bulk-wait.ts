import { EngineError } from '../core/errors.ts';
import type { ApiAccess } from './api-connection.ts';
import { readBulkRun, stateOf, type BulkView } from './bulk-answers.ts';
import { bulkProgress, failedOf } from './bulk-text.ts';
import type { CliContext } from './context.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { pause } from './view.ts';

const lookIntervalMs = 1_000;
/** How long the console may be away: it goes on with its bulk actions when it starts again. */
const maximumSilenceMs = 60_000;
/** Least time between two words of progress in one state. */
const progressIntervalMs = 10_000;

/**
 * The bulk action once it has ended. Waits without end when there is no timeout.
 *
 * @throws EngineError `DEADLINE_EXCEEDED`, and what the API answers; `ADMIN_UNREACHABLE` when the console stays away
 */
export async function waitForBulk(
  context: CliContext,
  api: ApiAccess,
  request: {
    readonly bulkId: string;
    readonly timeoutMs: number | undefined;
    /** Whether a person is told how far it is. */
    readonly tells: boolean;
  },
): Promise<BulkView> {
  const { clock, terminal } = context;
  const { bulkId, timeoutMs, tells } = request;
  const startedAtMs = clock.monotonicMs();
  let seenAtMs = startedAtMs;
  let told = { state: '', atMs: Number.NEGATIVE_INFINITY };
  for (;;) {
    try {
      const run = await readBulkRun(api, bulkId);
      seenAtMs = clock.monotonicMs();
      const state = stateOf(run);
      if (tells && (state !== told.state || seenAtMs - told.atMs >= progressIntervalMs)) {
        terminal.note(bulkProgress(run));
        told = { state, atMs: seenAtMs };
      }
      if (run.phase === 'ended') return run;
    } catch (error) {
      const isAway = error instanceof EngineError && error.retryable;
      if (!isAway || clock.monotonicMs() - seenAtMs >= maximumSilenceMs) throw error;
    }
    const waitedMs = clock.monotonicMs() - startedAtMs;
    if (timeoutMs !== undefined && waitedMs >= timeoutMs) {
      throw new EngineError('DEADLINE_EXCEEDED', `bulk action ${bulkId} has not ended within ${timeoutMs} ms`, {
        field: 'timeout',
        limit: `${timeoutMs} ms`,
        hint: `it goes on; see \`cabinet bulk show ${bulkId}\``,
      });
    }
    await pause(context, Math.min(lookIntervalMs, timeoutMs === undefined ? lookIntervalMs : timeoutMs - waitedMs));
  }
}

/** 0 when the action has done all that it could, 1 when something failed or it was ended before. */
export function exitCodeOfRun(run: BulkView): ExitCode {
  return run.end === 'completed' && failedOf(run) === 0 ? exitCodes.ok : exitCodes.failed;
}
