import type { HealthCheck, RouteDeps } from '../admin-deps.ts';
import { route, type Route, type RouteRequest } from '../route.ts';
import { flag, listOf, object, optional, text } from '../schema.ts';

const healthAnswer = object({ ok: flag() });
const checksAnswer = object({
  ok: flag(),
  checks: listOf(object({ name: text({ most: 128 }), isGood: flag(), detail: optional(text({ most: 1_000 })) }), 1_000),
});
const tag = 'health';

/** Whether the process lives, is ready and has started; these alone need no credential, so they tell nothing but yes or no. */
export function healthRoutes({ health, metrics }: Pick<RouteDeps, 'health' | 'metrics'>): readonly Route[] {
  const open = { method: 'GET', role: 'public', tag, answer: healthAnswer } as const;
  return [
    route({
      ...open,
      path: '/livez',
      summary: 'Whether the process lives; else restart it',
      handler: (request) => answer(request, areGood(health.live())),
    }),
    route({
      ...open,
      path: '/readyz',
      summary: 'Whether the process can serve now',
      handler: (request) => answer(request, health.started() && areGood(health.ready())),
    }),
    route({
      ...open,
      path: '/startupz',
      summary: 'Whether the process has started',
      handler: (request) => answer(request, health.started()),
    }),
    route({
      method: 'GET',
      path: '/api/health',
      role: 'viewer',
      tag,
      summary: 'Each check of health',
      answer: checksAnswer,
      handler: async () => {
        const checks = [...health.live(), ...health.ready()];
        return { ok: health.started() && areGood(checks), checks };
      },
    }),
    route({
      method: 'GET',
      path: '/metrics',
      role: 'viewer',
      tag,
      summary: 'Metrics in the text format of Prometheus',
      answer: 'text',
      handler: () => metrics(),
    }),
  ];
}

function areGood(checks: readonly HealthCheck[]): boolean {
  return checks.every(({ isGood }) => isGood);
}

async function answer(request: RouteRequest, ok: boolean): Promise<{ ok: boolean }> {
  if (!ok) request.setStatus(503);
  return { ok };
}
