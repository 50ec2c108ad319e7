import { EngineError, type ErrorReport } from '../core/errors.ts';
import { parseNodeId } from '../core/ids.ts';
import type { ProcessExit } from '../ports/node-processes.ts';
import type { ProcessDraft } from './process-draft.ts';
import { stopRoll } from './process-roll.ts';
import type { Slot } from './process-state.ts';
import { decideRestart } from './restart-backoff.ts';
import { directiveFor } from './strategy.ts';

/** Why a process ended, in one word for a metric's label: who killed it, its signal, or its exit code. */
export function exitReason({ phase }: Pick<Slot, 'phase'>, exit: ProcessExit): string {
  if (phase.kind === 'killed') return phase.why;
  if (exit.signal !== null) return exit.signal;
  return exit.code === null ? 'not-started' : `exit-${exit.code}`;
}

/** What becomes of a slot whose process has ended. */
export function decideExit(draft: ProcessDraft, index: number, exit: ProcessExit): void {
  const slot = draft.slot(index);
  const { nodeId, pid, incarnation, failure, phase } = slot;
  const reason = exitReason(slot, exit);
  const isDrained = phase.kind === 'draining' && exit.code === 0;
  draft.update(index, { phase: { kind: 'ended' }, lastExit: { ...exit, reason, at: draft.ctx.now } });
  draft.actions.push({ type: 'up', slot: index, isUp: false });
  // A node that drained has said good-bye itself.
  if (incarnation !== null && !isDrained) {
    draft.actions.push({ type: 'tellExited', life: { nodeId: parseNodeId(nodeId), incarnation } });
  }
  const fields = { node: nodeId, child: pid, reason };
  if (isDrained) draft.log('info', fields, 'a node process has drained');
  else draft.log('error', { ...fields, why: failure }, 'a node process has ended');
  if (draft.isStopping) {
    if (!isDrained) draft.worsen('unclean');
    draft.finishStop();
    return;
  }
  const isRolled = draft.roll?.current === index;
  if (isRolled && (isDrained || reason === 'overrun')) {
    countRestart(draft, index, isDrained ? 'roll' : reason);
    draft.start(index);
    return;
  }
  decideCrash(draft, slot, reason, isRolled && slot.phase.kind === 'starting');
}

/** @param isRollTry - the process was the one with which a roll tried to bring the node back */
function decideCrash(draft: ProcessDraft, slot: Slot, reason: string, isRollTry: boolean): void {
  const { index, nodeId, failure } = slot;
  const isHopeless = failure !== null && cannotBeMended(failure, draft.phase === 'starting');
  if (isRollTry) stopRoll(draft, failure?.message ?? `its process ended: ${reason}`);
  if (isHopeless && isRollTry) {
    // The others run with what was right before: better fewer nodes than none.
    draft.update(index, { phase: { kind: 'down' } });
    return;
  }
  if (isHopeless) {
    draft.stop({ kind: 'failed', error: failure });
    return;
  }
  const { nowMs, random, policy } = draft.ctx;
  // What it did as a member may be a task's doing: its stages run from then on, also before every shard is open.
  const hadJoined = slot.incarnation !== null;
  const limit = hadJoined ? policy.crashLimit : policy.startLimit;
  const backoff = hadJoined ? policy.crashBackoff : policy.startBackoff;
  const earlierMs = hadJoined ? slot.crashesMs : slot.failedStartsMs;
  const decision = decideRestart({ limit, backoff, crashesMs: earlierMs, nowMs, random });
  if (decision.kind === 'giveUp') {
    const times = `${decision.crashesMs.length} times in ${limit.periodMs / 1_000} s`;
    const when = hadJoined ? '' : ' before it had joined the cluster';
    const message = `node ${nodeId} ended ${times}${when}, last by ${reason}`;
    const error = new EngineError('RESTART_INTENSITY_EXCEEDED', message, {
      field: hadJoined ? 'crashIntensity' : 'startIntensity',
      limit: String(limit.intensity),
      hint: failure === null ? 'the log tells what it did' : `${failure.code}: ${failure.message}`,
    });
    draft.stop({ kind: 'failed', error: error.toReport() });
    return;
  }
  countRestart(draft, index, reason);
  const { crashesMs, delayMs, atMs } = decision;
  const noted = hadJoined ? { crashesMs } : { failedStartsMs: crashesMs };
  draft.update(index, { ...noted, phase: { kind: 'waiting', startAtMs: atMs } });
  draft.log('info', { node: nodeId, delayMs: Math.round(delayMs) }, 'a node process will be started again');
}

/**
 * Whether another start would meet the same end. Another process under the node's name would be driven out by one, and come back
 * for the same reason. A damaged shard is the shard's own trouble, but for a first start, which should not hide it.
 */
function cannotBeMended(failure: ErrorReport, isFirstStart: boolean): boolean {
  const directive = directiveFor(EngineError.fromReport(failure));
  if (directive === 'stop') return isFirstStart || failure.code === 'OWNERSHIP_LOST';
  return directive === 'escalate';
}

function countRestart(draft: ProcessDraft, index: number, reason: string): void {
  const { restarts } = draft.slot(index);
  draft.update(index, { restarts: { ...restarts, [reason]: (restarts[reason] ?? 0) + 1 } });
  draft.actions.push({ type: 'count', reason });
}
