import type { AccessToken } from '../admin/access-tokens.ts';
import { roles } from '../admin/principal.ts';
import { instant, listOf, membersOf, name, nullable, wordOf } from '../core/shape.ts';
import type { ApiAccess } from './api-connection.ts';

const members = { id: name, name, role: wordOf(roles), createdAt: instant, expiresAt: nullable(instant) } as const;

/** A token that was just made. */
export const madeTokenShape = membersOf({ ...members, token: name });
/** A token that was revoked. */
export const revokedTokenShape = membersOf({ id: name });

const listShape = membersOf({ tokens: listOf(membersOf(members)) });

/** All tokens, without their secrets. @throws EngineError as `ApiAccess.ask` */
export async function readTokens(api: ApiAccess): Promise<readonly AccessToken[]> {
  const answer = await api.ask<{ readonly tokens: readonly AccessToken[] }>({
    method: 'GET',
    path: '/api/tokens',
    shape: listShape,
  });
  return answer.tokens;
}
