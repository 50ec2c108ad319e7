import { LiveConnection } from '../../src/admin/live/live-connection.ts';
import { LiveFeeds } from '../../src/admin/live/live-feeds.ts';
import {
  afterFrame,
  beginSubscription,
  type LiveFrame,
  type LiveMessage,
  type LiveSubscription,
} from '../../src/admin/live/protocol.ts';
import { sendDefaults, type LiveSocket, type SendLimits } from '../../src/admin/live/send-queue.ts';
import type { BulkRunner } from '../../src/admin/bulk/bulk-runner.ts';
import type { EventHubLimits } from '../../src/admin/live/event-hub.ts';
import type { Principal, Role } from '../../src/admin/principal.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { Journal } from '../../src/ports/journal.ts';
import type { PipelineEvent } from '../../src/projections/cloud-event.ts';
import { comparePositions, type Position } from '../../src/projections/position.ts';
import { MemoryLogger, VirtualClock } from '../../src/testing.ts';
import { FakeClient, FakeIndex, MemoryAudit } from './admin-kit.ts';

export const liveNamespace = 'cabinet';

/** Somebody with that role. */
export function aPrincipal(role: Role = 'viewer'): Principal {
  return { tokenId: `t-${role}`, name: `a-${role}`, role, via: 'bearer' };
}

/** A socket in memory: takes frames at once, or only when told to. */
export class MemorySocket implements LiveSocket {
  readonly frames: LiveFrame[] = [];
  closed: { readonly code: number; readonly reason: string } | null = null;
  isCut = false;
  pings = 0;
  /** Frames stay with the system until {@link take}. */
  isHeld = false;
  /** Called with every frame that arrives. */
  onFrame: (frame: LiveFrame) => void = () => {};
  readonly #held: { readonly text: string; readonly done: () => void }[] = [];

  send(parts: readonly Buffer[], done: () => void): void {
    const text = Buffer.concat([...parts]).toString('utf8');
    this.#held.push({ text, done });
    if (!this.isHeld) this.take();
  }

  /** The client takes what was sent. */
  take(): void {
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) {
      const frame = JSON.parse(next.text) as LiveFrame;
      this.frames.push(frame);
      this.onFrame(frame);
      next.done();
    }
  }

  ping(): void {
    this.pings += 1;
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason };
  }

  cut(): void {
    this.isCut = true;
  }

  of<Type extends LiveFrame['type']>(type: Type): readonly Extract<LiveFrame, { type: Type }>[] {
    return this.frames.filter((frame): frame is Extract<LiveFrame, { type: Type }> => frame.type === type);
  }
}

/** Feeds over fakes, in virtual time, with sockets in memory. */
export class LiveWorld {
  readonly clock: VirtualClock;
  readonly client = new FakeClient();
  readonly index = new FakeIndex();
  readonly audit = new MemoryAudit();
  readonly bulkRuns = new Map<string, unknown>();
  readonly feeds: LiveFeeds;
  readonly #limits: SendLimits;

  constructor(
    journal: Journal,
    options: {
      readonly clock?: VirtualClock;
      readonly hub?: Partial<EventHubLimits>;
      readonly send?: Partial<SendLimits>;
    } = {},
  ) {
    this.clock = options.clock ?? new VirtualClock();
    this.#limits = { ...sendDefaults, ...options.send };
    const bulk = {
      get: (id: string) => {
        const run = this.bulkRuns.get(id);
        if (run === undefined) throw new EngineError('NOT_FOUND', 'no such bulk action');
        return run;
      },
    } as unknown as BulkRunner;
    this.feeds = new LiveFeeds({
      client: this.client.asClient(),
      index: this.index,
      audit: this.audit,
      bulk,
      journal,
      namespace: liveNamespace,
      clock: this.clock,
      logger: new MemoryLogger(),
      hub: options.hub,
    });
  }

  connect(role: Role = 'viewer'): { readonly socket: MemorySocket; readonly connection: LiveConnection } {
    const socket = new MemorySocket();
    const { clock, feeds } = this;
    const deps = { socket, feeds, clock, limits: this.#limits, onClosing: () => {} };
    return { socket, connection: new LiveConnection(deps, aPrincipal(role)) };
  }

  say(connection: LiveConnection, message: LiveMessage): void {
    connection.put({ type: 'text', text: JSON.stringify(message), nowMs: this.clock.monotonicMs() });
  }
}

/** What an honest client makes of its frames, over any number of connections: the events, the gaps that it was told of, its place. */
export class EventReader {
  readonly events: PipelineEvent[] = [];
  readonly gaps: { readonly from: Position; readonly to: Position }[] = [];
  /** Behind what it began; null before its first snapshot. */
  begin: Position | null = null;
  subscription: LiveSubscription = beginSubscription();

  get position(): string | null {
    return this.subscription.position;
  }

  /** The message that begins it or takes it up again. */
  message(filter?: Readonly<Record<string, unknown>>): LiveMessage {
    const { position } = this;
    this.subscription = beginSubscription(position);
    return {
      type: 'subscribe',
      id: 'e',
      topic: 'events',
      ...(filter === undefined ? {} : { filter }),
      ...(position === null ? {} : { resumeFrom: position }),
    };
  }

  take(frame: LiveFrame): void {
    if (!('id' in frame) || frame.id !== 'e') return;
    const before = this.position;
    this.subscription = afterFrame(this.subscription, frame);
    if (frame.type === 'snapshot') this.begin = frame.position as Position;
    if (frame.type === 'delta') this.events.push(...(frame.data as readonly PipelineEvent[]));
    if (frame.type === 'gap') this.gaps.push({ from: frame.from as Position, to: frame.to as Position });
    if (frame.type === 'error' && frame.oldest !== undefined && before !== null) {
      this.gaps.push({ from: before as Position, to: frame.oldest as Position });
      this.subscription = { ...this.subscription, position: frame.oldest };
    }
  }

  /** What it must have got of a whole log, told gaps left out. */
  expected(log: readonly PipelineEvent[]): readonly Position[] {
    const { begin } = this;
    if (begin === null) return [];
    return log
      .filter(({ id }) => comparePositions(id, begin) > 0)
      .filter(({ id }) => !this.gaps.some(({ from, to }) => isBetween(id, from, to)))
      .map(({ id }) => id);
  }
}

function isBetween(id: Position, from: Position, to: Position): boolean {
  return comparePositions(id, from) > 0 && comparePositions(id, to) <= 0;
}
