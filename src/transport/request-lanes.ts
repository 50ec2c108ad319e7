import type { ShardId } from '../core/ids.ts';
import { maximumCommandsPerRequest } from '../core/protocol.ts';
import type { Clock } from '../ports/clock.ts';
import type { PendingCommand } from './pending-command.ts';
import { envelopeOverheadBytes } from './request-codec.ts';

/** Bounds of {@link RequestLanes}. */
export interface RequestLaneLimits {
  /** Largest request in bytes, headroom for the bus left off. */
  readonly maximumRequestBytes: number;
  /** Requests in flight to one shard; more commands wait and share the next envelope. */
  readonly maximumRequestsPerShard: number;
  /** Requests in flight to all shards. */
  readonly maximumRequestsInFlight: number;
  /** Waiting reads and lists in flight, each in a request of its own. */
  readonly maximumWaitsInFlight: number;
}

interface Lane {
  queue: PendingCommand[];
  inFlight: number;
}

/**
 * One queue a shard, from which commands leave together: all of one turn, and all that came while the shard had as many
 * requests in flight as it may have. So envelopes grow under load, and a lone command leaves in the turn it came.
 */
export class RequestLanes {
  readonly #clock: Clock;
  readonly #limits: RequestLaneLimits;
  readonly #request: (shard: ShardId, batch: readonly PendingCommand[]) => Promise<void>;
  readonly #lanes = new Map<ShardId, Lane>();
  /** Shards that have commands to send and may send, in the order of their turn. */
  readonly #ready = new Set<ShardId>();
  #waits: PendingCommand[] = [];
  #inFlight = 0;
  #waitsInFlight = 0;
  #pumpScheduled = false;

  constructor(deps: {
    readonly clock: Clock;
    readonly limits: RequestLaneLimits;
    /** Sends one envelope; resolves when its answer was handled. Must not reject. */
    readonly request: (shard: ShardId, batch: readonly PendingCommand[]) => Promise<void>;
  }) {
    this.#clock = deps.clock;
    this.#limits = deps.limits;
    this.#request = deps.request;
  }

  /** Queues a command. Its bytes fit into a request. */
  add(pending: PendingCommand): void {
    if (pending.alone) {
      this.#waits.push(pending);
    } else {
      this.#laneOf(pending.shard).queue.push(pending);
      this.#ready.add(pending.shard);
    }
    this.#schedulePump();
  }

  #laneOf(shard: ShardId): Lane {
    const known = this.#lanes.get(shard);
    if (known !== undefined) return known;
    const lane: Lane = { queue: [], inFlight: 0 };
    this.#lanes.set(shard, lane);
    return lane;
  }

  // Everything of the turn is queued before the pump runs. What an answer's receivers send at once is in the same turn.
  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#clock.defer(() => {
      this.#pumpScheduled = false;
      this.#pumpWaits();
      this.#pump();
    });
  }

  #pump(): void {
    for (const shard of this.#ready) {
      const lane = this.#laneOf(shard);
      while (lane.queue.length > 0 && lane.inFlight < this.#limits.maximumRequestsPerShard) {
        if (this.#inFlight >= this.#limits.maximumRequestsInFlight) return;
        const batch = this.#takeBatch(lane);
        if (batch.length > 0) void this.#send(shard, lane, batch);
      }
      // A shard with more to send comes back, behind the others, when one of its requests is answered.
      this.#ready.delete(shard);
    }
  }

  #pumpWaits(): void {
    const room = this.#limits.maximumWaitsInFlight - this.#waitsInFlight;
    const leaving = this.#waits.slice(0, Math.max(0, room));
    this.#waits = this.#waits.slice(leaving.length);
    for (const pending of leaving) if (!pending.settled) void this.#sendWait(pending);
  }

  #takeBatch(lane: Lane): readonly PendingCommand[] {
    const batch: PendingCommand[] = [];
    let room = this.#limits.maximumRequestBytes - envelopeOverheadBytes;
    let taken = 0;
    for (const pending of lane.queue) {
      if (!pending.settled) {
        if (batch.length === maximumCommandsPerRequest || pending.bytes.length > room) break;
        room -= pending.bytes.length;
        batch.push(pending);
      }
      taken += 1;
    }
    lane.queue = lane.queue.slice(taken);
    return batch;
  }

  async #send(shard: ShardId, lane: Lane, batch: readonly PendingCommand[]): Promise<void> {
    lane.inFlight += 1;
    this.#inFlight += 1;
    await this.#request(shard, batch);
    lane.inFlight -= 1;
    this.#inFlight -= 1;
    if (lane.queue.length > 0) this.#ready.add(shard);
    if (this.#ready.size > 0) this.#schedulePump();
  }

  async #sendWait(pending: PendingCommand): Promise<void> {
    this.#waitsInFlight += 1;
    await this.#request(pending.shard, [pending]);
    this.#waitsInFlight -= 1;
    if (this.#waits.length > 0) this.#schedulePump();
  }
}
