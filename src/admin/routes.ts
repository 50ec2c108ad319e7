import type { RouteDeps } from './admin-deps.ts';
import { openApiDocument } from './openapi.ts';
import type { JsonValue } from '../core/json.ts';
import { auditRoutes } from './routes/audit.ts';
import { bulkRoutes } from './routes/bulk.ts';
import { clusterRoutes } from './routes/cluster.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { healthRoutes } from './routes/health.ts';
import { pipelineRoutes } from './routes/pipelines.ts';
import { sessionRoutes } from './routes/session.ts';
import { taskCommandRoutes } from './routes/task-commands.ts';
import { taskRoutes } from './routes/tasks.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { route, type Route } from './route.ts';
import { anyJson } from './schema.ts';

/** All routes of the admin API: the server, its OpenAPI document and the tests of rights are made of this one table. */
export function adminRoutes(deps: RouteDeps, version: string): readonly Route[] {
  const routes = [
    ...healthRoutes(deps),
    ...sessionRoutes(deps),
    ...tokenRoutes(deps),
    ...taskRoutes(deps),
    ...taskCommandRoutes(deps),
    ...deadLetterRoutes(deps),
    ...pipelineRoutes(deps),
    ...clusterRoutes(deps),
    ...bulkRoutes(deps),
    ...auditRoutes(deps),
  ];
  const description = route({
    method: 'GET',
    path: '/api/openapi.json',
    role: 'viewer',
    tag: 'description',
    summary: 'This API as an OpenAPI 3.1 document',
    answer: anyJson('an OpenAPI 3.1 document'),
    handler: async () => document,
  });
  const all = [...routes, description];
  // Through JSON once, so that what is answered is what a client reads.
  const document = JSON.parse(JSON.stringify(openApiDocument(all, version))) as JsonValue;
  return all;
}
