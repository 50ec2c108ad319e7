import { userInfo } from 'node:os';

/** Who runs this process, as the system calls him; `unknown` where it has no name for him, as in some containers. */
export function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}
