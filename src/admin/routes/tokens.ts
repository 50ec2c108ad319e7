import type { RouteDeps } from '../admin-deps.ts';
import { maximumTokens } from '../access-tokens.ts';
import { roles } from '../principal.ts';
import { route, type Route } from '../route.ts';
import { integer, listOf, nullable, object, oneOf, optional, text } from '../schema.ts';
import { instantField, reasonField } from '../schemas/fields.ts';

const nameField = text({ most: 64, pattern: /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, about: 'who uses it' });
const tokenIdField = text({ most: 16, pattern: /^[0-9a-f]{16}$/ });
const tokenFields = {
  id: tokenIdField,
  name: nameField,
  role: oneOf(roles),
  createdAt: instantField,
  expiresAt: nullable(instantField),
} as const;
const tag = 'tokens';

/** The tokens of the admin API: list, make, revoke. */
export function tokenRoutes({ tokens, sessions }: Pick<RouteDeps, 'tokens' | 'sessions'>): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/tokens',
      role: 'admin',
      tag,
      summary: 'All tokens, without their secrets',
      answer: object({ tokens: listOf(object(tokenFields), maximumTokens) }),
      handler: async () => ({ tokens: tokens.list() }),
    }),
    route({
      method: 'POST',
      path: '/api/tokens',
      role: 'admin',
      tag,
      summary: 'Make a token; the answer is the only place where it is shown',
      status: 201,
      body: object({
        name: nameField,
        role: oneOf(roles),
        expiresAt: optional(instantField),
        reason: optional(reasonField),
      }),
      answer: object({ ...tokenFields, token: text({ most: 256 }) }),
      audit: ({ body }) => ({ action: 'token.create', target: body.name, reason: body.reason }),
      handler: async ({ body, noteChange }) => {
        const { text: secret, token } = await tokens.create(body);
        noteChange({ after: { id: token.id, name: token.name, role: token.role } });
        return { ...token, token: secret };
      },
    }),
    route({
      method: 'DELETE',
      path: '/api/tokens/:tokenId',
      role: 'admin',
      tag,
      summary: 'Revoke a token and end its sessions',
      params: { tokenId: tokenIdField },
      body: optional(object({ reason: optional(reasonField) })),
      answer: object({ id: tokenIdField, sessionsLeft: integer(0, 0) }),
      audit: ({ params, body }) => ({ action: 'token.revoke', target: params.tokenId, reason: body?.reason }),
      handler: async ({ params, noteChange }) => {
        const { id, name, role } = await tokens.revoke(params.tokenId);
        sessions.endAllOf(id);
        noteChange({ before: { id, name, role } });
        return { id, sessionsLeft: 0 };
      },
    }),
  ];
}
