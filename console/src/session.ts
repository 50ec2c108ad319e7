import { signal } from '@preact/signals';
import { get, post, remove, whenLoggedOut, ApiError } from './api/http.ts';
import type { Role, Who } from './api/types.ts';
import { store, stored } from './stored.ts';

/** Who is logged in; null: nobody; undefined: not known yet. */
export const who = signal<Who | null | undefined>(undefined);

// The cookie cannot be seen by the page. Whether there may be a session is noted, so that a first visit asks for none.
const sessionKey = 'cabinet.session';

const ranks: readonly Role[] = ['viewer', 'operator', 'admin'];

/** Whether the one who is logged in may do what that role may. */
export function may(role: Role): boolean {
  const { value } = who;
  return value !== null && value !== undefined && ranks.indexOf(value.role) >= ranks.indexOf(role);
}

/** Asks the server who is logged in. @throws ApiError when it does not answer */
export async function readSession(): Promise<void> {
  whenLoggedOut(forget);
  if (stored(sessionKey) === null) {
    who.value = null;
    return;
  }
  try {
    who.value = await get<Who>('/api/session');
  } catch (error) {
    if (error instanceof ApiError && error.code === 'UNAUTHENTICATED') forget();
    else throw error;
  }
}

/** Trades a token for a session. @throws ApiError */
export async function logIn(token: string): Promise<void> {
  who.value = await post<Who>('/api/session', { token });
  store(sessionKey, '1');
}

/** Ends the session. @throws ApiError */
export async function logOut(): Promise<void> {
  await remove('/api/session');
  forget();
}

function forget(): void {
  who.value = null;
  store(sessionKey, null);
}
