import { signal } from '@preact/signals';
import { get, post, remove, whenLoggedOut, ApiError } from './api/http.ts';
import type { Role, Who } from './api/types.ts';

/** Who is logged in; null: nobody; undefined: not known yet. */
export const who = signal<Who | null | undefined>(undefined);

const ranks: readonly Role[] = ['viewer', 'operator', 'admin'];

/** Whether the one who is logged in may do what that role may. */
export function may(role: Role): boolean {
  const { value } = who;
  return value !== null && value !== undefined && ranks.indexOf(value.role) >= ranks.indexOf(role);
}

/** Asks the server who is logged in. @throws ApiError when it does not answer */
export async function readSession(): Promise<void> {
  whenLoggedOut(() => (who.value = null));
  try {
    who.value = await get<Who>('/api/session');
  } catch (error) {
    if (error instanceof ApiError && error.code === 'UNAUTHENTICATED') who.value = null;
    else throw error;
  }
}

/** Trades a token for a session. @throws ApiError */
export async function logIn(token: string): Promise<void> {
  who.value = await post<Who>('/api/session', { token });
}

/** Ends the session. @throws ApiError */
export async function logOut(): Promise<void> {
  await remove('/api/session');
  who.value = null;
}
