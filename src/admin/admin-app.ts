import { Hono } from 'hono';
import { EngineError, type ErrorCode } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import type { AuditSink } from './audit-sink.ts';
import { AuditTrail } from './audit-trail.ts';
import type { Authenticator } from './authenticator.ts';
import { readJsonBody, refuseBody } from './body-reader.ts';
import { errorAnswerOf } from './error-answer.ts';
import { hasRole, type Principal } from './principal.ts';
import { readQuery, scalarOf } from './query-text.ts';
import type { PageFiles } from './page-files.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { checkOrigin, maximumBodyBytes, methodRefused } from './request-guard.ts';
import { nobody, type Route, type RouteRequest } from './route.ts';
import { buildRouteTable } from './route-table.ts';
import { object } from './schema.ts';
import { headersOf } from './security-headers.ts';

/** What the server tells of a request beside the request itself. */
export interface AppBindings {
  /** Of the socket, never of a header. */
  readonly address: string;
}

/** When to ask again an API that starts. */
const startRetryMs = 1_000;

/** What {@link AdminApp} works with. */
export interface AdminAppDeps {
  /** Whether tokens and bulk actions are read. */
  readonly hasOpened: () => boolean;
  readonly routes: readonly Route[];
  readonly authenticator: Authenticator;
  readonly audit: Pick<AuditSink, 'append'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly isTls: boolean;
  /** The console's page. It holds no data, and is all that answers without a credential beside the health paths. */
  readonly page: PageFiles;
  /** Of each principal's requests. */
  readonly requests: RateLimiter;
  /** Of requests without a good credential, by address. */
  readonly strangers: RateLimiter;
  /** Of failed logins, by address. */
  readonly logins: RateLimiter;
}

/** What is known of a request so far, for the answer, the log and the audit log. */
interface Exchange {
  readonly request: Request;
  readonly path: string;
  readonly requestId: string;
  readonly address: string;
  readonly headers: Headers;
  principal: Principal | null;
}

/**
 * The admin API as a function of a request: who asks, may he, what exactly, write it down, do it, answer. In this order for every route of
 * the table; no route has a way around it.
 */
export class AdminApp {
  readonly #deps: AdminAppDeps;
  readonly #app = new Hono<{ Bindings: AppBindings }>();

  readonly #trail: AuditTrail;

  constructor(deps: AdminAppDeps) {
    this.#deps = deps;
    this.#trail = new AuditTrail({ sink: deps.audit, clock: deps.clock, logger: deps.logger });
    for (const [path, methods] of buildRouteTable(deps.routes)) {
      this.#app.all(path, (context) =>
        this.#exchange(context.req.raw, context.req.path, context.env, (exchange) =>
          this.#serve(exchange, methods, context.req.param()),
        ),
      );
    }
    this.#app.notFound((context) =>
      this.#exchange(context.req.raw, context.req.path, context.env, async (exchange) => {
        const file = this.#deps.page.answer(exchange.request, exchange.path, exchange.headers);
        if (file !== null) return file;
        // A stranger is not told which addresses exist.
        await this.#requirePrincipal(exchange, null);
        throw new EngineError('NOT_FOUND', 'there is nothing at that address', { field: 'path', got: exchange.path });
      }),
    );
  }

  /** The answer to a request. Never rejects. */
  fetch(request: Request, bindings: AppBindings): Promise<Response> {
    return Promise.resolve(this.#app.fetch(request, bindings));
  }

  async #exchange(
    request: Request,
    path: string,
    { address }: AppBindings,
    answer: (exchange: Exchange) => Promise<Response>,
  ): Promise<Response> {
    const requestId = this.#deps.random.id();
    const headers = new Headers({ ...headersOf(this.#deps.isTls), 'x-request-id': requestId });
    const exchange: Exchange = { request, path, requestId, address, headers, principal: null };
    try {
      return await answer(exchange);
    } catch (thrown) {
      return this.#refuse(exchange, thrown);
    }
  }

  #refuse(exchange: Exchange, thrown: unknown): Response {
    const { requestId, headers, address, request, principal } = exchange;
    const { status, body, error } = errorAnswerOf(thrown, requestId);
    const fields = { requestId, code: error.code, status, method: request.method, address, principal: principal?.name };
    if (error.code === 'INTERNAL') this.#deps.logger.error({ ...fields, err: error }, 'an admin request met a bug');
    else this.#deps.logger.info(fields, 'an admin request was refused');
    headers.set('content-type', 'application/json; charset=utf-8');
    if (error.code === 'UNAUTHENTICATED') headers.set('www-authenticate', 'Bearer');
    if (error.code === 'METHOD_NOT_ALLOWED' && error.limit !== undefined) headers.set('allow', error.limit);
    if (error.retryAfterMs !== undefined) headers.set('retry-after', String(Math.ceil(error.retryAfterMs / 1_000)));
    // What is left of a body that was not read is not worth reading.
    if (status === 413) headers.set('connection', 'close');
    return new Response(JSON.stringify(body), { status, headers });
  }

  async #serve(
    exchange: Exchange,
    methods: ReadonlyMap<string, Route>,
    params: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const { request, address } = exchange;
    const route = methods.get(request.method === 'HEAD' ? 'GET' : request.method);
    const isMutation = route !== undefined && route.method !== 'GET';
    if (route?.role !== 'public' && !this.#deps.hasOpened()) {
      // A good token is not known yet: to call it a bad one would end the work of whoever has it.
      throw new EngineError('UNAVAILABLE', 'the admin API is about to start', { retryAfterMs: startRetryMs });
    }
    if (route?.role !== 'public' && route?.role !== 'login') await this.#requirePrincipal(exchange, route ?? null);
    if (route === undefined) throw methodRefused(request.method, [...methods.keys()]);
    const { principal } = exchange;
    if (route.role === 'login') this.#deps.logins.check(address);
    try {
      if (route.role !== 'public') {
        checkOrigin({ isMutation, headers: request.headers, isTls: this.#deps.isTls }, principal);
      }
      if (principal !== null && !hasRole(principal.role, route.role as Principal['role'])) {
        throw new EngineError('FORBIDDEN', `that needs the role ${route.role}`, {
          limit: route.role,
          got: principal.role,
        });
      }
    } catch (error) {
      await this.#auditRefusal(exchange, route, error);
      throw error;
    }
    return this.#run(exchange, route, params);
  }

  /** Who asks. @throws EngineError `UNAUTHENTICATED`, `RATE_LIMITED` */
  async #requirePrincipal(exchange: Exchange, route: Route | null): Promise<void> {
    const { authenticator, requests, strangers } = this.#deps;
    const principal = authenticator.identify(exchange.request.headers);
    exchange.principal = principal;
    if (principal !== null) {
      requests.take(principal.tokenId);
      return;
    }
    // Past this limit a stranger is not even written down: he could fill the audit log.
    strangers.take(exchange.address);
    const error = new EngineError('UNAUTHENTICATED', 'a valid credential is needed', {
      hint: 'send Authorization: Bearer <token>, or log in',
    });
    if (route !== null) await this.#auditRefusal(exchange, route, error);
    throw error;
  }

  async #run(exchange: Exchange, route: Route, params: Readonly<Record<string, string>>): Promise<Response> {
    const { request, requestId, address, headers } = exchange;
    const isMutation = route.method !== 'GET';
    if (!isMutation) refuseBody(request.headers);
    const url = new URL(request.url);
    const body = isMutation ? await readJsonBody(request, maximumBodyBytes) : null;
    let status = route.status;
    let change: { readonly before?: JsonValue; readonly after?: JsonValue } = {};
    const routeRequest: RouteRequest = {
      params: readParams(route, params),
      query: readQuery(route.query, url.searchParams),
      body: readBody(route, body),
      principal: exchange.principal ?? nobody,
      address,
      requestId,
      idempotencyKey: request.headers.get('idempotency-key') ?? undefined,
      headers: request.headers,
      setHeader: (name, value) => headers.append(name, value),
      setStatus: (value) => (status = value),
      noteChange: (value) => (change = value),
    };
    const subject = route.audit?.(routeRequest) ?? null;
    if (subject !== null) await this.#trail.before(exchange, subject);
    let answer: unknown;
    try {
      answer = await route.handler(routeRequest);
    } catch (error) {
      if (route.role === 'login') this.#countFailedLogin(address, error);
      if (subject !== null)
        await this.#trail.after(exchange, subject, { outcome: 'failed', code: codeOf(error), ...change });
      throw error;
    }
    if (subject !== null) await this.#trail.after(exchange, subject, { outcome: 'done', ...change });
    const isText = route.answer === 'text';
    headers.set(
      'content-type',
      isText ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json; charset=utf-8',
    );
    return new Response(isText ? String(answer) : JSON.stringify(answer), { status, headers });
  }

  #countFailedLogin(address: string, error: unknown): void {
    if (codeOf(error) !== 'UNAUTHENTICATED') return;
    this.#deps.logger.warn({ address }, 'a login failed');
    this.#deps.logins.take(address);
  }

  async #auditRefusal(exchange: Exchange, route: Route, error: unknown): Promise<void> {
    if (route.method === 'GET') return;
    // The body of a refused request is not looked at: what it is about is told by its address.
    const subject = { action: `${route.method} ${route.path}`, target: exchange.path };
    await this.#trail.after(exchange, subject, { outcome: 'refused', code: codeOf(error) });
  }
}

function readParams({ params }: Route, given: Readonly<Record<string, string>>): unknown {
  return Object.fromEntries(
    Object.entries(params).map(([name, schema]) => [name, schema.read(scalarOf(given[name] ?? '', schema.json), name)]),
  );
}

function readBody({ body: schema }: Route, body: JsonValue | null): unknown {
  if (schema !== null) return schema.read(body ?? undefined, 'body');
  // A client that sends `{}` where nothing is asked for means no harm.
  if (body !== null) object({}).read(body, 'body');
  return null;
}

function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof EngineError ? thrown.code : 'INTERNAL';
}
