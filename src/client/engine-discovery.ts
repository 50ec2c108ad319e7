import { backoffDelayMs, retryDefaults } from '../core/backoff.ts';
import { parseReport } from '../core/error-report.ts';
import { EngineError } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import { apiSubject } from '../core/subjects.ts';
import type { Bus, RequestOutcome } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import { type EngineInfo, parseEngineInfo } from '../transport/engine-info.ts';
import { maximumMessageBytes } from '../transport/request-codec.ts';
import { parseStrictJson } from '../core/strict-json.ts';

/** How long one node has to answer before another one is asked. */
const tryTimeoutMs = 1_000;
const pauses = { ...retryDefaults, maxAttempts: 1_000, initialDelayMs: 50, maxDelayMs: 1_000 };
/** An engine with thousands of pipelines has a long answer; the bus bounds it anyway. */
const maximumInfoBytes = 64 * maximumMessageBytes;

/**
 * What any node of the namespace tells of its engine, asked until one answers.
 *
 * @throws EngineError `NO_OWNER` when no node serves the namespace until the deadline, `NATS_UNREACHABLE` when the link is
 *   down, `DEADLINE_EXCEEDED` when nodes are there but do not answer, `UNSUPPORTED_VERSION`, `INVALID_MESSAGE`; `BUS_FORBIDDEN` at
 *   once
 */
export async function discoverEngine(
  deps: { readonly bus: Bus; readonly clock: Clock; readonly random: Random; readonly namespace: string },
  deadlineMs: number,
): Promise<EngineInfo> {
  const { bus, clock, random, namespace } = deps;
  const deadlineAt = clock.monotonicMs() + deadlineMs;
  for (let tries = 1; ; tries += 1) {
    const remainingMs = Math.max(1, Math.ceil(deadlineAt - clock.monotonicMs()));
    const timeoutMs = Math.min(tryTimeoutMs, remainingMs);
    const outcome = await bus.request(apiSubject(namespace, 'info'), new Uint8Array(), { timeoutMs });
    if (outcome.kind === 'reply') return readInfo(outcome.body, namespace);
    if (outcome.kind === 'forbidden') throw forbiddenError(outcome);
    const pauseMs = backoffDelayMs(pauses, tries, random.next());
    if (clock.monotonicMs() + pauseMs >= deadlineAt) throw unanswered(outcome, namespace, deadlineMs);
    await new Promise<void>((resolve) => void clock.setTimer(pauseMs, resolve));
  }
}

function readInfo(body: Uint8Array, namespace: string): EngineInfo {
  const answer = parseStrictJson(body, maximumInfoBytes);
  if (typeof answer === 'object' && answer !== null && 'error' in answer) {
    throw EngineError.fromReport(parseReport(answer['error']));
  }
  const info = parseEngineInfo(answer);
  if (info.namespace === namespace) return info;
  throw new EngineError('INVALID_MESSAGE', `the engine's info is of namespace '${info.namespace}'`, {
    field: 'namespace',
    limit: namespace,
    got: info.namespace,
  });
}

function unanswered(outcome: RequestOutcome, namespace: string, deadlineMs: number): EngineError {
  const hint = `is the engine running, with namespace '${namespace}'? \`cabinet status\` shows its nodes`;
  const limit = `${deadlineMs} ms`;
  if (outcome.kind === 'no-responders') {
    return new EngineError('NO_OWNER', `no node serves namespace '${namespace}'`, { limit, hint });
  }
  if (outcome.kind === 'disconnected') {
    return new EngineError('NATS_UNREACHABLE', 'the connection to the NATS server is down', { limit, hint });
  }
  return new EngineError('DEADLINE_EXCEEDED', `no node of namespace '${namespace}' answers`, { limit, hint });
}
