interface Watched {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

/**
 * One listener a signal, however many commands wait on it: a caller's one signal for a thousand commands is no leak, and Node
 * warns of more than ten listeners.
 */
export class AbortWatch {
  readonly #bySignal = new Map<AbortSignal, Watched>();

  /** Calls `callback` once when the signal aborts, until the returned function is called. */
  add(signal: AbortSignal, callback: () => void): () => void {
    const watched = this.#bySignal.get(signal) ?? this.#watch(signal);
    watched.callbacks.add(callback);
    return () => {
      watched.callbacks.delete(callback);
      if (watched.callbacks.size > 0) return;
      signal.removeEventListener('abort', watched.listener);
      if (this.#bySignal.get(signal) === watched) this.#bySignal.delete(signal);
    };
  }

  #watch(signal: AbortSignal): Watched {
    const callbacks = new Set<() => void>();
    const listener = (): void => {
      this.#bySignal.delete(signal);
      for (const callback of callbacks) callback();
    };
    signal.addEventListener('abort', listener, { once: true });
    const watched = { callbacks, listener };
    this.#bySignal.set(signal, watched);
    return watched;
  }
}
