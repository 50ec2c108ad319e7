import { UncertainError } from '../core/driver-errors.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { AnyDriver } from '../ports/driver.ts';
import type { Logger } from '../ports/logger.ts';
import { HostedRun } from './hosted-run.ts';
import type { NumberedMessage, PollRequest, RunReply, StartRequest, TellRequest } from './remote-protocol.ts';
import type { HostMessage, RunResult } from './run-messages.ts';

/** What a served run needs. */
export interface ServedRunDeps {
  readonly clock: Clock;
  readonly driver: AnyDriver;
  readonly logger: Logger;
  readonly ports: Readonly<Record<string, unknown>>;
  readonly maximumValueBytes: number;
  /** Time without a question after which the run is canceled: its engine is gone. */
  readonly orphanAfterMs: number;
}

/** Wait for more news after the first heartbeat that was not told yet. */
const heartbeatWindowMs = 250;

/** One attempt at the serving side: the driver's run, and what its engine has not been told yet. */
export class ServedRun {
  readonly request: StartRequest;
  readonly #deps: ServedRunDeps;
  readonly #hosted: HostedRun;
  readonly #settled: Promise<void>;
  readonly #heard: Promise<void>;
  #onHeard: () => void = () => undefined;
  #result: RunResult | null = null;
  #messages: NumberedMessage[] = [];
  #lastNumber = 0;
  #lastTold = 0;
  /** The question that waits for news. */
  #waiting: { readonly answer: (reply: RunReply) => void; readonly timer: TimerHandle } | null = null;
  #heartbeatTimer: TimerHandle | null = null;
  #orphanTimer: TimerHandle | null = null;

  constructor(request: StartRequest, deps: ServedRunDeps) {
    const { taskId, pipeline, stage, attempt } = request;
    this.request = request;
    this.#deps = deps;
    this.#hosted = new HostedRun({
      driver: deps.driver,
      operation: 'execute',
      request,
      log: deps.logger.child({ taskId, pipeline, stage, attempt }),
      ports: deps.ports,
      maximumValueBytes: deps.maximumValueBytes,
      onHeartbeat: () => this.#onHeartbeat(),
      send: (message) => {
        this.#add(message);
        this.#wake();
      },
    });
    this.#heard = new Promise((resolve) => {
      this.#onHeard = resolve;
    });
    this.#watchEngine();
    this.#settled = this.#hosted.result.then((result) => this.#onResult(result));
  }

  get isSettled(): boolean {
    return this.#result !== null;
  }

  /** Resolves when the driver has settled. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** Resolves when somebody has been answered with how the run ended. */
  get heard(): Promise<void> {
    return this.#heard;
  }

  /** Answers with how the run stands now. */
  tellState(answer: (reply: RunReply) => void): void {
    answer(this.#reply);
    if (this.isSettled) this.#onHeard();
  }

  get #reply(): RunReply {
    const messages = this.#messages.length === 0 ? {} : { messages: this.#messages };
    if (this.#result === null) return { status: 'running', ...messages };
    if (this.#result.kind === 'failed') return { status: 'failed', error: this.#result.error, ...messages };
    return { status: 'done', ...('output' in this.#result ? { output: this.#result.output } : {}), ...messages };
  }

  /** Answers when there is news, or when the question's wait is over. */
  poll(request: PollRequest, answer: (reply: RunReply) => void): void {
    this.#watchEngine();
    this.#messages = this.#messages.filter(({ number }) => number > request.received);
    // Whoever asked before has given up: a run has one engine, which asks one question at a time.
    this.#takeWaiting()?.({ status: 'running' });
    if (this.isSettled || this.#messages.length > 0 || request.waitMs === 0) {
      this.tellState(answer);
      return;
    }
    this.#waiting = { answer, timer: this.#deps.clock.setTimer(request.waitMs, () => this.#wake()) };
  }

  /** Takes each message once: one that is repeated was taken already. */
  tell({ number, message }: TellRequest): void {
    if (number <= this.#lastTold) return;
    this.#lastTold = number;
    this.#hosted.receive(message);
  }

  cancel(reason: Error): void {
    this.#hosted.cancel(reason);
  }

  /** Nobody will ask any more. */
  dispose(): void {
    this.#orphanTimer?.cancel();
    this.#heartbeatTimer?.cancel();
    this.#takeWaiting()?.({ status: 'unknown' });
  }

  #watchEngine(): void {
    this.#orphanTimer?.cancel();
    if (this.isSettled) return;
    this.#orphanTimer = this.#deps.clock.setTimer(this.#deps.orphanAfterMs, () => {
      this.cancel(new UncertainError(`nobody has asked for the run for ${this.#deps.orphanAfterMs} ms`));
    });
  }

  #onHeartbeat(): void {
    if (this.#heartbeatTimer !== null || this.isSettled) return;
    this.#heartbeatTimer = this.#deps.clock.setTimer(heartbeatWindowMs, () => {
      this.#heartbeatTimer = null;
      if (!this.#messages.some(({ message }) => message.type === 'heartbeat')) this.#add({ type: 'heartbeat' });
      this.#wake();
    });
  }

  #add(message: HostMessage): void {
    this.#lastNumber += 1;
    this.#messages.push({ number: this.#lastNumber, message });
  }

  #onResult(result: RunResult): void {
    this.#result = result;
    this.#heartbeatTimer?.cancel();
    this.#orphanTimer?.cancel();
    this.#wake();
  }

  #wake(): void {
    const answer = this.#takeWaiting();
    if (answer !== undefined) this.tellState(answer);
  }

  #takeWaiting(): ((reply: RunReply) => void) | undefined {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.timer.cancel();
    return waiting?.answer;
  }
}
