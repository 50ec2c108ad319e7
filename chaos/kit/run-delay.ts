import { readFileSync } from 'node:fs';

/** How long a process was ready to run and had no processor, in milliseconds since its start; 0 where the system does not tell. */
export function runDelayMs(pid: number | 'self'): number {
  try {
    const [, waitedNanos = '0'] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
    return Number(waitedNanos) / 1e6;
  } catch {
    return 0;
  }
}
