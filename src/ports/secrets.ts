/** Chance that nobody can guess: for tokens and session keys, and for nothing else. */
export interface Secrets {
  /** That many unpredictable bytes. */
  bytes(count: number): Uint8Array;
}
