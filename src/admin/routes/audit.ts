import type { JsonValue } from '../../core/json.ts';
import { invalidArgument } from '../../core/errors.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { route, type Route } from '../route.ts';
import { anyJson, integer, listOf, nullable, object, oneOf, optional, text } from '../schema.ts';
import { cursorField, instantField } from '../schemas/fields.ts';

const maximumRows = 500;
/** Longest span that one query may ask for. */
const maximumSpanMs = 31 * 24 * 3_600_000;
const wordField = text({ most: 256, about: 'literal; no wildcards' });

/** The audit log, read only. */
export function auditRoutes({ audit, clock }: Pick<RouteDeps, 'audit' | 'clock'>): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/audit',
      role: 'admin',
      tag: 'audit',
      summary: 'What was asked of the engine, by whom, allowed or refused; the newest first, at most 31 days',
      query: {
        principal: optional(wordField),
        action: optional(wordField),
        target: optional(wordField),
        outcome: optional(oneOf(['allowed', 'refused', 'done', 'failed'])),
        from: optional(instantField),
        before: optional(instantField),
        limit: optional(integer(1, maximumRows)),
        cursor: optional(cursorField),
      },
      answer: object({
        entries: listOf(anyJson('a line of the audit log'), maximumRows),
        next: nullable(text({ most: 2_048 })),
      }),
      handler: async ({ query }) => {
        const before = query.before ?? clock.now() + 1;
        const from = query.from ?? before - maximumSpanMs;
        if (before - from > maximumSpanMs) {
          throw invalidArgument({
            field: 'from',
            message: 'the span is too long',
            limit: '31 days',
            got: before - from,
          });
        }
        const page = await audit.list({ ...query, from, before, limit: query.limit ?? 100 });
        return { entries: page.entries as unknown as readonly JsonValue[], next: page.next };
      },
    }),
  ];
}
