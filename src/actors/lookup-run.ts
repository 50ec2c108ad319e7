import { backoffDelayMs } from '../core/backoff.ts';
import { asError, EngineError } from '../core/errors.ts';
import { unitHash } from '../core/hash.ts';
import type { Outcome } from '../core/messages.ts';
import { classifyThrown } from './classify.ts';
import { complete, contextOf, type StageJob, type StageRunnerDeps } from './stage-runner.ts';

type Answer = Extract<Outcome, { type: 'lookup.answered' }>['answer'];

/**
 * Asks a driver what became of its interrupted attempt, as often as the stage's retry policy allows. When it cannot tell, or
 * cannot be asked, the answer is `unknown`: the engine stops there and never guesses (R-IDEM-3).
 *
 * @param signal - aborts when nobody waits for the answer any more; then there is none
 */
export async function runLookup(
  job: StageJob,
  deps: StageRunnerDeps,
  signal: AbortSignal,
  onOutcome: (outcome: Outcome) => void,
): Promise<void> {
  const { spec, taskId, attempt } = job;
  for (let asked = 1; asked <= spec.retry.maxAttempts; asked += 1) {
    const answer = await ask(job, deps, signal).catch((thrown: unknown) => {
      if (signal.aborted) return null; // Nobody waits for it: that is no failure.
      // As a failure record, not as the error: what a driver throws may throw again when a logger reads it.
      const failure = classifyThrown(thrown, spec);
      deps.logger.warn({ taskId, stage: spec.name, asked, failure }, 'a lookup failed');
      return null;
    });
    if (signal.aborted) return;
    if (answer !== null) {
      onOutcome({ type: 'lookup.answered', stage: spec.name, attempt, answer });
      return;
    }
    if (asked < spec.retry.maxAttempts) {
      await sleep(deps, backoffDelayMs(spec.retry, asked, unitHash(`${taskId}/${spec.name}/lookup/${asked}`)), signal);
      if (signal.aborted) return;
    }
  }
  onOutcome({ type: 'lookup.answered', stage: spec.name, attempt, answer: { kind: 'unknown' } });
}

async function ask(job: StageJob, deps: StageRunnerDeps, signal: AbortSignal): Promise<Answer> {
  const { spec } = job;
  const input = await deps.payloads.unpack(job.input);
  const outputs = await deps.payloads.unpackAll(job.outputs);
  signal.throwIfAborted();
  const timeout = new AbortController();
  const abort = (): void => timeout.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const timer = deps.clock.setTimer(spec.timeoutMs, () =>
    timeout.abort(new Error(`no answer within ${spec.timeoutMs} ms`)),
  );
  try {
    const context = contextOf(job, deps, {
      input,
      outputs,
      host: {
        signal: () => timeout.signal,
        heartbeat: () => {},
        recall: () => Promise.reject(noCheckpoints()),
        save: () => Promise.reject(noCheckpoints()),
      },
    });
    const answer = await Promise.race([spec.driver.lookup?.(context), aborted(timeout.signal)]);
    if (answer?.kind === 'notDone') return { kind: 'notDone' };
    if (answer?.kind !== 'done') return { kind: 'unknown' };
    const completion = await complete(job, answer.output, { input, outputs, payloads: deps.payloads });
    return { kind: 'done', ...completion };
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', abort);
  }
}

/** The types give a lookup no `checkpoint`; one that calls it all the same may not run its function. */
function noCheckpoints(): EngineError {
  return new EngineError('INVALID_ARGUMENT', 'a lookup has no checkpoints: it changes nothing', {
    field: 'checkpoint',
  });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(asError(signal.reason));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

function sleep(deps: StageRunnerDeps, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = deps.clock.setTimer(delayMs, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
