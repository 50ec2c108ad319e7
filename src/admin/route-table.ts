import { EngineError } from '../core/errors.ts';
import { roles } from './principal.ts';
import { loginPath, publicPaths, type Route } from './route.ts';

const accesses: ReadonlySet<unknown> = new Set([...roles, 'public', 'login']);
const pathPattern = /^(\/[a-z][a-z0-9.-]*|\/:[a-zA-Z]+)+$/;

/** Routes of one path, by method. */
export type RoutesByPath = ReadonlyMap<string, ReadonlyMap<string, Route>>;

/**
 * The routes by path and method, checked. A server with a route that nobody has thought about does not start.
 *
 * @throws EngineError `CONFIG_INVALID` for a route without a role, one that answers without a credential and is none of the health
 *   paths, a mutation that is not audited, a GET with a body, a parameter without a schema, or two routes of one address
 */
export function buildRouteTable(routes: readonly Route[]): RoutesByPath {
  const table = new Map<string, Map<string, Route>>();
  for (const route of routes) {
    checkRoute(route);
    const methods = table.get(route.path) ?? new Map<string, Route>();
    if (methods.has(route.method)) throw refuse(route, 'is there twice');
    methods.set(route.method, route);
    table.set(route.path, methods);
  }
  return table;
}

/** The names of a path's parameters. */
export function parametersOf(path: string): readonly string[] {
  return [...path.matchAll(/:([a-zA-Z]+)/g)].map((match) => match[1] as string);
}

function checkRoute(route: Route): void {
  const { path, method, role, audit, body, params } = route;
  if (!pathPattern.test(path)) throw refuse(route, 'has a path of another form');
  if (!accesses.has(role)) throw refuse(route, `has no role of ${roles.join(', ')}`);
  if (role === 'public' && !publicPaths.has(path)) throw refuse(route, 'must not answer without a credential');
  if (role === 'login' && (path !== loginPath || method !== 'POST')) throw refuse(route, 'is not the login');
  if (method === 'GET' && body !== null) throw refuse(route, 'takes a body');
  if (method !== 'GET' && audit === null) throw refuse(route, 'is a mutation that is not audited');
  const names = parametersOf(path);
  const isDescribed = names.every((name) => Object.hasOwn(params, name));
  if (!isDescribed || Object.keys(params).length !== names.length)
    throw refuse(route, 'has other parameters than its path');
}

function refuse({ method, path }: Route, what: string): EngineError {
  return new EngineError('CONFIG_INVALID', `route ${method} ${path} ${what}`, { field: 'routes', got: path });
}
