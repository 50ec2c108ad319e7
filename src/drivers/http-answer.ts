import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { excerpt } from './excerpt.ts';
import type { HttpAnswer } from './http-exchange.ts';

/** Statuses by which the other side says that it did nothing and may later. */
export const defaultRetryableStatuses: readonly number[] = [408, 425, 429];

/** How an answer is read. */
export interface AnswerRules {
  /** The request, for errors: `POST http://host/path`. */
  readonly request: string;
  readonly retryableStatuses: readonly number[];
  /** Wall clock, for a `Retry-After` that is a date. */
  readonly now: number;
  /** Texts that no error may repeat. */
  readonly secrets: readonly string[];
}

/**
 * The output in a successful answer: its JSON body, or null when the body is empty. Pure.
 *
 * @throws EngineError `INVALID_ARGUMENT` (class `contract`) when the body is not JSON
 */
export function outputOf(answer: HttpAnswer, rules: AnswerRules): JsonValue {
  if (answer.body.byteLength === 0) return null;
  let text = '';
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(answer.body);
    return text.trim() === '' ? null : (JSON.parse(text) as JsonValue);
  } catch {
    throw new EngineError(
      'INVALID_ARGUMENT',
      `${rules.request} answered ${answer.status} with a body that is not JSON`,
      {
        field: 'output',
        got: withoutSecrets(text, rules.secrets),
      },
    );
  }
}

/**
 * The error that an answer without success stands for. Pure.
 *
 * | status | error |
 * | --- | --- |
 * | a retryable status (408, 425, 429), 503 | `RateLimitedError` when it has `Retry-After` |
 * | a retryable status | `RetryableError`: it says that nothing was done |
 * | 5xx | `UncertainError`: proxies give these also for requests that went through |
 * | anything else | `FatalError` |
 */
export function errorOf(answer: HttpAnswer, rules: AnswerRules): Error {
  const { status } = answer;
  const detail = detailOf(answer, rules.secrets);
  const message = `${rules.request} answered ${status}${detail === '' ? '' : `: ${detail}`}`;
  const code = `HTTP_${status}`;
  const saysUntouched = rules.retryableStatuses.includes(status);
  if (saysUntouched || status === 503) {
    const retryAfterMs = parseRetryAfter(answer.headers.get('retry-after'), rules.now);
    if (retryAfterMs !== null) return new RateLimitedError(message, retryAfterMs, { code });
  }
  if (saysUntouched) return new RetryableError(message, { code });
  if (status >= 500 && status <= 599) return new UncertainError(message, { code, status });
  return new FatalError(message, { code });
}

/**
 * Milliseconds that a `Retry-After` asks to wait: of seconds, or until an HTTP date (0 when that is past). Null when there is
 * none that can be read.
 */
export function parseRetryAfter(value: string | null, now: number): number | null {
  const text = value?.trim() ?? '';
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1_000;
  // Date.parse takes much for a date; an HTTP date always ends so.
  if (!text.endsWith(' GMT')) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** The other side's own words: a member of a JSON body that holds them (RFC 9457 and the usual names), else the body's text. */
function detailOf(answer: HttpAnswer, secrets: readonly string[]): string {
  const text = new TextDecoder().decode(answer.body);
  return excerpt(withoutSecrets(wordsOf(text), secrets));
}

function wordsOf(text: string): string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return text;
  }
  if (typeof body !== 'object' || body === null) return text;
  for (const name of ['detail', 'message', 'error', 'title']) {
    const words: unknown = (body as Record<string, unknown>)[name];
    if (typeof words === 'string') return words;
    const inner = (words as { message?: unknown } | null | undefined)?.message;
    if (typeof inner === 'string') return inner;
  }
  return text;
}

/** A server may echo what it was sent. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((cleaned, secret) => cleaned.replaceAll(secret, '[redacted]'), text);
}
