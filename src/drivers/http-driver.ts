import { FatalError } from '../core/driver-errors.ts';
import { invalidArgument } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import { defaultRetryableStatuses, errorOf, outputOf, type AnswerRules } from './http-answer.ts';
import { exchange, showRequest, type HttpAnswer, type HttpExchangeDeps, type HttpRequest } from './http-exchange.ts';
import { stageRequestOf } from './stage-request.ts';

/** A URL, or how to get it for an attempt. */
export type UrlSource = string | URL | ((ctx: LookupContext) => string | URL);

/** Settings of an HTTP driver. */
export interface HttpDriverOptions {
  /** Where the stage is POSTed. `http` or `https`, without user and password: those belong in `headers`. */
  readonly url: UrlSource;
  /** Asked by GET what became of an attempt; `{key}` in a text is replaced by the idempotency key. None when left out. */
  readonly lookup?: UrlSource | undefined;
  /** Sent with each request, such as `Authorization`. Their values never get into an error. */
  readonly headers?:
    Readonly<Record<string, string>> | ((ctx: LookupContext) => Readonly<Record<string, string>>) | undefined;
  /** Statuses that say "not done, perhaps later": 408, 425 and 429 when left out. Add 409 where it means "still at it". */
  readonly retryableStatuses?: readonly number[] | undefined;
  /** Largest body of a success, after decompression; 16 MiB when left out. */
  readonly maximumResponseBytes?: number | undefined;
  /** Redirects that are followed, to the same host only; 3 when left out. */
  readonly maximumRedirects?: number | undefined;
  /** In place of Node's own, for example one with an agent. Node's waits at most 300 s for an answer's head, and for each part of it. */
  readonly fetch?: typeof fetch | undefined;
  readonly clock: Clock;
}

/** Largest body of a success when nothing else is said: the engine's own limit of an output. */
const defaultMaximumResponseBytes = 16 * 1024 * 1024;
const defaultMaximumRedirects = 3;
/** A shorter value is too common a text to be told from others in an error. */
const leastSecretLength = 6;

/**
 * A driver that POSTs the stage as JSON to a URL and takes the JSON body of a 2xx answer as its output (an empty one is null).
 *
 * The body: `taskId`, `pipeline`, `stage`, `attempt`, `idempotencyKey`, `fence`, `input`, `outputs`. The headers
 * `Idempotency-Key`, `Cabinet-Fence-Shard`, `Cabinet-Fence-Epoch` and `Cabinet-Fence-Sequence` say the same to who reads no
 * body. A part of an answer's body that arrives counts as a heartbeat.
 *
 * Errors: see {@link errorOf} for statuses. A request that surely was not sent is `retryable`; a link that broke later is
 * uncertain. With `lookup`, an interrupted stage is asked about: 200 has the output, 404 says not done, all else is unknown.
 */
export function createHttpDriver(options: HttpDriverOptions): AnyDriver {
  checkSource(options.url, 'url');
  if (options.lookup !== undefined) checkSource(options.lookup, 'lookup');
  if (typeof options.lookup === 'string' && !options.lookup.includes('{key}')) {
    throw invalidArgument({ field: 'lookup', message: 'lookup needs {key} where the idempotency key goes' });
  }
  const driver = { execute: (ctx: StageContext) => execute(options, ctx) };
  return options.lookup === undefined ? driver : { ...driver, lookup: (ctx) => lookUp(options, ctx) };
}

async function execute(options: HttpDriverOptions, ctx: StageContext): Promise<unknown> {
  const request = {
    ...requestOf(options, ctx, 'POST', urlOf(options.url, ctx)),
    body: JSON.stringify(stageRequestOf(ctx)),
  };
  const answer = await exchange(
    request,
    exchangeDeps(options, () => ctx.heartbeat()),
  );
  const rules = rulesOf(options, request);
  if (!isSuccess(answer)) throw errorOf(answer, rules);
  return outputOf(answer, rules);
}

async function lookUp(options: HttpDriverOptions, ctx: LookupContext): Promise<LookupAnswer<unknown>> {
  const request = requestOf(options, ctx, 'GET', urlOf(options.lookup ?? '', ctx));
  const answer = await exchange(
    request,
    exchangeDeps(options, () => undefined),
  );
  const rules = rulesOf(options, request);
  if (answer.status === 200) return { kind: 'done', output: outputOf(answer, rules) };
  if (answer.status === 404) return { kind: 'notDone' };
  // What may be told a moment later is asked again by the engine; what will not change is its answer.
  const error = errorOf(answer, rules);
  if (error instanceof FatalError || isSuccess(answer)) return { kind: 'unknown' };
  throw error;
}

function isSuccess(answer: HttpAnswer): boolean {
  return answer.status >= 200 && answer.status < 300;
}

function exchangeDeps(options: HttpDriverOptions, onProgress: () => void): HttpExchangeDeps {
  return {
    fetch: options.fetch ?? fetch,
    maximumResponseBytes: options.maximumResponseBytes ?? defaultMaximumResponseBytes,
    maximumRedirects: options.maximumRedirects ?? defaultMaximumRedirects,
    onProgress,
  };
}

function requestOf(options: HttpDriverOptions, ctx: LookupContext, method: 'GET' | 'POST', url: URL): HttpRequest {
  const own = typeof options.headers === 'function' ? options.headers(ctx) : (options.headers ?? {});
  const headers = new Headers({
    Accept: 'application/json',
    'Idempotency-Key': ctx.idempotencyKey,
    'Cabinet-Fence-Shard': `${ctx.fence.shard}`,
    'Cabinet-Fence-Epoch': `${ctx.fence.epoch}`,
    'Cabinet-Fence-Sequence': `${ctx.fence.sequence}`,
  });
  if (method === 'POST') headers.set('Content-Type', 'application/json');
  for (const [name, value] of Object.entries(own)) {
    try {
      headers.set(name, value);
    } catch {
      // The error of fetch repeats the value.
      throw new FatalError(`the header ${JSON.stringify(name)} cannot be sent`, { code: 'INVALID_HEADER' });
    }
  }
  return { method, url, headers, signal: ctx.signal };
}

function rulesOf(options: HttpDriverOptions, request: HttpRequest): AnswerRules {
  return {
    request: showRequest(request.method, request.url),
    retryableStatuses: options.retryableStatuses ?? defaultRetryableStatuses,
    now: options.clock.now(),
    secrets: secretsOf(request),
  };
}

/** Header values, of `Bearer …` the token alone, and what the query holds. The key and the fence are no secrets. */
function secretsOf({ headers, url }: HttpRequest): readonly string[] {
  const isPublic = /^(accept|content-type|idempotency-key|cabinet-fence-.*)$/;
  const values = [...headers].filter(([name]) => !isPublic.test(name)).map(([, value]) => value);
  const parts = [...values.flatMap((value) => value.split(' ').slice(1)), url.search, ...url.searchParams.values()];
  return [...values, ...parts].filter((secret) => secret.length >= leastSecretLength);
}

function urlOf(source: UrlSource, ctx: LookupContext): URL {
  const given = typeof source === 'function' ? source(ctx) : source;
  const text = typeof given === 'string' ? given.replaceAll('{key}', encodeURIComponent(ctx.idempotencyKey)) : given;
  const url = parseUrl(text);
  if (url === null) {
    throw new FatalError('the URL is not http or https, or holds a user and password', { code: 'INVALID_URL' });
  }
  return url;
}

/** A URL that was given as it is can be checked when the driver is made. It is not echoed: it may hold a password. */
function checkSource(source: UrlSource, field: string): void {
  if (typeof source === 'function' || parseUrl(source) !== null) return;
  throw invalidArgument({
    field,
    message: `${field} must be an http or https URL without user and password`,
    hint: 'put credentials into headers',
  });
}

function parseUrl(value: unknown): URL | null {
  if (typeof value !== 'string' && !(value instanceof URL)) return null;
  try {
    const url = new URL(value);
    const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
    return isHttp && url.username === '' && url.password === '' ? url : null;
  } catch {
    return null;
  }
}
