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
  /** Lists, and waiting commands to owners that answer once, in flight: each in a request of its own. */
  readonly maximumWaitsInFlight: number;
}

interface Lane {
  readonly shard: ShardId;
  queue: PendingCommand[];
  /** Waiting commands; they leave as they come, for their requests are in flight until the slowest is answered. */
  waiting: PendingCommand[];
  inFlight: number;
}

/** Sends one envelope; `onOver` is to be called when its try is over for all of its commands. Must not throw. */
type SendBatch = (shard: ShardId, batch: readonly PendingCommand[], onOver: () => void) => void;

/**
 * One queue a shard, from which commands leave together: all of one turn, and all that came while the shard had as many
 * requests in flight as it may have. So envelopes grow under load, and a lone command leaves in the turn it came.
 */
export class RequestLanes {
  readonly #clock: Clock;
  readonly #limits: RequestLaneLimits;
  readonly #request: SendBatch;
  readonly #answersInParts: (shard: ShardId) => boolean;
  readonly #lanes = new Map<ShardId, Lane>();
  /** Shards that have commands to send and may send, in the order of their turn. */
  readonly #ready = new Set<Lane>();
  #waits: PendingCommand[] = [];
  #inFlight = 0;
  #waitsInFlight = 0;
  #pumpScheduled = false;

  constructor(deps: {
    readonly clock: Clock;
    readonly limits: RequestLaneLimits;
    readonly request: SendBatch;
    /** Whether the shard's owner answers each command when it can, and so may be sent waiting ones together. */
    readonly answersInParts: (shard: ShardId) => boolean;
  }) {
    this.#clock = deps.clock;
    this.#limits = deps.limits;
    this.#request = deps.request;
    this.#answersInParts = deps.answersInParts;
  }

  /** Queues a command. Its bytes fit into a request. */
  add(pending: PendingCommand): void {
    const { shard, travel } = pending.facts;
    if (travel === 'alone' || (travel === 'waiting' && !this.#answersInParts(shard))) {
      this.#waits.push(pending);
    } else {
      const lane = this.#laneOf(shard);
      (travel === 'waiting' ? lane.waiting : lane.queue).push(pending);
      this.#ready.add(lane);
    }
    this.#schedulePump();
  }

  #laneOf(shard: ShardId): Lane {
    const known = this.#lanes.get(shard);
    if (known !== undefined) return known;
    const lane: Lane = { shard, queue: [], waiting: [], inFlight: 0 };
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
    for (const lane of this.#ready) {
      while (lane.waiting.length > 0) {
        const batch = this.#takeBatch(lane, 'waiting');
        if (batch.length > 0) this.#request(lane.shard, batch, nothing);
      }
      while (lane.queue.length > 0 && lane.inFlight < this.#limits.maximumRequestsPerShard) {
        if (this.#inFlight >= this.#limits.maximumRequestsInFlight) return;
        const batch = this.#takeBatch(lane, 'queue');
        if (batch.length > 0) this.#send(lane, batch);
      }
      // A shard with more to send comes back, behind the others, when one of its requests is answered.
      this.#ready.delete(lane);
    }
  }

  #pumpWaits(): void {
    if (this.#waits.length === 0) return;
    const room = this.#limits.maximumWaitsInFlight - this.#waitsInFlight;
    const leaving = this.#waits.slice(0, Math.max(0, room));
    this.#waits = this.#waits.slice(leaving.length);
    for (const pending of leaving) if (!pending.settled) this.#sendAlone(pending);
  }

  #takeBatch(lane: Lane, from: 'queue' | 'waiting'): readonly PendingCommand[] {
    const queue = lane[from];
    const batch: PendingCommand[] = [];
    let room = this.#limits.maximumRequestBytes - envelopeOverheadBytes;
    let taken = 0;
    for (const pending of queue) {
      if (!pending.settled) {
        const size = pending.facts.bytes.length;
        if (batch.length === maximumCommandsPerRequest || size > room) break;
        room -= size;
        batch.push(pending);
      }
      taken += 1;
    }
    lane[from] = taken === queue.length ? [] : queue.slice(taken);
    return batch;
  }

  #send(lane: Lane, batch: readonly PendingCommand[]): void {
    lane.inFlight += 1;
    this.#inFlight += 1;
    this.#request(lane.shard, batch, () => {
      lane.inFlight -= 1;
      this.#inFlight -= 1;
      if (lane.queue.length > 0) this.#ready.add(lane);
      if (this.#ready.size > 0) this.#schedulePump();
    });
  }

  #sendAlone(pending: PendingCommand): void {
    this.#waitsInFlight += 1;
    this.#request(pending.facts.shard, [pending], () => {
      this.#waitsInFlight -= 1;
      if (this.#waits.length > 0) this.#schedulePump();
    });
  }
}

function nothing(): void {}
