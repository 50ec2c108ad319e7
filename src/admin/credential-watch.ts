import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Principal } from './principal.ts';

/** How often credentials are looked at that end by themselves, at their time or unused for too long. */
const lookMs = 500;

interface Watched {
  principal: Principal;
  readonly onChange: (principal: Principal | null) => void;
}

/**
 * Tells connections that last when what they came with is good no more: at once when it is taken back, and within half a second when
 * its time is over.
 */
export class CredentialWatch {
  readonly #clock: Clock;
  readonly #recheck: (principal: Principal) => Principal | null;
  readonly #watched = new Set<Watched>();
  #timer: TimerHandle | null = null;

  constructor(deps: { readonly clock: Clock; readonly recheck: (principal: Principal) => Principal | null }) {
    this.#clock = deps.clock;
    this.#recheck = deps.recheck;
  }

  /**
   * Calls `onChange` with what the principal may from now on, or with null, once, when its credential has ended.
   *
   * @returns ends the watch
   */
  watch(principal: Principal, onChange: (principal: Principal | null) => void): () => void {
    const watched: Watched = { principal, onChange };
    this.#watched.add(watched);
    this.#timer ??= this.#arm();
    return () => this.#forget(watched);
  }

  /** Looks at all that are watched: some credential was taken back. */
  check(): void {
    for (const watched of this.#watched) {
      const now = this.#recheck(watched.principal);
      if (now === null) this.#forget(watched);
      else if (now.role === watched.principal.role) continue;
      else watched.principal = now;
      watched.onChange(now);
    }
  }

  #forget(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): TimerHandle {
    return this.#clock.setTimer(lookMs, () => {
      this.#timer = this.#arm();
      this.check();
    });
  }
}
