import { EngineError } from '../../core/errors.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { roles } from '../principal.ts';
import { loginPath, route, type Route } from '../route.ts';
import { integer, object, oneOf, text } from '../schema.ts';
import { countField } from '../schemas/fields.ts';

const whoAnswer = object({
  name: text({ most: 64 }),
  role: oneOf(roles),
  via: oneOf(['bearer', 'session']),
});
const tag = 'session';

/** Log in with a token, log out, who am I, and a ticket for a WebSocket. */
export function sessionRoutes(
  deps: Pick<RouteDeps, 'tokens' | 'sessions' | 'tickets' | 'authenticator'>,
): readonly Route[] {
  const { tokens, sessions, tickets, authenticator } = deps;
  return [
    route({
      method: 'POST',
      path: loginPath,
      role: 'login',
      tag,
      summary: 'Log a browser in: the token for a cookie',
      body: object({ token: text({ most: 256 }) }),
      answer: whoAnswer,
      audit: () => ({ action: 'session.start' }),
      handler: async ({ body, setHeader, noteChange }) => {
        const token = tokens.verify(body.token);
        // One message for every reason: which tokens exist, have expired or were revoked is nobody's concern.
        if (token === null) throw new EngineError('UNAUTHENTICATED', 'the token is not valid');
        setHeader('set-cookie', authenticator.cookie(sessions.start(token.id)));
        noteChange({ after: { tokenId: token.id, name: token.name } });
        return { name: token.name, role: token.role, via: 'session' as const };
      },
    }),
    route({
      method: 'GET',
      path: loginPath,
      role: 'viewer',
      tag,
      summary: 'Who the credential is',
      answer: whoAnswer,
      handler: async ({ principal: { name, role, via } }) => ({ name, role, via }),
    }),
    route({
      method: 'DELETE',
      path: loginPath,
      role: 'viewer',
      tag,
      summary: 'Log out',
      answer: object({ ended: integer(0, 1) }),
      audit: () => ({ action: 'session.end' }),
      handler: async ({ headers, setHeader }) => {
        const key = authenticator.sessionKeyOf(headers);
        if (key !== null) sessions.end(key);
        setHeader('set-cookie', authenticator.cookie(null));
        return { ended: key === null ? 0 : 1 };
      },
    }),
    route({
      method: 'POST',
      path: '/api/session/ticket',
      role: 'viewer',
      tag,
      summary: 'A ticket for one WebSocket handshake',
      answer: object({ ticket: text({ most: 64 }), lifeMs: countField }),
      audit: () => ({ action: 'session.ticket' }),
      handler: async ({ principal }) => tickets.issue(principal),
    }),
  ];
}
