import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import { gatewayCloseCodes, gatewayDefaults, maximumInboundBytes, type GatewayLimits } from './gateway-limits.ts';
import type { InspectionDeps } from './inspect-task.ts';
import { type InspectionRequest, parseInspectionUrl } from './inspection-request.ts';
import { checkPayloads, InspectionSession, type InspectionViewer } from './inspection-session.ts';
import { ShardTaps } from './shard-taps.ts';

/** The subprotocol that a viewer may offer, beside its ticket. */
export const inspectionProtocol = 'cabinet.inspect.v1';

/** What an {@link InspectionGateway} works with. */
export interface InspectionGatewayDeps extends Omit<InspectionDeps, 'taps'> {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly limits?: Partial<GatewayLimits> | undefined;
  /** Whether a connection stays when all is told, so that {@link InspectionGateway.sessionCount} tells who still looks. */
  readonly lingers?: boolean | undefined;
}

/**
 * WebSockets that tell of single tasks, `/api/inspect/:taskId`. It reads the journal and nothing else: without a viewer it does nothing
 * at all, and with one no owner does anything for it. Who may look is its host's to say.
 */
export class InspectionGateway {
  readonly #deps: InspectionGatewayDeps;
  readonly #limits: GatewayLimits;
  readonly #taps: ShardTaps;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Map<InspectionSession, InspectionViewer>();
  #servedCount = 0;
  #isClosed = false;

  constructor(deps: InspectionGatewayDeps) {
    this.#deps = deps;
    this.#limits = { ...gatewayDefaults, ...deps.limits };
    this.#taps = new ShardTaps(deps);
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: maximumInboundBytes,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(inspectionProtocol) ? inspectionProtocol : false),
    });
  }

  /** How many look now. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** How many have looked since the start. */
  get servedCount(): number {
    return this.#servedCount;
  }

  /** How many shards' journals are followed. */
  get followedShardCount(): number {
    return this.#taps.count;
  }

  /**
   * Takes over the connection of an upgrade request.
   *
   * @throws EngineError before anything is answered: `INVALID_TASK_ID`, `INVALID_ARGUMENT`, `FORBIDDEN`, `RATE_LIMITED` when too many
   *   look, `UNAVAILABLE` after the close
   */
  take(request: IncomingMessage, socket: Duplex, head: Buffer, viewer: InspectionViewer): void {
    const asked = parseInspectionUrl(request.url ?? '');
    checkPayloads(asked, viewer);
    this.#checkRoom(viewer);
    this.#sockets.handleUpgrade(request, socket, head, (opened) => void this.#run(opened, asked, viewer));
  }

  /** Tells all viewers to come again, and takes no more. */
  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions.keys()) session.close(gatewayCloseCodes.goingAway, 'UNAVAILABLE');
  }

  async #run(socket: WebSocket, request: InspectionRequest, viewer: InspectionViewer): Promise<void> {
    const session = new InspectionSession({ ...this.#deps, taps: this.#taps, limits: this.#limits }, socket, viewer);
    this.#sessions.set(session, viewer);
    this.#servedCount += 1;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    await session.run(request);
    await closed;
    this.#sessions.delete(session);
  }

  #checkRoom(viewer: InspectionViewer): void {
    const { maximumSessions, maximumSessionsPerViewer } = this.#limits;
    if (this.#isClosed) throw new EngineError('UNAVAILABLE', 'the server stops');
    const own = [...this.#sessions.values()].filter(({ id }) => id === viewer.id).length;
    if (own < maximumSessionsPerViewer && this.#sessions.size < maximumSessions) return;
    throw new EngineError('RATE_LIMITED', 'too many inspections are open', {
      limit: `${maximumSessionsPerViewer} of one, ${maximumSessions} in all`,
      got: own < maximumSessionsPerViewer ? this.#sessions.size : own,
      hint: 'close one of them',
    });
  }
}
