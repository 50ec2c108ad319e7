import type { ErrorReport } from './types.ts';

/** An error as the API told it, or the network's, with what a person needs to ask somebody else. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly hint: string | null;
  readonly field: string | null;
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    report: Partial<ErrorReport> & { readonly message: string; readonly requestId?: string | undefined },
  ) {
    super(report.message);
    this.name = 'ApiError';
    this.status = status;
    this.code = report.code ?? (status === 0 ? 'UNREACHABLE' : `HTTP_${status}`);
    this.hint = report.hint ?? null;
    this.field = report.field ?? null;
    this.requestId = report.requestId ?? null;
    this.retryAfterMs = report.retryAfterMs ?? null;
  }
}

/** Any error as one that can be shown. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'TimeoutError') return new ApiError(0, { message: 'the server did not answer in time' });
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(-1, { message, hint: 'a bug of the page; reload it' });
}

/** A value of a URL's query; a list is given by repeating the name. */
export type QueryValue = string | number | boolean | undefined | readonly (string | number)[];

/** Longest wait for an answer; a cluster call may take its deadline of ten seconds. */
const timeoutMs = 20_000;
let onLoggedOut: () => void = () => undefined;

/** Sets what happens when the server says that nobody is logged in any more. */
export function whenLoggedOut(handler: () => void): void {
  onLoggedOut = handler;
}

/** GET as JSON. @throws ApiError */
export function get<Answer>(
  path: string,
  query: Readonly<Record<string, QueryValue>> = {},
  signal?: AbortSignal,
): Promise<Answer> {
  return send<Answer>('GET', pathWith(path, query), undefined, signal);
}

/** GET as text. @throws ApiError */
export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const answer = await reach(path, { method: 'GET', signal: within(signal) });
  if (!answer.ok) throw await errorOf(answer);
  return answer.text();
}

/** POST of JSON. @throws ApiError */
export function post<Answer>(path: string, body: unknown): Promise<Answer> {
  return send<Answer>('POST', path, body);
}

/** DELETE, with or without a body of JSON. @throws ApiError */
export function remove<Answer>(path: string, body?: unknown): Promise<Answer> {
  return send<Answer>('DELETE', path, body);
}

/** A path with its query. */
export function pathWith(path: string, query: Readonly<Record<string, QueryValue>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

async function send<Answer>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Answer> {
  const isMutation = method !== 'GET';
  const answer = await reach(path, {
    method,
    signal: within(signal),
    ...(isMutation ? { headers: { 'content-type': 'application/json', 'x-cabinet-request': '1' } } : {}),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw await errorOf(answer);
  return (await answer.json()) as Answer;
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, credentials: 'same-origin', cache: 'no-store', redirect: 'error' });
  } catch (error) {
    if (init.signal?.aborted === true && (init.signal.reason as Error).name === 'AbortError') throw error;
    throw new ApiError(0, {
      message: 'the server does not answer',
      hint: 'what is shown is what was loaded last; the page keeps trying',
    });
  }
}

function within(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

async function errorOf(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => null)) as { readonly error?: ErrorReport } | null;
  const report = body?.error ?? { message: `the server answered ${answer.status}` };
  const requestId = answer.headers.get('x-request-id') ?? undefined;
  const error = new ApiError(answer.status, { requestId, ...report });
  if (error.code === 'UNAUTHENTICATED') onLoggedOut();
  return error;
}
