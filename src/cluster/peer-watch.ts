import type { Clock, TimerHandle } from '../ports/clock.ts';
import {
  detectorDefaults,
  newPeer,
  observePeer,
  type DetectorPolicy,
  type PeerEvent,
  type PeerState,
} from './failure-detector.ts';
import { memberKey, type MemberIdentity } from './membership.ts';

/**
 * What a heartbeat request came to. `refused`: nobody serves the peer's subject, or another incarnation does. `timedOut`: it
 * alone is silent, for the observer reached itself meanwhile. `cutOff`: the observer has no link, or could not reach itself either.
 */
export type Heartbeat = 'answered' | 'refused' | 'timedOut' | 'cutOff';

/** What {@link PeerWatch} asks of the outside. */
export interface PeerWatchDeps {
  readonly clock: Clock;
  /** Asks a peer whether it is there. Never rejects. */
  readonly ping: (peer: MemberIdentity, timeoutMs: number) => Promise<Heartbeat>;
  /** A peer went down or came back. */
  readonly onChange: (peer: MemberIdentity, state: PeerState) => void;
  readonly policy?: DetectorPolicy;
}

interface Watched {
  readonly peer: MemberIdentity;
  state: PeerState;
  timer: TimerHandle | null;
}

/** Watches the other nodes by heartbeat, each by the failure detector's rules. Its word decides who tries, never who may write. */
export class PeerWatch {
  readonly #deps: PeerWatchDeps;
  readonly #policy: DetectorPolicy;
  readonly #watched = new Map<string, Watched>();
  #closed = false;

  constructor(deps: PeerWatchDeps) {
    this.#deps = deps;
    this.#policy = deps.policy ?? detectorDefaults;
  }

  /** Keys of the peers that are held to be down. */
  get down(): ReadonlySet<string> {
    return new Set([...this.#watched].filter(([, { state }]) => state.status === 'down').map(([key]) => key));
  }

  /** The peers that have leases now: new ones are watched, those that are gone are not any more. */
  setPeers(peers: readonly MemberIdentity[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map((peer) => [memberKey(peer), peer]));
    for (const [key, watched] of this.#watched) {
      if (wanted.has(key)) continue;
      watched.timer?.cancel();
      this.#watched.delete(key);
    }
    for (const [key, peer] of wanted) {
      if (this.#watched.has(key)) continue;
      const watched: Watched = { peer, state: newPeer(this.#deps.clock.monotonicMs()), timer: null };
      this.#watched.set(key, watched);
      this.#arm(key, watched);
    }
  }

  /** A process that somebody on its machine has seen end: it is down at once, without heartbeats. */
  exited(peer: MemberIdentity): void {
    const watched = this.#watched.get(memberKey(peer));
    if (watched !== undefined) this.#observe(watched, { type: 'child.exited', atMs: this.#deps.clock.monotonicMs() });
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#watched.values()) timer?.cancel();
    this.#watched.clear();
  }

  #arm(key: string, watched: Watched): void {
    watched.timer?.cancel();
    watched.timer = null;
    const { nextCheckAtMs } = watched.state;
    if (nextCheckAtMs === null || this.#closed) return;
    const delayMs = Math.max(0, nextCheckAtMs - this.#deps.clock.monotonicMs());
    watched.timer = this.#deps.clock.setTimer(delayMs, () => void this.#check(key, watched));
  }

  async #check(key: string, watched: Watched): Promise<void> {
    const { clock, ping } = this.#deps;
    const sentAtMs = clock.monotonicMs();
    const outcome = await ping(watched.peer, this.#policy.heartbeatTimeoutMs);
    if (this.#closed || this.#watched.get(key) !== watched) return;
    this.#observe(watched, { type: `heartbeat.${outcome}`, sentAtMs, atMs: clock.monotonicMs() });
    this.#arm(key, watched);
  }

  #observe(watched: Watched, event: PeerEvent): void {
    const before = watched.state.status;
    watched.state = observePeer(this.#policy, watched.state, event);
    const isDown = watched.state.status === 'down';
    if (isDown !== (before === 'down')) this.#deps.onChange(watched.peer, watched.state);
  }
}
