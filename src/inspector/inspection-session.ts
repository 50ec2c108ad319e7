import type { WebSocket } from 'ws';
import { EngineError } from '../core/errors.ts';
import type { TimerHandle } from '../ports/clock.ts';
import { FramePacer } from './frame-pacer.ts';
import { gatewayCloseCodes, type GatewayLimits } from './gateway-limits.ts';
import { asInspectionError, inspectTask, type InspectionDeps } from './inspect-task.ts';
import type { InspectionRequest } from './inspection-request.ts';
import { pause } from '../projections/pause.ts';

/** Who looks, as the gateway's host has found out. */
export interface InspectionViewer {
  /** One name for all connections of one principal. */
  readonly id: string;
  readonly mayShowPayloads: boolean;
  /** Calls `onEnded` when he may look no more; the returned function ends the watch. */
  readonly watch: (onEnded: () => void) => () => void;
}

/** What an {@link InspectionSession} works with. */
export interface InspectionSessionDeps extends InspectionDeps {
  readonly limits: GatewayLimits;
  /** Whether the connection stays when all is told, so that the gateway knows who still looks. */
  readonly lingers?: boolean | undefined;
}

/** One viewer's connection: writes an inspection to a socket, no faster than the viewer takes it. */
export class InspectionSession {
  readonly #deps: InspectionSessionDeps;
  readonly #socket: WebSocket;
  readonly #leaving = new AbortController();
  readonly #pacer: FramePacer;
  readonly #unwatch: () => void;
  #pingTimer: TimerHandle;
  #isAlive = true;
  #inboundCount = 0;

  constructor(deps: InspectionSessionDeps, socket: WebSocket, viewer: InspectionViewer) {
    this.#deps = deps;
    this.#socket = socket;
    this.#pacer = new FramePacer(deps.clock, deps.limits);
    this.#pingTimer = deps.clock.setTimer(deps.limits.pingMs, () => this.#ping());
    this.#unwatch = viewer.watch(() => this.close(gatewayCloseCodes.unauthenticated, 'UNAUTHENTICATED'));
    socket.on('close', () => this.#leave());
    // The socket closes after it; there is nobody to tell.
    socket.on('error', () => this.#leave());
    socket.on('pong', () => (this.#isAlive = true));
    socket.on('message', () => this.#count());
    socket.on('ping', () => this.#count());
  }

  /** Tells the task until its end, or until the viewer leaves. Never rejects. */
  async run(request: InspectionRequest): Promise<void> {
    const { signal } = this.#leaving;
    try {
      for await (const frames of inspectTask(this.#deps, request, { signal })) {
        for (const frame of frames) await this.#send(JSON.stringify(frame));
        if (signal.aborted) return;
      }
      if (this.#deps.lingers !== true) this.close(gatewayCloseCodes.ended, 'ENDED');
    } catch (thrown) {
      const error = asInspectionError(thrown);
      const code = error.code === 'TASK_NOT_FOUND' ? gatewayCloseCodes.notFound : gatewayCloseCodes.failed;
      this.close(code, error.code);
    }
  }

  /** Ends the connection; the viewer has `stallMs` to say good-bye. */
  close(code: number, reason: string): void {
    if (this.#leaving.signal.aborted) return;
    this.#leave();
    this.#socket.close(code, reason);
    const timer = this.#deps.clock.setTimer(this.#deps.limits.stallMs, () => this.#socket.terminate());
    this.#socket.once('close', () => timer.cancel());
  }

  async #send(text: string): Promise<void> {
    const { clock, limits } = this.#deps;
    const { signal } = this.#leaving;
    if (signal.aborted) return;
    const taken = new Promise<'taken'>((resolve) => this.#socket.send(text, () => resolve('taken')));
    if (this.#socket.bufferedAmount > limits.maximumBufferedBytes) {
      const stalling = new AbortController();
      const stalled = pause(clock, limits.stallMs, AbortSignal.any([signal, stalling.signal])).then(() => 'stalled');
      const outcome = await Promise.race([taken, stalled]);
      stalling.abort();
      if (outcome === 'stalled') this.close(gatewayCloseCodes.slowConsumer, 'SLOW_CONSUMER');
    }
    await pause(clock, this.#pacer.take(Buffer.byteLength(text)), signal);
  }

  #ping(): void {
    if (!this.#isAlive) {
      this.#leave();
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#socket.ping();
    this.#pingTimer = this.#deps.clock.setTimer(this.#deps.limits.pingMs, () => this.#ping());
  }

  #count(): void {
    this.#inboundCount += 1;
    if (this.#inboundCount <= this.#deps.limits.maximumInboundMessages) return;
    this.close(gatewayCloseCodes.rateLimited, 'RATE_LIMITED');
  }

  #leave(): void {
    this.#pingTimer.cancel();
    this.#unwatch();
    this.#leaving.abort();
  }
}

/** @throws EngineError `FORBIDDEN` for payloads that the viewer may not see */
export function checkPayloads(request: InspectionRequest, viewer: InspectionViewer): void {
  if (!request.showsPayloads || viewer.mayShowPayloads) return;
  throw new EngineError('FORBIDDEN', 'the values of payloads are for operators', { field: 'payloads', got: '1' });
}
