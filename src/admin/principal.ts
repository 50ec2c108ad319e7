/** What a credential may do; each role may all that the ones before it may. */
export const roles = ['viewer', 'operator', 'admin'] as const;

/**
 * One of {@link roles}.
 *
 * - `viewer`: sees tasks, pipelines, the cluster and metrics
 * - `operator`: submits and commands tasks, one by one and in bulk
 * - `admin`: commands nodes, reads the audit log, makes and revokes tokens
 */
export type Role = (typeof roles)[number];

/** Who asks, as the credential says: never as the request says. */
export type Principal = {
  readonly tokenId: string;
  readonly name: string;
  readonly role: Role;
} & Credential;

/**
 * What the principal came with. A browser's session needs the proofs against forged requests, and what was let in by it ends with it:
 * `sessionId` is no secret.
 */
export type Credential = { readonly via: 'bearer' } | { readonly via: 'session'; readonly sessionId: string };

/** Whether `role` may what `needed` may. */
export function hasRole(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}
