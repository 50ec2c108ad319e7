import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 20;

/** Resolves after that time. Only the rhythm of faults is slept; results are waited for with {@link until}. */
export async function pause(delayMs: number): Promise<void> {
  await sleep(delayMs);
}

/** Resolves when the condition holds, with how long that took. @throws Error with `what` when it does not within the time */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<number> {
  const startedMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startedMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(pollMs);
  }
  return performance.now() - startedMs;
}
