import type { JsonValue } from '../core/json.ts';
import type { Principal, Role } from './principal.ts';
import type { Fields, ObjectOf, Schema } from './schema.ts';

/** HTTP methods of routes. GET changes nothing; the others are mutations. */
export type RouteMethod = 'GET' | 'POST' | 'DELETE';

/** Who may use a route. `public` is for {@link publicPaths} only, `login` for the one route that takes the credential itself. */
export type Access = Role | 'public' | 'login';

/** The only addresses that answer without a credential, as whole paths. */
export const publicPaths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/startupz']);
/** The only address that takes the credential in its body. */
export const loginPath = '/api/session';

/** A request, checked. */
export interface RouteRequest<Params = unknown, Query = unknown, Body = unknown> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Who asks; {@link nobody} on public routes and for a login. */
  readonly principal: Principal;
  readonly address: string;
  readonly requestId: string;
  /** Of the header `Idempotency-Key`. */
  readonly idempotencyKey: string | undefined;
  readonly headers: Headers;
  /** Adds a header to the answer. */
  readonly setHeader: (name: string, value: string) => void;
  /** Another status than the route's own. */
  readonly setStatus: (status: number) => void;
  /** What the audit log shall tell of the change, where it is cheap to know. */
  readonly noteChange: (change: { readonly before?: JsonValue; readonly after?: JsonValue }) => void;
}

/** What the audit log says an action is about. */
export interface AuditSubject {
  readonly action: string;
  readonly target?: string | null | undefined;
  readonly reason?: string | undefined;
  readonly commandId?: string | undefined;
}

/** One entry of the route table: all that the server and its OpenAPI document know of an address. */
export interface Route {
  readonly method: RouteMethod;
  /** With parameters as `:name`. */
  readonly path: string;
  readonly role: Access;
  readonly tag: string;
  readonly summary: string;
  readonly params: Fields;
  readonly query: Fields;
  readonly body: Schema<unknown> | null;
  readonly answer: Schema<unknown> | 'text';
  readonly status: number;
  /** Of a mutation: what to write down before it takes effect. */
  readonly audit: ((request: RouteRequest) => AuditSubject) | null;
  readonly handler: (request: RouteRequest) => Promise<unknown>;
}

const noFields = {} as const;

/** A route, with its handler typed by its schemas. */
export function route<
  const Params extends Fields = typeof noFields,
  const Query extends Fields = typeof noFields,
  Body = null,
  Answer = unknown,
>(definition: {
  readonly method: RouteMethod;
  readonly path: string;
  readonly role: Access;
  readonly tag: string;
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Schema<Body>;
  readonly answer: Schema<Answer> | 'text';
  readonly status?: number;
  readonly audit?: (request: RouteRequest<ObjectOf<Params>, ObjectOf<Query>, Body>) => AuditSubject;
  readonly handler: (request: RouteRequest<ObjectOf<Params>, ObjectOf<Query>, Body>) => Promise<NoInfer<Answer>>;
}): Route {
  const { params, query, body, status, audit, handler } = definition;
  return {
    ...definition,
    params: params ?? noFields,
    query: query ?? noFields,
    body: body ?? null,
    status: status ?? 200,
    audit: (audit ?? null) as Route['audit'],
    // The server reads params, query and body by these very schemas before it calls the handler.
    handler: handler as Route['handler'],
  };
}

/** The principal of a request that needs none. */
export const nobody: Principal = { tokenId: '', name: 'nobody', role: 'viewer', via: 'bearer' };
